"""How many connections may wait to be accepted, which Linux tells only by its netlink interface: sock_diag(7)."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE: Final = 1.0
_LONGEST: Final = 65_536
_SOCK_DIAG: Final = 4  # NETLINK_SOCK_DIAG in include/uapi/linux/netlink.h
_BY_FAMILY: Final = 20  # SOCK_DIAG_BY_FAMILY in include/uapi/linux/sock_diag.h
_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
_LISTEN: Final = 1 << 10  # TCP_LISTEN as a bit
_HEADER: Final = struct.Struct("=IHHII")  # struct nlmsghdr
_INET_ASKED: Final = struct.Struct("=BBBxI48x")  # struct inet_diag_req_v2, of any socket
_INET_TOLD: Final = struct.Struct("=BBBx48x4xIIII")  # struct inet_diag_msg
_UNIX_ASKED: Final = struct.Struct("=BxxxIIIII")  # struct unix_diag_req
_UNIX_TOLD: Final = struct.Struct("=BBBxIII")  # struct unix_diag_msg
_ATTRIBUTE: Final = struct.Struct("=HH")  # struct nlattr
_LENGTHS: Final = struct.Struct("=II")  # struct unix_diag_rqlen
_SHOW_LENGTHS, _LENGTHS_TYPE = 0x10, 4  # UDIAG_SHOW_RQLEN, UNIX_DIAG_RQLEN


class AcceptQueue(NamedTuple):
    """Of a socket that listens."""

    waiting: int
    """Connections that wait to be accepted."""
    limit: int
    """More than so many are turned away, or kept waiting elsewhere."""


def accept_queues() -> dict[str, AcceptQueue]:
    """The queues of all TCP and Unix sockets that listen, by inode; none where the system does not tell."""
    if sys.platform != "linux":
        return {}
    found: dict[str, AcceptQueue] = {}
    with suppress(OSError, struct.error):
        for family in (socket.AF_INET, socket.AF_INET6):
            asked = _INET_ASKED.pack(family, socket.IPPROTO_TCP, 0, _LISTEN)
            found |= dict(map(_inet_queue, _told(asked)))
        asked = _UNIX_ASKED.pack(socket.AF_UNIX, _LISTEN, 0, _SHOW_LENGTHS, 0, 0)
        found |= dict(map(_unix_queue, _told(asked)))
    return found


def _told(asked: bytes) -> Iterator[bytes]:
    """The payloads of the kernel's answers."""
    if sys.platform != "linux":
        return
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as asking:
        asking.settimeout(_PATIENCE)
        asking.sendto(_HEADER.pack(_HEADER.size + len(asked), _BY_FAMILY, _DUMP, 1, 0) + asked, (0, 0))
        while True:
            for kind, payload in _messages(asking.recv(_LONGEST)):
                if kind in (_ERROR, _DONE):
                    return
                yield payload


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        yield kind, data[at + _HEADER.size : at + length]
        at += _padded(max(length, _HEADER.size))


def _inet_queue(payload: bytes) -> tuple[str, AcceptQueue]:
    _, _, _, waiting, limit, _, inode = _INET_TOLD.unpack_from(payload)
    return str(inode), AcceptQueue(waiting, limit)


def _unix_queue(payload: bytes) -> tuple[str, AcceptQueue]:
    inode = _UNIX_TOLD.unpack_from(payload)[3]
    at = _UNIX_TOLD.size
    while at < len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, at)
        if kind == _LENGTHS_TYPE:
            return str(inode), AcceptQueue(*_LENGTHS.unpack_from(payload, at + _ATTRIBUTE.size))
        at += _padded(max(length, _ATTRIBUTE.size))
    return str(inode), AcceptQueue(0, 0)


def _padded(length: int) -> int:
    return (length + 3) & ~3
