"""Keeps the dashboard's process running beside a server, and ends it with it. Nothing here needs the extra.

The process hears of its starter's end by the end of their channel, whatever that was; so it never stays alone. When the
process ends by itself the server goes on, and another one is started, after ever longer pauses.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.dashboard.told import Line, Told
from tomada.endpoint import log
from tomada.feed.machine import is_running
from tomada.feed.notes import LogKeeper
from tomada.server.workers.backoff import BackOff
from tomada.server.workers.directory import DirectoryError, folder, private_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

CHANNEL: Final = "TOMADA_DASHBOARD"
"""The environment variable that tells the process its descriptors: of the channel, then those to listen at."""
_SUFFIX: Final = ".watched"
_PATIENCE: Final = 3.0
"""Seconds in which the process ends when it is to, before it is killed."""
_LONGEST_FOLDER: Final = 60
"""Bytes of what it is in, so that the socket files in it have names that the system takes."""
_NEEDED: Final = ("starlette", "uvicorn", "websockets")


def missing() -> str:
    """What is to be installed before there can be a dashboard; empty: nothing."""
    return "" if all(find_spec(name) for name in _NEEDED) else "pip install 'tomada[dashboard]'"


def make_folder() -> Path:
    """A folder for the socket files of this process and those that it starts, which only its user may enter.

    Those that killed processes have left behind are removed.

    Raises:
        DirectoryError: There can be none; the text says why.
    """
    try:
        place = private_folder(folder())
        _sweep(place)
        if len(os.fsencode(place)) <= _LONGEST_FOLDER:
            return Path(tempfile.mkdtemp(_SUFFIX, f"{os.getpid()}.", place))
        return Path(tempfile.mkdtemp(prefix="tomada-"))
    except OSError as error:
        raise DirectoryError(f"no folder can be made for the dashboard: {error.strerror}") from error


def _sweep(place: Path) -> None:
    for left in place.glob(f"*{_SUFFIX}"):
        number = left.name.partition(".")[0]
        if number.isdigit() and not is_running(int(number)):
            shutil.rmtree(left, ignore_errors=True)


class Keeper:
    """The dashboard of this server, as long as its ``with`` lasts.

    Args:
        told: What the process is told.
        listening: Where it accepts; they belong to this from now on.
        tells_log: Whether it is told what this process logs: where that is not one that serves.
    """

    def __init__(self, told: Told, listening: Sequence[socket.socket], *, tells_log: bool) -> None:
        self._told = told
        self._listening = list(listening)
        self._log = LogKeeper(self._tell) if tells_log else None
        self._is_over = Event()
        self._lock = Lock()
        self._channel: socket.socket | None = None
        self._rest = b""
        self._thread = Thread(target=self._run, name="tomada-dashboard", daemon=True)
        for own in listening:
            os.register_at_fork(after_in_child=own.close)

    def __enter__(self) -> Self:
        if self._log is not None:
            self._log.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._log is not None:
            self._log.stop()
        with self._lock:
            self._is_over.set()
            if self._channel is not None:
                with suppress(OSError):
                    self._channel.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for own in self._listening:
            own.close()
        shutil.rmtree(self._told.folder, ignore_errors=True)

    def _tell(self, when: float, level: str, text: str) -> None:
        """Pass on a line of the log; where the process does not read, it misses some."""
        with self._lock:
            if self._channel is None:
                return
            data = self._rest or msgspec.json.encode(Line(when, level, text)) + b"\n"
            try:
                sent = self._channel.send(data, socket.MSG_DONTWAIT)
            except OSError:
                return
            self._rest = data[sent:]

    # In a thread of its own.

    def _run(self) -> None:
        # The terminal's Ctrl-C reaches the process, too. It is not its own, and is held back for ever.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
        back_off = BackOff()
        while not self._is_over.is_set():
            began = monotonic()
            try:
                self._serve_once()
            except OSError as error:
                log.error("the dashboard cannot be started: %s", error)
            if self._is_over.is_set():
                return
            pause = back_off.pause(monotonic() - began)
            log.error("the dashboard has ended; it is started again in %g s, and the server goes on", pause)
            self._is_over.wait(pause)

    def _serve_once(self) -> None:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = self._started(theirs)
            try:
                self._wait_for(process, ours)
            finally:
                ours.close()  # by which it hears that it is to end
                _end(process)

    def _wait_for(self, process: subprocess.Popen[bytes], ours: socket.socket) -> None:
        """Until it has ended, or is to end: then the channel is shut down."""
        with self._lock:
            if self._is_over.is_set():
                return
            ours.sendall(msgspec.json.encode(self._told) + b"\n")
            self._channel, self._rest = ours, b""
        try:
            while ours.recv(1):
                pass  # it says nothing
        except OSError:
            log.debug("the channel to the dashboard, process %d, is broken", process.pid)
        finally:
            with self._lock:
                self._channel = None

    def _started(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        descriptors = [theirs.fileno(), *(own.fileno() for own in self._listening)]
        safe = () if "" in sys.path or str(Path.cwd()) in sys.path else ("-P",)
        return subprocess.Popen(  # noqa: S603 - this interpreter, and the house's own program
            (sys.executable, *safe, "-m", "tomada.dashboard"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=descriptors,
            env={**os.environ, CHANNEL: ",".join(map(str, descriptors))},
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
