"""Who may use a socket file: its mode and owner, and the users whose processes may connect.

Names become numbers when an address begins to be listened on; one that the machine does not know is an error then, and
nobody is let in by mistake.
"""

# Importing pathlib would slow every start, for two calls.
# ruff: noqa: PTH101, PTH108

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.errors import ListenFailed
from tomada.transports.credentials import IS_TOLD

if TYPE_CHECKING:
    import socket

    from tomada.address import Address

LARGEST_MODE: Final = 0o777
_UNCHANGED: Final = -1


class FileRights(msgspec.Struct, frozen=True, kw_only=True):
    """What a socket file is made with.

    Attributes:
        mode: As of chmod; who may connect needs the right to write. ``None``: as the process's umask has it.
        owner: ``user``, ``user:group`` or ``:group``, by name or by number; empty: the process's own.
    """

    mode: int | None = None
    owner: str = ""

    def __post_init__(self) -> None:
        if self.mode is not None and not (type(self.mode) is int and 0 <= self.mode <= LARGEST_MODE):
            raise ValueError(f"unix_mode is {self.mode!r}, it must be from 0 to 0o777, such as 0o660")


def bind(own: socket.socket, address: Address, rights: FileRights) -> None:
    """Make the socket file, which nobody can connect to before its socket listens.

    It never has more rights than it is to have, not even for a moment.

    Raises:
        ListenFailed: The owner is not known, or the system does not permit to give it the file.
        OSError: Anything else that the system refused.
    """
    path, owner = address.path, _owner(address, rights.owner)
    if rights.mode is None:
        own.bind(path)
    else:
        _bind_closed(own, path)
    try:
        if owner is not None:
            os.chown(path, *owner, follow_symlinks=False)
        if rights.mode is not None:
            os.chmod(path, rights.mode)
    except OSError as error:
        with suppress(OSError):
            os.unlink(path)
        if isinstance(error, PermissionError) and owner is not None:
            why = "only root may give a file to another user, and others only to a group that they are in"
            raise ListenFailed(f"cannot listen on {address}: unix_owner is {rights.owner!r}: {why}") from error
        raise


def _bind_closed(own: socket.socket, path: str) -> None:
    """Make the file with no rights at all."""
    if sys.platform == "linux":
        os.fchmod(own.fileno(), 0)  # what the socket has, less the umask, its file gets
        own.bind(path)
    else:
        before = os.umask(LARGEST_MODE)  # of the whole process: a file that another thread makes now is closed, too
        try:
            own.bind(path)
        finally:
            os.umask(before)


def _owner(address: Address, text: str) -> tuple[int, int] | None:
    """The numbers of the user and of the group; -1 leaves one as it is."""
    if not text:
        return None
    user, _, group = text.partition(":")
    try:
        return user_number(user) if user else _UNCHANGED, group_number(group) if group else _UNCHANGED
    except ValueError as error:
        raise ListenFailed(f"cannot listen on {address}: unix_owner is {text!r}: {error}") from None


def allowed_users(address: Address, names: tuple[str | int, ...]) -> frozenset[int] | None:
    """The numbers of the users that may connect; ``None``: all may.

    Raises:
        ListenFailed: One is not known, or the system does not tell who connects.
    """
    if not names or address.scheme != "unix":
        return None
    if not IS_TOLD:
        why = "this system does not tell who connects: guard the socket file by its mode and owner"
        raise ListenFailed(f"cannot listen on {address} for allow_users alone: {why}")
    try:
        return frozenset(map(user_number, names))
    except ValueError as error:
        raise ListenFailed(f"cannot listen on {address}: allow_users is {names!r}: {error}") from None


def user_number(name: str | int) -> int:
    """The number of a user, by name or by number. Raises `ValueError`: there is none of that name."""
    import pwd  # noqa: PLC0415 - Windows has none

    if isinstance(name, str):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    return _number(name, "user")


def group_number(name: str | int) -> int:
    """The number of a group, by name or by number. Raises `ValueError`: there is none of that name."""
    import grp  # noqa: PLC0415 - Windows has none

    if isinstance(name, str):
        with suppress(KeyError):
            return grp.getgrnam(name).gr_gid
    return _number(name, "group")


def _number(name: str | int, what: str) -> int:
    """A number as it stands: it need not have a name."""
    if type(name) is int and name >= 0:
        return name
    if isinstance(name, str) and name.isascii() and name.isdigit():
        return int(name)
    raise ValueError(f"there is no {what} {name!r} on this machine")
