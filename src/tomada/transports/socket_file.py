"""What is at the path of a unix or unixgram address."""

# Importing pathlib would slow every start, for what is rarely asked.
# ruff: noqa: PTH116

from __future__ import annotations

import os
import stat
from contextlib import suppress

import msgspec

from tomada.address import MAX_SOCKET_PATH
from tomada.transports.socket_table import user_name


class SocketFile(msgspec.Struct, frozen=True):
    """What is at a path."""

    exists: bool
    is_socket: bool
    mode: str
    """As ``ls -l`` shows it; empty where there is nothing."""
    owner: str
    group: str
    bytes: int
    """Of the path."""
    limit: int
    """How many the system takes."""


def look(path: str) -> SocketFile:
    """What is at ``path``, as far as this process may see; links are followed."""
    size = len(os.fsencode(path))
    try:
        found = os.stat(path)
    except OSError:
        return SocketFile(False, False, "", "", "", size, MAX_SOCKET_PATH)  # noqa: FBT003 - as declared above
    mode = stat.filemode(found.st_mode)
    owner, group = user_name(found.st_uid), _group_name(found.st_gid)
    return SocketFile(True, stat.S_ISSOCK(found.st_mode), mode, owner, group, size, MAX_SOCKET_PATH)  # noqa: FBT003 - as declared above


def _group_name(number: int) -> str:
    import grp  # noqa: PLC0415 - Windows has none

    with suppress(KeyError):
        return grp.getgrgid(number).gr_name
    return str(number)
