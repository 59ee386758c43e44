"""Recordings: of the socket calls of any Python program, and of tomada's own messages. Written, read, and understood.

A recording is one file of JSON lines, to which several processes append; so what a killed program has done can be read
up to that moment. May import the protocol, the diagrams that it makes, and ``tomada_recorder``, which writes the lines
of calls. Read ``file.py`` first, then ``reading.py``, which hands records to who understands them. Of socket calls that
is ``traced.py``, over ``story.py`` (what happened), ``pairing.py`` (which send was met by which receive) and
``socket_state.py``. Of tomada's own messages it is ``messages.py``; ``tap.py`` is where they are seen, and
``recorder.py`` writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from tomada.recording.reading import Recording
    from tomada.recording.recorder import Recorder


def record(path: str | PathLike[str], *, data: int = 256, most_bytes: int = 64 << 20, join: bool = False) -> Recorder:
    """Record what comes and goes over the connections of this process that begin from now on, at whichever end.

    ::

        with tomada.record("bank.recording"):
            async with tomada.connect("tcp://127.0.0.1:4477") as bank:
                ...

    ``tomada diagram bank.recording`` draws it, also while it grows. Each read and write is in the file before anything
    else is done with it. Credentials, and what lets others go on with a session, are not.

    Args:
        path: The file; one that is there is replaced.
        data: So many bytes of each message are kept, up to 65,536; 0: none, only what it was and how long.
        most_bytes: How long the file and its one older part, ``PATH.1``, may become together. What is dropped then is
            counted in the file.
        join: Whether to add to a recording that another process writes, in place of beginning one.

    Raises:
        OSError: The file cannot be written (at once). When that happens later, recording stops, and says so on standard
            error.
        ValueError: A number is out of its range.
    """
    from tomada.recording.recorder import Recorder  # noqa: PLC0415 - most programs record nothing

    return Recorder(path, data=data, most_bytes=most_bytes, join=join)


def load(path: str | PathLike[str]) -> Recording:
    """A recording, as far as it is written by now, to be drawn: ``load(path).sequence()``.

    Raises:
        RecordingError: There is no such file, or it is no recording.
    """
    from tomada.recording.reading import Recording  # noqa: PLC0415 - who only records needs none of that

    with Recording(path) as recording:
        recording.read()
    return recording
