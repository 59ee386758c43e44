"""Which supervisors run, and how to speak with them: a socket file for each, in a folder of its user alone."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from tomada.errors import UNREADABLE, TomadaError

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

SUFFIX: Final = ".sock"
_PATIENCE: Final = 2.0
_LONGEST_LINE: Final = 65_536


class DirectoryError(TomadaError):
    """The folder of the supervisors cannot be used, or one of them cannot be spoken with; the text says why."""


class Asked(msgspec.Struct, frozen=True):
    """What a supervisor is asked: ``status``, ``reload`` or ``drain``."""

    command: str
    worker: int = 0
    """Which one is to be drained."""


class Process(msgspec.Struct, frozen=True):
    """One worker."""

    number: int
    pid: int
    seconds: float
    """How long it has served."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor says of itself."""

    name: str
    pid: int
    app: str
    addresses: tuple[str, ...]
    workers: tuple[Process, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a reload has ended."""

    seconds: float
    workers: tuple[int, ...]
    """The processes that serve now."""
    failure: str = ""
    """Why the old ones go on; empty where all is well."""


def folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the socket files of this user's supervisors are.

    ``$RUNTIME_DIRECTORY/tomada``, which systemd gives to a service, else ``$XDG_RUNTIME_DIR/tomada``, else
    ``/tmp/tomada-UID``.
    """
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        given = environment.get(name, "").partition(":")[0]
        if Path(given).is_absolute():
            return Path(given) / "tomada"
    return Path(tempfile.gettempdir()) / f"tomada-{os.geteuid()}"


def private_folder(place: Path) -> Path:
    """`place`, made where it is missing, once it is sure that nobody else may enter it.

    Raises:
        DirectoryError: It is somebody else's, or open to others.
    """
    try:
        with suppress(FileExistsError):
            place.mkdir(mode=0o700)
        found = place.lstat()
    except OSError as error:
        raise DirectoryError(f"the folder {place} cannot be made: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        what = "it must be a folder of this user that nobody else may enter: remove it, or chmod 700"
        raise DirectoryError(f"{place} cannot be used for control sockets: {what}")
    return place


def running(place: Path) -> list[tuple[Path, Status]]:
    """The supervisors that run, by process id. What those have left behind that were killed is removed.

    Raises:
        DirectoryError: The folder is somebody else's, or open to others.
    """
    if not place.exists():
        return []
    found = []
    for file in sorted(private_folder(place).glob(f"*{SUFFIX}"), key=lambda file: file.name.zfill(20)):
        try:
            found.append((file, ask(file, "status", Status, timeout=_PATIENCE)))
        except ConnectionRefusedError:
            with suppress(OSError):
                file.unlink()
        except (OSError, DirectoryError):
            continue  # it ends just now, or does not answer: a reload could not be asked of it either
    return found


def ask(file: Path, command: str, kind: type[T], *, timeout: float | None, worker: int = 0) -> T:
    """What the supervisor behind `file` answers.

    Raises:
        OSError: It cannot be reached, or does not answer in time.
        DirectoryError: It has ended, or answers what cannot be understood.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(timeout)
        asking.connect(str(file))
        asking.sendall(msgspec.json.encode(Asked(command, worker)) + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            data = asking.recv(_LONGEST_LINE)
            if not data or len(answer) > _LONGEST_LINE:
                raise DirectoryError("the supervisor ended before it answered")
            answer += data
    try:
        return msgspec.json.decode(answer, type=kind)
    except UNREADABLE as error:
        raise DirectoryError(f"the supervisor's answer is not understood; is it of another version? {error}") from error
