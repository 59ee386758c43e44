"""Datagrams in batches: many of them per system call, on a socket of our own that the loop watches.

What is sent within one turn of the loop is collected; runs of the same size to the same receiver leave with one
``sendmsg`` (UDP_SEGMENT), and ``recvmsg`` brings such runs whole (UDP_GRO): udp(7). Where the kernel, a network card or
the kind of socket knows nothing of that, it is one call per datagram.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from tomada.transports.datagrams.transport import MAX_UDP_DATAGRAM, MAX_UNIX_DATAGRAM, DatagramTransport

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tomada.address import Address
    from tomada.settings import DatagramLimits
    from tomada.transports.datagrams.sockets import Opened
    from tomada.transports.datagrams.transport import DatagramStatistics, Receiver, SocketName

UDP_SEGMENT: Final = 103  # include/uapi/linux/udp.h
UDP_GRO: Final = 104
SEGMENTS: Final = 64  # UDP_MAX_SEGMENTS of the kernels before 6.9; later ones take more
READS_PER_TURN: Final = 16
"""So often a socket is read before others have their turn."""
_CONTROL_BYTES: Final = 64
_TRUNCATED: Final = int(getattr(socket, "MSG_TRUNC", 0))  # an enum's own arithmetic takes longer than the whole call
_pack_size: Final = struct.Struct("=H").pack
_unpack_size: Final = struct.Struct("=i").unpack_from
_NO_SEGMENTS: Final = (errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.ENOPROTOOPT)


@lru_cache(64)
def splitter(segment: int, size: int) -> Callable[[Any], tuple[bytes, ...]]:
    """Cuts `size` bytes that came in one piece into datagrams of `segment` bytes, of which the last may be shorter."""
    rest = size % segment
    return struct.Struct(f"{segment}s" * (size // segment) + (f"{rest}s" if rest else "")).unpack_from


class BatchTransport(DatagramTransport):
    """Datagrams over a socket that is read and written here."""

    __slots__ = ("_buffer", "_burst", "_fd", "_is_clogged", "_is_woken", "_limit", "_opened", "_patient", "_reads",
                 "_run", "_run_name", "_run_room", "_run_size", "_runs", "_segments", "_socket", "_view")  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, opened: Opened, receiver: Receiver, limits: DatagramLimits
    ) -> None:
        super().__init__(loop, opened.address, receiver, limits)
        self.longest = opened.longest
        self.names = opened.names
        self._opened = opened
        self._socket = opened.socket
        self._fd = opened.socket.fileno()
        is_udp = opened.address.scheme == "udp"
        self._segments = SEGMENTS if is_udp and _knows(opened.socket, UDP_SEGMENT, 0) else 1
        if is_udp:
            _knows(opened.socket, UDP_GRO, 1)
        # A socket file that is full does not make the sender's socket wait, unless it is connected: unix(7).
        self._patient = is_udp or _is_connected(opened.socket)
        self._limit = limits.buffer_bytes
        self._buffer = [bytearray(MAX_UDP_DATAGRAM + 28 if is_udp else MAX_UNIX_DATAGRAM)]
        self._view = memoryview(self._buffer[0])
        self._reads = 1
        self._runs: deque[tuple[list[bytes], SocketName]] = deque()
        self._run: list[bytes] = []
        self._run_name: SocketName = None
        self._run_size = 0
        self._run_room = 0
        self._burst = 0
        """Bytes handed to the system since the last turn of the loop."""
        self._is_woken = False
        self._is_clogged = False
        loop.add_reader(self._fd, self._readable)

    # Receiving.

    def _readable(self) -> None:
        receive, buffer, view = self._socket.recvmsg_into, self._buffer, self._view
        statistics, deliver = self.statistics, self.receiver.datagrams_received
        reads = self._reads
        for _ in range(reads):
            try:
                size, control, flags, name = receive(buffer, _CONTROL_BYTES)
            except (BlockingIOError, InterruptedError):
                # Looking in vain costs as much as a datagram: where they come one by one it is not tried again.
                self._reads = 1
                return
            except OSError as error:
                self._refused(error)
                continue
            if flags & _TRUNCATED:
                statistics.truncated += 1
                continue
            segment = _unpack_size(control[0][2])[0] if control else 0
            if 0 < segment < size:
                datagrams = splitter(segment, size)(view)
                statistics.received += len(datagrams)
                deliver(datagrams, name)
            else:
                statistics.received += 1
                deliver((view[:size].tobytes(),), name)
            if self.is_closed:
                return
        self._reads = min(2 * reads, READS_PER_TURN)

    def _refused(self, error: OSError) -> None:
        if isinstance(error, ConnectionError):
            self.statistics.refused += 1
        else:
            self.statistics.unreachable += 1
        self.receiver.peer_refused(error)

    # Sending.

    def send(self, data: bytes, name: SocketName) -> None:
        """Put the datagram into the run it continues, or begin another; a run that is full leaves at once."""
        size = len(data)
        self.unsent += size
        if self._run_room and size == self._run_size and name == self._run_name:
            self._run.append(data)
            self._run_room -= 1
            if self._run_room:
                return
        else:
            self._run = [data]
            self._run_name = name
            self._run_size = size
            self._run_room = min(self._segments, MAX_UDP_DATAGRAM // size) - 1 if size else 0
            self._runs.append((self._run, name))
        if not self._is_woken:
            self._is_woken = True
            self.loop.call_soon(self._turn)
        elif not (self._run_room or self._is_clogged) and (self._segments > 1 or len(self._runs) >= SEGMENTS):
            self._flush()
        self._weigh()

    def _weigh(self) -> None:
        # Too much waits, or so much was sent in this turn of the loop that others should have theirs.
        self.is_crowded = self.unsent + self._burst > self._limit

    def _turn(self) -> None:
        self._is_woken = False
        was_crowded = self.is_crowded
        if not self._is_clogged and not self.is_closed:
            self._flush()
        self._burst = 0
        self._weigh()
        if was_crowded and not self.is_crowded:
            self.receiver.room_again()

    def _flush(self) -> None:
        runs = self._runs
        self._run_room = 0
        while runs:
            run, name = runs[0]
            try:
                self._write(run, name)
            except BlockingIOError:
                if self._patient:
                    self._is_clogged = True
                    self.loop.add_writer(self._fd, self._writable)
                    return
                self.statistics.given_up += len(run)
            except OSError as error:
                if self._came_between(error):
                    continue
                if len(run) > 1 and error.errno in _NO_SEGMENTS:
                    self._do_without_segments(error)
                    continue
                self._not_sent(error, len(run))
            else:
                self.statistics.sent += len(run)
            size = sum(map(len, run))
            self.unsent -= size
            self._burst += size
            runs.popleft()

    def _write(self, run: list[bytes], name: SocketName) -> None:
        if len(run) > 1:
            size = _pack_size(len(run[0]))
            self._socket.sendmsg(run, [(socket.IPPROTO_UDP, UDP_SEGMENT, size)], 0, name)
        elif name is None:
            self._socket.send(run[0])
        else:
            self._socket.sendto(run[0], name)

    def _came_between(self, error: OSError) -> bool:
        """Whether the error is that of an earlier datagram, which the system tells in place of sending this one."""
        if not isinstance(error, ConnectionRefusedError) or self._opened.address.scheme != "udp":
            return False
        self._refused(error)
        return True

    def _do_without_segments(self, error: OSError) -> None:
        """The network card cannot cut (EIO), or the datagrams are longer than its packets: send one by one."""
        # Of a receiver's port 0, which anybody can forge, the kernel says EINVAL: that is about this run only.
        if error.errno not in (errno.EMSGSIZE, errno.EINVAL):
            self._segments = 1
        run, name = self._runs.popleft()
        self._runs.extendleft(([data], name) for data in reversed(run))

    def _not_sent(self, error: OSError, count: int) -> None:
        statistics = self.statistics
        if error.errno == errno.EMSGSIZE:
            statistics.too_long += count
        elif error.errno == errno.ENOBUFS:
            statistics.given_up += count
        elif isinstance(error, (ConnectionError, FileNotFoundError)):
            statistics.refused += count
            self.receiver.peer_refused(error)
        else:
            statistics.unreachable += count

    def _writable(self) -> None:
        self.loop.remove_writer(self._fd)
        self._is_clogged = False
        self._flush()
        self._burst = 0
        self._weigh()
        if not self.is_crowded:
            self.receiver.room_again()

    def check_way(self, name: SocketName, address: Address) -> None:
        """As the kernel sees it."""
        self._opened.check_way(name, address)

    def counted(self) -> DatagramStatistics:
        """The counts, with those of the system."""
        if not self.is_closed:
            self.statistics.dropped_by_system = self._opened.dropped()
        return super().counted()

    # The end.

    def stop_receiving(self) -> None:
        """Read no more."""
        if not self.is_closed:
            self.loop.remove_reader(self._fd)

    def close(self) -> None:
        """Send what the system takes at once, and close."""
        if self.is_closed:
            return
        self.counted()
        if not self._is_clogged:
            self._flush()
        self.is_closed = True
        self.statistics.given_up += sum(len(run) for run, _ in self._runs)
        self._runs.clear()
        self.unsent = 0
        self.loop.remove_reader(self._fd)
        self.loop.remove_writer(self._fd)
        self._opened.close()
        self.tell_closed()


def _knows(opened: socket.socket, option: int, value: int) -> bool:
    """Whether the kernel takes the option of UDP."""
    try:
        opened.setsockopt(socket.IPPROTO_UDP, option, value)
    except OSError:
        return False
    return True


def _is_connected(opened: socket.socket) -> bool:
    try:
        opened.getpeername()
    except OSError:
        return False
    return True
