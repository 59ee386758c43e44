"""The supervisor's end of ``tomada reload``: a socket file, through which it is asked for its state, or to reload."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.endpoint import log
from tomada.errors import UNREADABLE
from tomada.server.workers.directory import (
    SUFFIX,
    Asked,
    DirectoryError,
    Outcome,
    Process,
    Status,
    folder,
    private_folder,
)

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tomada.server.workers.supervisor import Supervisor

_MOST_CALLERS: Final = 16
_LONGEST_LINE: Final = 4_096


class Control:
    """Lets this user's programs speak with `supervisor` while the ``with`` lasts.

    Where that is not possible the log says so: signals do the same.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._listening: socket.socket | None = None
        self._file: Path | None = None
        self._callers: dict[socket.socket, bytes] = {}
        self._asked: set[socket.socket] = set()

    def __enter__(self) -> Self:
        try:
            self._file = private_folder(folder()) / f"{os.getpid()}{SUFFIX}"
            self._listening = _listening(self._file)
        except (OSError, DirectoryError) as error:
            self._file = None
            log.warning("`tomada reload` will not find this server: %s; SIGHUP reloads it, too", error)
            return self
        self._supervisor.watch(self._listening, self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._listening is not None:
            self._listening.close()
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink()
        for caller in tuple(self._callers):
            caller.close()

    def _accept(self) -> None:
        assert self._listening is not None, "it is watched"  # noqa: S101 - the house's own order
        try:
            caller, _ = self._listening.accept()
        except OSError:
            return  # the caller has gone, or there is no descriptor left: it is told by the end
        if len(self._callers) >= _MOST_CALLERS:
            # Whoever says nothing makes room; those who wait for a reload are answered.
            silent = next((one for one in self._callers if one not in self._asked), caller)
            self._end(silent)
            if silent is caller:
                return
        caller.settimeout(0)
        self._callers[caller] = b""
        self._supervisor.watch(caller, lambda: self._read(caller))

    def _read(self, caller: socket.socket) -> None:
        try:
            data = caller.recv(_LONGEST_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        asked = self._callers.get(caller, b"") + data
        if not data or len(asked) > _LONGEST_LINE:
            self._end(caller)
        elif b"\n" in asked:
            self._asked.add(caller)
            self._answer(caller, asked.partition(b"\n")[0])
        else:
            self._callers[caller] = asked

    def _answer(self, caller: socket.socket, line: bytes) -> None:
        try:
            asked = msgspec.json.decode(line, type=Asked)
        except UNREADABLE:
            asked = Asked("")
        command, began = asked.command, time.monotonic()
        if command == "status":
            self._tell(caller, self._status())
        elif command == "reload":
            self._supervisor.reload(lambda failure: self._tell(caller, self._outcome(began, failure)))
        elif command == "drain":
            self._supervisor.drain(asked.worker, lambda failure: self._tell(caller, self._outcome(began, failure)))
        else:
            self._end(caller)

    def _status(self) -> Status:
        supervisor = self._supervisor
        workers = tuple(Process(*worker) for worker in supervisor.workers())
        return Status(
            name=supervisor.plan.name,
            pid=os.getpid(),
            app=supervisor.app,
            addresses=supervisor.addresses,
            workers=workers,
        )

    def _outcome(self, began: float, failure: str) -> Outcome:
        return Outcome(seconds=time.monotonic() - began, workers=tuple(self._supervisor.pids), failure=failure)

    def _tell(self, caller: socket.socket, answer: Status | Outcome) -> None:
        with suppress(OSError):  # it has gone, or does not read
            caller.send(msgspec.json.encode(answer) + b"\n")
        self._end(caller)

    def _end(self, caller: socket.socket) -> None:
        self._supervisor.forget(caller)
        self._callers.pop(caller, None)
        self._asked.discard(caller)
        caller.close()


def _listening(file: Path) -> socket.socket:
    """A listening socket at `file`, which appears only once it listens: who finds it refusing takes it for stale."""
    beside = file.with_suffix(".new")
    beside.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(beside))
        made.listen(_MOST_CALLERS)
        made.settimeout(0)
        beside.rename(file)
    except BaseException:
        made.close()
        raise
    return made
