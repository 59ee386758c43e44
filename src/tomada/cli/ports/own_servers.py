"""Which processes are tomada's own servers: as their supervisors say, or as their command lines do."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

from tomada.cli.ports.rows import OwnServer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.transports.system.socket_table import Process

_COMMANDS: Final = ("serve", "dev")
_PROGRAMS: Final = ("tomada", "tomada.exe")


class OwnServers:
    """Asks the supervisors of this user once; another user's cannot be asked, and are known by their command lines."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        """Why something is not known."""
        self._by_pid = self._supervised()

    def of(self, processes: Iterable[Process]) -> OwnServer | None:
        """The server that one of `processes` belongs to."""
        for process in processes:
            found = self._by_pid.get(process.pid) or _by_command(process)
            if found is not None:
                return found
        return None

    def _supervised(self) -> dict[int, OwnServer]:
        if not hasattr(socket, "AF_UNIX") or not hasattr(os, "geteuid"):
            return {}
        from tomada.server.workers.directory import DirectoryError, folder, running

        try:
            found = [status for _, status in running(folder())]
        except DirectoryError as error:
            self.notes.append(f"tomada's own servers were not asked: {error}")
            return {}
        known: dict[int, OwnServer] = {}
        for status in found:
            server = OwnServer(status.app, status.pid, len(status.workers), status.addresses)
            known |= dict.fromkeys((status.pid, *(worker.pid for worker in status.workers)), server)
        return known


def _by_command(process: Process) -> OwnServer | None:
    """As of ``python -m tomada serve bank.py`` and ``/usr/bin/tomada dev bank:app``."""
    words = process.command.split()
    for at, word in enumerate(words[:-1]):
        is_program = word.replace("\\", "/").rpartition("/")[2] in _PROGRAMS
        if is_program and words[at + 1] in _COMMANDS:
            target = next((each for each in words[at + 2 :] if not each.startswith("-")), "")
            return OwnServer(target, process.pid)
    return None
