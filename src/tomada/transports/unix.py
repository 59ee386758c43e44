"""Streams through a socket file, through the running loop: only this machine, guarded by the file's permissions.

A server that was killed leaves its file behind. Such a stale file is replaced; the file of a living server, or one that
is no socket, never is.
"""

# Importing pathlib would slow every start, for two calls.
# ruff: noqa: PTH108, PTH116

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tomada.errors import AddressInUse, ConnectFailed, ListenFailed
from tomada.transports.accepting import bound_to_path, can_watch
from tomada.transports.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.address import Address
    from tomada.transports.accepting import Accepting

P = TypeVar("P", bound=asyncio.Protocol)

_QUEUE_IS_FULL = "the server's queue of waiting connections is full; try again later, or raise its backlog"
_NO_UNIX_SOCKETS = "this event loop has no unix sockets; take a tcp address"


async def listen(address: Address, accepting: Accepting) -> Listener:
    """A listener on the socket file, which is made, and removed when the listener closes.

    Two servers that start at the same moment on the same stale file may both win: the later one has the address.

    Raises:
        AddressInUse: Somebody accepts connections there.
        ListenFailed: The file is no socket, its directory is missing, or the system does not permit it.
    """
    path = address.path
    if not hasattr(socket, "AF_UNIX") or not can_watch(asyncio.get_running_loop()):
        raise ListenFailed(f"cannot listen on {address}: {_NO_UNIX_SOCKETS}")
    try:
        await _remove_stale(address)
        server = accepting.at_socket(bound_to_path(address, accepting.backlog, accepting.options.rights))
    except ListenFailed:
        raise
    except OSError as error:
        raise listen_error(address, error) from error
    return Listener([(server, address)], partial(remove_own, path, look(path)))


async def connect(address: Address, factory: Callable[[], P], timeout: float) -> tuple[asyncio.Transport, P]:
    """The connection through the socket file.

    Raises:
        ConnectFailed: The file is missing or no socket, nobody accepts there, or the system does not permit it.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            transport, protocol = await loop.create_unix_connection(factory, address.path)
    except NotImplementedError as error:
        raise ConnectFailed(f"cannot connect to {address}: {_NO_UNIX_SOCKETS}") from error
    except OSError as error:
        raise connect_error(address, error, timeout) from error
    if transport.get_extra_info("peername") is None:
        # Where the queue is full, connect() says EAGAIN. asyncio takes that for "soon" and the socket for connected.
        transport.abort()
        raise ConnectFailed(f"cannot connect to {address}: {_QUEUE_IS_FULL}")
    return transport, protocol


async def _remove_stale(address: Address) -> None:
    path = address.path
    found = look(path)
    if found is None:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ListenFailed(f"cannot listen on {address}: a file that is no socket is there; take another path")
    if await _is_live(path):
        raise AddressInUse(f"cannot listen on {address}: another process accepts there; stop it, or take another path")
    remove(path, found)


async def _is_live(path: str) -> bool:
    """Whether somebody accepts at the socket file: a connection is made for it, and dropped."""
    try:
        probe, _ = await asyncio.get_running_loop().create_unix_connection(asyncio.Protocol, path)
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EPROTOTYPE):  # a full queue, or a socket for datagrams
            return True
        raise
    probe.abort()
    return True


def look(path: str, *, follow: bool = False) -> os.stat_result | None:
    """What is at the path; ``None`` where nothing can be seen. Links are not followed unless asked for."""
    with suppress(OSError):
        return os.stat(path, follow_symlinks=follow)
    return None


def remove(path: str, known: os.stat_result | None) -> None:
    """Deletes the file, unless it has become another one since it was ``known``."""
    found = look(path)
    if known is not None and found is not None and os.path.samestat(known, found):
        os.unlink(path)


def remove_own(path: str, own: os.stat_result | None) -> None:
    """Deletes the file where it is still the ``own`` one."""
    # While the socket is open its inode cannot be given to another file, so that the same means ours. What cannot be
    # removed is stale from now on, and the next listener replaces it.
    with suppress(OSError):
        remove(path, own)


def listen_error(address: Address, error: OSError) -> ListenFailed:
    """What the loop raised while listening on ``address``, in words that say what to do next."""
    folder = address.path.rpartition("/")[0] or "/"
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(f"cannot listen on {address}: something else has just taken the path; take another")
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        why = f"there is no directory {folder}; make it, or take another path"
    elif isinstance(error, PermissionError):
        why = (
            f"this process has no right to make or replace a file in {folder}; change permissions, or take another path"
        )
    else:
        why = str(error)
    return ListenFailed(f"cannot listen on {address}: {why}")


def connect_error(address: Address, error: OSError, timeout: float) -> ConnectFailed:
    """What the loop raised while connecting to ``address``, in words that say what to do next."""
    found = look(address.path, follow=True)
    if isinstance(error, TimeoutError):
        why = f"timed out after {timeout:g} s"
    elif isinstance(error, PermissionError):
        why = "this process may not write to it; change the permissions of the socket file or of its directory"
    elif isinstance(error, BlockingIOError):
        why = _QUEUE_IS_FULL
    elif found is None:
        why = "there is no such file; start the server, or check the path"
    elif not stat.S_ISSOCK(found.st_mode):
        why = "the file is no socket; check the path"
    elif isinstance(error, ConnectionRefusedError):
        why = "nothing listens there; start the server, or check the path"
    else:
        why = str(error)
    return ConnectFailed(f"cannot connect to {address}: {why}")
