"""The socket for datagrams for programs without an event loop. `tomada.sync` has its public names."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from tomada.address import Address
from tomada.datagrams.directory import Directory
from tomada.datagrams.socket import Datagram, checked, too_long
from tomada.errors import BufferFull, ConnectFailed, DatagramError, TimedOut, TransportError
from tomada.settings import DatagramLimits
from tomada.transports import readiness
from tomada.transports.datagrams import blocking as transport
from tomada.transports.datagrams.transport import DatagramOptions, DatagramStatistics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from tomada.settings import Multicast
    from tomada.transports.datagrams.sockets import Opened

_LONGEST_WAIT = 1.0  # seconds after which a receiver looks whether another thread has closed the socket


class DatagramSocket:
    """A socket for datagrams: what `tomada.DatagramSocket` does, with calls that block. Got from `tomada.sync.bind`.

    Datagrams wait in the system's buffer, not in the program.
    """

    def __init__(self, opened: Opened, peer: Address | None) -> None:
        self._opened = opened
        self._peer = peer
        self._directory = Directory(opened.names.address)
        self._statistics = DatagramStatistics()
        self._is_closed = False
        if peer is not None:
            for to in (None, peer, str(peer)):
                self._directory.names[to] = None

    def send(
        self, data: bytes | bytearray | memoryview, to: str | Address | None = None, *, timeout: float | None = None
    ) -> None:
        """Send a datagram, waiting for room up to `timeout` seconds. See `tomada.DatagramSocket.send`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        data, name = checked(data), self._name(to)
        while not self._send(data, name, to):
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimedOut(f"{self.address}: there was no room to send within {timeout:g} s")
            # A socket file that is full does not make its senders wait: it is looked at again and again.
            pause = 0.01 if self.address.scheme == "unixgram" else _LONGEST_WAIT
            if pause == _LONGEST_WAIT or self._peer is not None:
                wait = pause if left is None else min(left, pause)
                readiness.wait(self._opened.socket, wait, to_receive=False, to_send=True)
            else:
                time.sleep(pause)

    def send_nowait(self, data: bytes | bytearray | memoryview, to: str | Address | None = None) -> None:
        """Send a datagram; raises `BufferFull` where there is no room. A name is looked up, which may wait."""
        if not self._send(checked(data), self._name(to), to):
            raise BufferFull(f"the system has no room for what is sent from {self.address}: send() waits for it")

    def _name(self, to: str | Address | None) -> Any:
        if self._is_closed:
            raise self._closed()
        try:
            return self._directory.names[to]
        except KeyError:
            pass
        if to is None:
            raise DatagramError(f"say whom to send to: {self.address} was bound without a peer")
        if self._peer is not None:
            raise DatagramError(f"cannot send to {to}: the socket was bound with the peer {self._peer}")
        name = transport.look_up(self._opened, Address.of(to))
        self._directory.keep(to, name)
        return name

    def _send(self, data: bytes, name: Any, to: object) -> bool:
        if len(data) > self._opened.longest:
            self._statistics.too_long += 1
            raise too_long(data, self._peer if to is None else to, self._opened.longest)
        try:
            sent = transport.send_now(self._opened, data, name)
        except (ConnectionError, FileNotFoundError) as error:
            raise self._refusal(error) from error
        except OSError as error:
            self._statistics.unreachable += 1
            raise ConnectFailed(f"cannot send to {self._peer if to is None else to}: {error.strerror}") from error
        self._statistics.sent += sent
        return sent

    def receive(self, *, timeout: float | None = None) -> Datagram:
        """The next datagram. Raises `TimedOut`, `ConnectFailed`, and `TransportError` where the socket is closed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            datagram = self._receive()
            if datagram is not None:
                return datagram
            left = _LONGEST_WAIT if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise TimedOut(f"{self.address}: no datagram came within {timeout:g} s")
            readiness.wait(self._opened.socket, min(left, _LONGEST_WAIT))

    def _receive(self) -> Datagram | None:
        if self._is_closed:
            raise self._closed()
        try:
            came = transport.receive_now(self._opened)
        except ConnectionError as error:
            raise self._refusal(error) from error
        except OSError as error:
            if self._is_closed:
                raise self._closed() from error
            raise
        if came is None:
            return None
        data, name = came
        if data is None:
            self._statistics.truncated += 1
            return None
        self._statistics.received += 1
        return Datagram(data, self._directory[name] if self._peer is None else self._peer)

    def __iter__(self) -> Iterator[Datagram]:
        """The datagrams that `receive` gives, until the socket is closed; a refusal is counted and passed over."""
        while True:
            try:
                datagram = self.receive()
            except ConnectFailed:
                continue
            except TransportError:
                return
            yield datagram

    def _refusal(self, error: OSError) -> ConnectFailed:
        self._statistics.refused += 1
        return ConnectFailed(f"nobody receives at {self._peer or 'that address'}: {error}; start the receiver")

    def _closed(self) -> TransportError:
        return TransportError(f"the socket at {self.address} has been closed")

    @property
    def address(self) -> Address:
        """Where the socket is, with the port that the system chose in place of 0."""
        return self._opened.address

    @property
    def peer(self) -> Address | None:
        """The only one it sends to and receives from; None where it is open to all."""
        return self._peer

    @property
    def statistics(self) -> DatagramStatistics:
        """The counts of this moment."""
        if not self._is_closed:
            self._statistics.dropped_by_system = self._opened.dropped()
        return msgspec.structs.replace(self._statistics)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def close(self) -> None:
        """Close. A thread that receives is told so within a second. To call it again does nothing."""
        if not self._is_closed:
            self._statistics.dropped_by_system = self._opened.dropped()
            self._is_closed = True
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DatagramSocket at {self.address}{', closed' if self.is_closed else ''}>"


def bind(
    address: str | Address,
    *,
    peer: str | Address | None = None,
    multicast: Multicast | None = None,
    broadcast: bool = False,
    limits: DatagramLimits | None = None,
) -> DatagramSocket:
    """A socket for datagrams at `address`, for programs without an event loop.

    ::

        with tomada.sync.bind("udp://:7001") as socket:
            for datagram in socket:
                socket.send(datagram.data, datagram.peer)

    Arguments and errors are those of `tomada.bind`; of the limits, `buffer_bytes` is what is asked of the system.
    """
    options = DatagramOptions(multicast=multicast, broadcast=broadcast, limits=limits or DatagramLimits())
    to = None if peer is None else Address.of(peer)
    return DatagramSocket(transport.open_now(Address.of(address), to, options), to)
