"""All records of a traced process go through here: its own description, its sockets, its calls.

Theory of operation: whoever wraps a call makes a `Call`, says `begun` where it is about to wait, and `ended` with the
fields of its outcome. Nothing here may raise into the program: what goes wrong is told in the recording, once.
"""

from __future__ import annotations

import os
import sys
from _thread import _local, get_ident
from itertools import count
from time import monotonic_ns as now

from tomada_recorder.interruption import pass_on
from tomada_recorder.sockets import Sockets
from tomada_recorder.text import quoted, tellable, text_field
from tomada_recorder.writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tomada_recorder.sockets import Known

_WAITED_NS = 1_000_000
"""What may have to wait has waited if it took as long."""


_MOST_FAILURES = 10


class Thread(_local):
    """What is noted per thread."""

    is_within = False
    """Whether a recorded call is under way, so that the calls that it makes itself are not recorded."""
    origin = ""
    """Where the sockets come from that are made just now."""
    source = 0
    """From which socket."""


class Call:
    """One call, from its begin to its end."""

    __slots__ = ("arguments", "at", "has_waited", "may_wait", "name", "number", "recorder", "socket")

    def __init__(self, recorder: Recorder, name: str, arguments: str, known: Known | None) -> None:
        self.recorder = recorder
        self.name = name
        self.arguments = arguments
        self.socket = known.number if known is not None else 0
        self.number = next(recorder.numbers)
        self.has_waited = self.may_wait = False
        self.at = now()

    def begun(self, *, is_sure: bool = True) -> None:
        """Tell that it is about to wait, or may have to: who is killed while it waits is seen waiting."""
        self.has_waited, self.may_wait = is_sure, not is_sure
        self.recorder.write(self._line("begun", ""))

    def ended(self, fields: str) -> None:
        """Tell how it ended."""
        took = now() - self.at
        has_waited = self.has_waited or (self.may_wait and took >= _WAITED_NS)
        waited = ',"blocked":true' if has_waited else ""
        self.recorder.write(self._line("call", ',"took":%d%s%s' % (took, waited, fields)))

    def _line(self, kind: str, fields: str) -> str:
        recorder = self.recorder
        arguments = text_field("args", self.arguments)
        return '{"kind":"%s","pid":%d,"n":%d,"socket":%d,"call":"%s","at":%d%s%s%s}\n' % (
            kind,
            recorder.pid,
            self.number,
            self.socket,
            self.name,
            self.at,
            arguments,
            recorder.thread(),
            fields,
        )


class Recorder:
    """Records what this process does."""

    def __init__(self, path: str, most_bytes: int, data_bytes: int) -> None:
        self.data_bytes = data_bytes
        self.local = Thread()
        self.numbers = count(1)
        self.sockets = Sockets(self)
        self._failures: set[str] = set()
        self._forked_at = 0
        self._notes: list[str] = []
        self._describe(is_fork=False)
        self.writer = Writer(path, most_bytes, self._repeated)

    def _describe(self, *, is_fork: bool) -> None:
        self.pid = os.getpid()
        at = self._forked_at if is_fork else now()
        self._main = get_ident()
        command = ",".join(quoted(tellable(word[:1000])) for word in _words()[:50])
        self._process = (
            '{"kind":"process","pid":%d,"parent":%d,"at":%d,"forked":%s,"python":"%s","command":[%s]%s}\n'
            % (
                self.pid,
                os.getppid(),
                at,
                "true" if is_fork else "false",
                "%d.%d.%d" % sys.version_info[:3],
                command,
                text_field("folder", _folder()),
            )
        )

    def _repeated(self) -> Iterator[bytes]:
        yield self._process.encode("ascii")
        for line in [*self.sockets.lines(), *self._notes]:
            yield line.encode("ascii")

    def write(self, line: str) -> None:
        """Append a record, made of ASCII."""
        self.writer.write(line.encode("ascii"))

    def thread(self) -> str:
        """The field that names the thread; nothing for the main thread."""
        ident = get_ident()
        if ident == self._main:
            return ""
        threading = sys.modules.get("threading")
        thread = getattr(threading, "_active", {}).get(ident)
        return text_field("thread", str(getattr(thread, "name", None) or "thread %d" % ident))

    def note(self, text: str) -> None:
        """Tell what a reader must know of this process."""
        line = '{"kind":"note","pid":%d,"at":%d%s}\n' % (self.pid, now(), text_field("text", text))
        self._notes.append(line)
        self.write(line)

    def has_failed(self, error: BaseException) -> None:
        """Tell that the recorder itself went wrong; each way only once. Raises what a signal's handler has raised."""
        pass_on(error)
        try:
            text = "%s: %s" % (type(error).__name__, error)
            if text not in self._failures and len(self._failures) < _MOST_FAILURES:
                self._failures.add(text)
                self.note("the recorder could not record a call: " + text)
        except Exception:  # noqa: BLE001 - at the interpreter's end nothing here may be left
            return

    def about_to_fork(self) -> None:
        """Note when: the child gets the sockets as they are now."""
        self._forked_at = now()

    def forked(self) -> None:
        """Go on in the child process after a fork."""
        self._describe(is_fork=True)
        self._notes.clear()
        self.writer.forked()
        self.sockets.forked()
        self.write(self._process)

    def ends(self, how: str) -> None:
        """Tell that the process ends by itself."""
        self.write('{"kind":"exit","pid":%d,"at":%d%s}\n' % (self.pid, now(), text_field("how", how)))


def _words() -> list[str]:
    """The command. Python 3.9 tells its own options not at all, and which module it runs later than this."""
    own = list(getattr(sys, "argv", ()))
    return getattr(sys, "orig_argv", None) or [sys.executable, *(own[:1] if own[:1] in (["-m"], ["-c"]) else own)]


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""
