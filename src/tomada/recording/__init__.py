"""Recordings: of the socket calls of any Python program, and of tomada's own messages. Written, read, and understood.

A recording is one file of JSON lines, to which several processes append; so what a killed program has done can be read
up to that moment. May import the protocol, the diagrams that it makes, and ``tomada_recorder``, which writes the lines
of calls. Read ``file.py`` first, then ``reading.py``, which hands records to who understands them: of socket calls that
is ``traced.py``, over ``story.py`` (what happened), ``pairing.py`` (which send was met by which receive) and
``socket_state.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from os import PathLike

    from tomada.recording.reading import Recording


def load(path: str | PathLike[str]) -> Recording:
    """A recording, as far as it is written by now, to be drawn: ``load(path).sequence()``.

    Raises:
        RecordingError: There is no such file, or it is no recording.
    """
    from tomada.recording.reading import Recording  # noqa: PLC0415 - who only records needs none of that

    with Recording(path) as recording:
        recording.read()
    return recording


def __getattr__(name: str) -> Any:
    if name == "Recording":
        from tomada.recording.reading import Recording  # noqa: PLC0415 - as above

        return Recording
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
