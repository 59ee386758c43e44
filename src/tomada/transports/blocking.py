"""Stream sockets for programs without an event loop."""

from __future__ import annotations

import errno
import os
import select
import socket
from typing import TYPE_CHECKING, Final

from tomada.errors import ConnectFailed
from tomada.transports import tcp, unix

if TYPE_CHECKING:
    from tomada.address import Address

_AT_ONCE: Final = getattr(socket, "MSG_DONTWAIT", 0)  # Windows has no such flag, and waits


def connect(address: Address, timeout: float) -> socket.socket:
    """A connected, blocking stream socket.

    Raises:
        ConnectFailed: Nobody could be reached within `timeout` seconds; the text says why.
    """
    if address.scheme == "memory":
        why = "memory joins ends of one event loop, and here is none; take `await tomada.connect(…)`, or a unix address"
        raise ConnectFailed(f"cannot connect to {address}: {why}")
    if address.scheme not in ("tcp", "unix"):
        raise ConnectFailed(f"cannot connect to {address}: this version connects to tcp and unix addresses only")
    if address.scheme == "tcp" and not address.port:
        raise ConnectFailed(f"cannot connect to {address}: port 0 is for listening; give the port that is listened on")
    try:
        connected = _connect_tcp(address, timeout) if address.scheme == "tcp" else _connect_unix(address, timeout)
    except (OSError, UnicodeError) as error:
        transport = unix if address.scheme == "unix" else tcp
        raise transport.connect_error(address, error, timeout) from error
    connected.settimeout(None)
    return connected


def _connect_tcp(address: Address, timeout: float) -> socket.socket:
    connected = socket.create_connection((address.host or "localhost", address.port or 0), timeout)
    if connected.getsockname() == connected.getpeername():
        # A local port out of the system's own range may be picked as the source as well, and TCP joins the two.
        connected.close()
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _connect_unix(address: Address, timeout: float) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX)
    try:
        connected.settimeout(timeout)
        connected.connect(address.path)
    except BaseException:
        connected.close()
        raise
    return connected


def send_some(to: socket.socket, data: memoryview) -> int:
    """How many bytes the kernel took at once; 0 where its buffer is full."""
    try:
        return to.send(data, _AT_ONCE)
    except BlockingIOError:
        return 0


def receive_some(source: socket.socket, most: int) -> bytes | None:
    """What has come; None where nothing has, and no bytes at the end."""
    try:
        return source.recv(most, _AT_ONCE)
    except BlockingIOError:
        return None


def wait(on: socket.socket, seconds: float | None, *, to_receive: bool = True, to_send: bool = False) -> bool:
    """Wait until the socket is ready; whether there is something to receive, or the end."""
    if not hasattr(select, "poll"):  # Windows
        ready, _, _ = select.select([on] if to_receive else [], [on] if to_send else [], [], seconds)
        return bool(ready)
    poll = select.poll()
    poll.register(on, select.POLLIN * to_receive | select.POLLOUT * to_send)
    events = poll.poll(None if seconds is None else max(0.0, seconds) * 1000)
    return bool(events) and bool(events[0][1] & ~select.POLLOUT)
