"""Waits for several sockets at once: ``select.select`` and the selectors, and with them asyncio's loop."""

from __future__ import annotations

import select

from tomada_recorder.calls import failed
from tomada_recorder.recorder import Call
from tomada_recorder.standin import Standin, install

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tomada_recorder.recorder import Recorder

_SELECTORS = ("PollSelector", "EpollSelector", "DevpollSelector", "KqueueSelector")
"""Those that wait by themselves: `SelectSelector` does by ``select.select``."""


def wrap_select(recorder: Recorder, module: Any) -> None:
    """Record ``select.select`` where it waits."""
    original = module.select

    def selected(*args: Any) -> Any:
        if len(args) < 3:  # noqa: PLR2004 - it raises
            return original(*args)
        timeout = args[3] if len(args) > 3 else None  # noqa: PLR2004 - to read, to write, exceptions, timeout
        lists = tuple(watched if isinstance(watched, (list, tuple)) else list(watched) for watched in args[:3])
        return _wait(
            recorder, "select", (sum(map(len, lists)), timeout), lambda limit: original(*lists, limit), _selected
        )

    install(module, "select", Standin(selected))


def _selected(result: Any) -> list[Any]:
    return [found for ready in result for found in ready]


def wrap_selectors(recorder: Recorder, module: Any) -> None:
    """Record the method ``select`` of the selectors where it waits."""
    for name in _SELECTORS:
        kind = getattr(module, name, None)
        if kind is not None:
            install(kind, "select", _selecting(recorder, name + ".select", kind.select))
    if vars(module.SelectSelector).get("_select") is getattr(select.select, "__wrapped__", None):
        module.SelectSelector._select = select.select  # it was loaded before  # noqa: SLF001


def _selecting(recorder: Recorder, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def selected(self: Any, timeout: float | None = None) -> Any:
        watched = len(self.get_map() or ())
        return _wait(recorder, name, (watched, timeout), lambda limit: original(self, limit), _keyed)

    return selected


def _keyed(result: Any) -> list[Any]:
    return [key.fd for key, _ in result]


def _wait(
    recorder: Recorder,
    name: str,
    watched: tuple[int, float | None],
    wait: Callable[[float | None], Any],
    ready: Callable[[Any], list[Any]],
) -> Any:
    """Wait, and record it, unless something is ready at once: then nobody has waited."""
    count, timeout = watched
    if recorder.local.is_within or (timeout is not None and timeout <= 0):
        return wait(timeout)
    result = wait(0)
    if ready(result):
        return result
    call = Call(recorder, name, "%d watched%s" % (count, "" if timeout is None else ", at most %.6g s" % timeout), None)
    call.begun()
    try:
        result = wait(timeout)
    except BaseException as error:
        failed(call, None, error)
        raise
    call.ended(_fields(recorder, ready(result)))
    return result


def _fields(recorder: Recorder, ready: list[Any]) -> str:
    numbers = []
    for one in ready:
        known = recorder.sockets.by_descriptor(one if isinstance(one, int) else one.fileno())
        numbers.append(known.number if known is not None else 0)
    return ',"ready":[%s]' % ",".join(map(str, numbers))
