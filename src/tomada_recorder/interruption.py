"""What a program's own signal handlers raise while the recorder works: that is not the recorder's to catch."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def pass_on(error: BaseException) -> None:
    """Raise `error` again if a handler of a signal has raised it, as handlers do that end what takes too long."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        if any(_is(trace.tb_frame, value) for value in trace.tb_next.tb_frame.f_locals.values()):
            raise error
        trace = trace.tb_next


def _is(frame: object, value: Any) -> bool:
    """Whether a function was given `frame`: Python gives a handler the frame that it interrupts, and calls it there."""
    return value is frame or (isinstance(value, tuple) and any(one is frame for one in value))
