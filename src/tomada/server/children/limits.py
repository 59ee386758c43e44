"""The bounds of a child: memory, processor time, open files, and whose rights it has."""

from __future__ import annotations

import os
import resource
import sys
from typing import TYPE_CHECKING

import msgspec

from tomada.errors import ChildrenFailed

if TYPE_CHECKING:
    from tomada.settings import Children


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What `bounds_of` has found out: numbers for the system."""

    data_bytes: int | None
    processor_seconds: int | None
    files: int | None
    user: str
    user_id: int
    group_id: int


def bounds_of(children: Children) -> Bounds:
    """The bounds of the children of this process, which has all loaded that they have.

    Raises:
        ChildrenFailed: There is no such user, or no such bound on this system.
    """
    user_id, group_id = _account(children.user) if children.user else (-1, -1)
    data = None if children.memory_bytes is None else _data_bytes() + children.memory_bytes
    return Bounds(
        data_bytes=data,
        processor_seconds=children.processor_seconds,
        files=children.files,
        user=children.user,
        user_id=user_id,
        group_id=group_id,
    )


def _account(user: str) -> tuple[int, int]:
    import pwd  # noqa: PLC0415 - there is none on Windows

    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise ChildrenFailed(f"there is no user {user!r} on this system; check the name") from None
    if os.geteuid() not in (0, found.pw_uid):
        raise ChildrenFailed(f"this process may not become the user {user}; start it as root, or as {user}")
    return found.pw_uid, found.pw_gid


def _data_bytes() -> int:
    """What this process has for data, of the kind that RLIMIT_DATA counts: all private memory that can be written."""
    if sys.platform == "linux":
        with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib would slow every start
            for line in status:
                if line.startswith("VmData:"):
                    return int(line.split()[1]) * 1_024
    raise ChildrenFailed("the memory of a process can be bounded on Linux only; leave memory_bytes away")


def become(bounds: Bounds) -> None:
    """Take on the rights of the user.

    Raises:
        OSError: The system does not permit it.
    """
    if bounds.user and os.geteuid() != bounds.user_id:
        os.initgroups(bounds.user, bounds.group_id)
        os.setgid(bounds.group_id)
        os.setuid(bounds.user_id)


def bound(bounds: Bounds) -> None:
    """Bound this process.

    Raises:
        OSError: The system does not permit it.
        ValueError: A bound is above the one that the whole server has.
    """
    if bounds.data_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (bounds.data_bytes, bounds.data_bytes))
    if bounds.processor_seconds is not None:
        # The first is told by SIGXCPU, which ends a process that does nothing about it; the second by SIGKILL.
        resource.setrlimit(resource.RLIMIT_CPU, (bounds.processor_seconds, bounds.processor_seconds + 1))
    if bounds.files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (bounds.files, bounds.files))
