"""The disk of the server's host: the file of its store, which outlives its process, and the backups of it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tomada import Sessions
from tomada.sessions.sqlite import SqliteStore

if TYPE_CHECKING:
    from tests.simulation.world import World

_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of its own is made in it


class Disk:
    """One file of a store, and who has it open."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._directory = TemporaryDirectory(prefix="tomada-", dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None)
        self._path = Path(self._directory.name, "sessions")
        self._opened: SqliteStore | None = None

    def store(self, keep: float) -> SqliteStore:
        """The store, for a process that is about to serve."""
        self._opened = SqliteStore(str(self._path), Sessions(keep=keep), clock=lambda: self._world.now)
        return self._opened

    def release(self) -> None:
        """The process that had it open was killed, and its kernel closes its files."""
        tables: Any = None if self._opened is None else self._opened._tables
        if tables is not None:
            tables.close()

    def backup(self) -> dict[str, bytes]:
        """All that is committed by now."""
        return {path.name: path.read_bytes() for path in self._path.parent.iterdir() if path.suffix != ".sqlite-shm"}

    def put_back(self, backup: dict[str, bytes]) -> None:
        """All is as it was; nobody has it open."""
        for path in self._path.parent.iterdir():
            path.unlink()
        for name, data in backup.items():
            self._path.with_name(name).write_bytes(data)

    def wipe(self) -> None:
        """The world ends."""
        self.release()
        self._directory.cleanup()
