"""Writes a recording: one file of JSON lines, to which several processes append.

Theory of operation: each record is one ``write`` to a descriptor that appends, so records of several processes and
threads stand whole beside each other without a lock, and what a killed process has written is there. The file is a
segment of the recording. Every now and then a writer looks whether its segment has become too long; then one of the
writers, and that is whoever gets the lock of the file, links it to ``NAME.1``, over the one before it, and puts a new
one in its place, whose first line says what was dropped: at no moment is there none, for who begins to write just then
would take the recording for a new one. The others see that at their next look and move on. So a recording
takes no more than it may, and what it lost is counted.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from _thread import allocate_lock

from tomada_recorder.interruption import pass_on

try:
    import fcntl
except ImportError:
    CAN_ROTATE = False
    """Not on Windows, where files that are open cannot be renamed either: there a recording ends at its bound."""
else:
    CAN_ROTATE = True

TYPE_CHECKING = False  # as in typing, which is not imported into other people's programs
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

VERSION = 1
"""Of the format. A reader that knows an older one only says so."""
MOST_BYTES = 64 << 20
"""What a recording may take on disk, where nothing else is said."""
LEAST_BYTES = 64 << 10
MOST_LINE = 1 << 20
"""A record is at most as long, its line end included."""

_LOOK_AFTER_NS = 50_000_000
_LOOK_AFTER_BYTES = 1 << 16
_HEADER_BYTES = 4096
_HIGH = 1000
"""From where on our descriptor is looked for: programs that close or copy to small numbers do not meet it."""
_MODE = os.O_RDWR | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_write = os.write
_close = os.close
_now = time.monotonic_ns


def older(path: str) -> str:
    """Where the segment before that in `path` is."""
    return path + ".1"


def begin(path: str, most_bytes: int = MOST_BYTES) -> None:
    """Begin a recording in `path`, in place of one that is there. Writers join it.

    Raises:
        OSError: The file cannot be written, or it is none: a device or a pipe, which would be gone.
    """
    path = os.path.abspath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    if os.path.exists(older(path)):
        os.unlink(older(path))
    os.replace(_made(path, _header(os.urandom(8).hex(), 1, most_bytes, (0, 0))), path)


def _header(name: str, segment: int, most_bytes: int, lost: tuple[int, int]) -> bytes:
    text = (
        '{"kind":"recording","version":%d,"id":"%s","segment":%d,"lost_records":%d,"lost_bytes":%d,'
        '"most":%d,"at":%d,"time":%.6f}\n'
    )
    return (text % (VERSION, name, segment, *lost, most_bytes, _now(), time.time())).encode()


def _made(path: str, first: bytes) -> str:
    """A new file with one line, which is to take the place of `path`: where it is until then."""
    fresh = "%s.%d.new" % (path, os.getpid())
    descriptor = os.open(fresh, _MODE | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write(descriptor, first)
    finally:
        _close(descriptor)
    return fresh


def _set_aside(path: str) -> None:
    """Let the file in `path` be the older segment, and stay there until another one takes its place."""
    link = "%s.%d.old" % (path, os.getpid())
    try:
        os.link(path, link)
    except OSError:  # the file system has no links: for a moment there is none in `path`
        link = path
    os.replace(link, older(path))


def _number(header: bytes, name: bytes) -> int:
    """A number of a header; without the module json, which a traced program may never need."""
    digits = header.partition(b'"%s":' % name)[2]
    return int(digits[: len(digits) - len(digits.lstrip(b"0123456789"))] or b"0")


def _name(header: bytes) -> str:
    return header.partition(b'"id":"')[2].partition(b'"')[0].decode("ascii", "replace")


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _lost_with(path: str, name: str) -> tuple[int, int]:
    """Records and bytes of the segment in `path`, which is about to be dropped, if it is of this recording."""
    records = size = 0
    try:
        with open(path, "rb") as file:
            if _name(file.readline(_HEADER_BYTES)) != name:
                return 0, 0
            while chunk := file.read(1 << 20):
                records += chunk.count(b"\n")
                size += len(chunk)
    except FileNotFoundError:
        return 0, 0
    return records, size


class Writer:
    """Appends records to a recording, as one of its writers.

    Nothing that it does raises, but for what a signal's handler raises meanwhile: where the file cannot be written (the
    disk is full) it says so once on standard error, and stops. It may be used by several threads, in signal handlers,
    and after a fork by both processes.

    Args:
        path: The file. Where there is none a recording is begun; else this joins the one that is there.
        most_bytes: How long the file and its one older segment may be together. Several writers overstep it by 64 KiB
            each at most.
        repeated: Gives the records that every segment must begin with to be understood, as this writer's own process
            and open connections. It is called when this writer begins, and whenever it moves to a new segment.
    """

    def __init__(
        self, path: str, most_bytes: int = MOST_BYTES, repeated: Callable[[], Iterable[bytes]] | None = None
    ) -> None:
        self.path = os.path.abspath(path)
        self.failure = ""
        """Why nothing is written any more; empty while it is."""
        self._most_bytes = max(most_bytes, LEAST_BYTES)
        self._repeated = repeated or (lambda: ())
        self._lock = allocate_lock()
        self._descriptor = -1
        self._identity = (-1, -1)
        self._header = b""
        self._look_at = self._since = self._records = 0
        self._guarded(self._begin)

    @property
    def descriptor(self) -> int:
        """The file's descriptor, which the program must not close; -1 where there is none."""
        return self._descriptor

    def write(self, line: bytes) -> None:
        """Append one record: a JSON object and its line end.

        It is in the file when this returns. Longer than `MOST_LINE` it is not written, but counted as lost.
        """
        if self._descriptor < 0:
            return
        length = len(line)
        if self._since > _LOOK_AFTER_BYTES or _now() > self._look_at:
            self._look()
        if length > MOST_LINE:
            self._say_lost(1, "longer than a record may be")
            return
        self._since += length
        self._records += 1
        self._append(line)

    def forked(self) -> None:
        """To be called in the child process after a fork: another thread of the parent may have held the lock."""
        self._lock = allocate_lock()
        self._look_at = 0

    def close(self) -> None:
        """Write no more. Not while another thread may be writing: others get the descriptor's number."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            _close(descriptor)

    def _append(self, line: bytes) -> None:
        try:
            if _write(self._descriptor, line) != len(line):
                self._stop("there is no room for more")
        except OSError as error:
            pass_on(error)
            self._stop(error.strerror or str(error))

    def _begin(self) -> None:
        if not os.path.exists(self.path):
            begin(self.path, self._most_bytes)
        self._join()

    def _look(self) -> None:
        """Look whether the segment is too long, or another one has begun."""
        if self._lock.acquire(blocking=False):  # else another thread does it
            try:
                self._guarded(self._look_closely)
            finally:
                self._lock.release()

    def _guarded(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not the program's fault
            pass_on(error)
            self._stop(str(error))

    def _look_closely(self) -> None:
        records, self._records = self._records, 0
        self._since, self._look_at = 0, _now() + _LOOK_AFTER_NS
        mine = self._own()
        try:
            there = os.stat(self.path)
        except FileNotFoundError:  # another process is just renaming, or somebody has deleted it
            return
        if mine is None:  # the program has closed our descriptor: what it is now is not ours to write to
            self._descriptor = -1
            self._join()
            self._say_lost(records, "the program closed the recording's descriptor")
        elif _identity(there) != self._identity:
            self._join()
            if mine.st_nlink == 0:
                self._say_lost(records, "its segment was dropped before they were in it")
        elif there.st_size >= self._most_bytes // 2:
            self._rotate()

    def _own(self) -> os.stat_result | None:
        """What our descriptor is, if it still is ours."""
        try:
            found = os.fstat(self._descriptor)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            return None
        return found if _identity(found) == self._identity else None

    def _rotate(self) -> None:
        if not CAN_ROTATE:
            self._stop(f"it has reached its bound of {self._most_bytes:,} bytes")
            return
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another process does it
            return
        try:
            if _identity(os.stat(self.path)) == self._identity:
                self._begin_segment()
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
        self._join()

    def _begin_segment(self) -> None:
        name, segment = _name(self._header), _number(self._header, b"segment")
        records, size = _lost_with(older(self.path), name)
        lost = (_number(self._header, b"lost_records") + records, _number(self._header, b"lost_bytes") + size)
        fresh = _made(self.path, _header(name, segment + 1, self._most_bytes, lost))
        _set_aside(self.path)
        os.replace(fresh, self.path)

    def _join(self) -> None:
        """Go on in the segment that is now in `path`."""
        opened = os.open(self.path, _MODE)
        if self._descriptor < 0:
            self._descriptor = _high(opened)
        else:  # in one step: another thread may be about to write to it
            os.dup2(opened, self._descriptor, inheritable=False)
            _close(opened)
        self._identity = _identity(os.fstat(self._descriptor))
        self._header = _first_line(self._descriptor)
        self._look_at = _now() + _LOOK_AFTER_NS
        for line in self._repeated():
            self._append(line)

    def _say_lost(self, records: int, why: str) -> None:
        if records:
            text = '{"kind":"lost","pid":%d,"at":%d,"records":%d,"why":"%s"}\n'
            self._append((text % (os.getpid(), _now(), records, why)).encode())

    def _stop(self, why: str) -> None:
        if not self.failure:
            self.failure = why
            self._descriptor = -1  # left open: another thread may be writing to it
            _say(f"tomada: the recording {self.path} ends here: {why}\n")


def _high(descriptor: int) -> int:
    """The same file under a high number, where the system gives one."""
    if not CAN_ROTATE:
        return descriptor
    command: Any = fcntl.F_DUPFD_CLOEXEC
    for least in (_HIGH, _HIGH // 5):
        try:
            high: int = fcntl.fcntl(descriptor, command, least)
        except OSError:
            continue
        _close(descriptor)
        return high
    return descriptor


def _first_line(descriptor: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, _HEADER_BYTES, 0).partition(b"\n")[0]
    return b""


def _say(text: str) -> None:
    try:
        _write(2, text.encode(sys.getfilesystemencoding(), "replace"))
    except OSError:
        return
