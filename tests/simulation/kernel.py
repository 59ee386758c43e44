"""What a kernel does for one end of a connection, and the wire with it.

A `Socket` is bounded in both directions; it lives on when its process stands still, and for a while when that is dead.
What leaves it travels in pieces, in order. A reset strikes after a certain byte, and may reach both ends, one, or none.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from tests.simulation.network import Network
    from tests.simulation.process import Process
    from tests.simulation.transport import SimulatedTransport

Name = tuple[str, int]
"""Host and port."""
_HEADER: Final = 16


class Path:
    """One direction between two hosts."""

    __slots__ = ("bandwidth", "cuts", "free_at", "latency", "piece")

    def __init__(self, latency: tuple[float, float], bandwidth: float, piece: int) -> None:
        self.latency = latency
        """In seconds, from and to: drawn for each piece."""
        self.bandwidth = bandwidth
        """Bytes per second."""
        self.piece = piece
        """How many bytes travel together, at most."""
        self.cuts = 0
        """How many faults interrupt it just now: nothing gets through while there is one."""
        self.free_at = 0.0


class Reset(NamedTuple):
    """A reset that strikes one direction of a connection, in the frame with this number, at this place in it."""

    frame: int
    place: float
    """From 0 to 1: which byte of the frame; below 0 a byte of its header, counted from its end: -16 is its first."""
    near: bool
    """Whether the end that sent hears of it."""
    far: bool
    """Whether the end that was to receive does. Where an end does not hear of it, its bytes vanish from then on."""


class Socket:
    """The kernel's part of one end of a connection."""

    def __init__(self, network: Network, process: Process, own: Name, other: Name, number: int) -> None:
        self.network = network
        self.process = process
        self.own = own
        self.other = other
        self.number = number
        self.peer: Socket | None = None
        self.transport: SimulatedTransport | None = None
        self.path = network.path(own[0], other[0])
        self.back = network.path(other[0], own[0])
        self._unsent = bytearray()
        self._flying: deque[bytes] = deque()
        """An empty one says that nothing more follows."""
        self._unconfirmed = 0
        self._unheard = 0
        """Bytes that have come, which this end is not told because the way back is cut."""
        self._flight = 0
        self._is_stuck = False
        self._last = 0.0
        self._room = network.buffer
        self.unread = bytearray()
        self.has_ended = False
        """Whether the peer sends no more."""
        self.error: OSError | None = None
        self.is_orphan = False
        """Whether no process has it any more."""
        self.is_gone = False
        self.is_dumb = False
        """Whether what it sends vanishes: something on the way has forgotten the connection."""
        self.lingers = True
        self._wants_end = False
        self._said_end = False
        self._reset: Reset | None = None
        self._target = 0
        self._frames = -1
        """The number of the frame under way."""
        self._boundary = 0
        """Where it ends."""
        self._length = 0
        self._header = bytearray()
        self._delivered = 0
        self._strike_byte: int | None = None

    # Its process calls these.

    @property
    def held(self) -> int:
        """How many bytes it holds that the peer has not confirmed."""
        return len(self._unsent) + self._unconfirmed

    def send(self, data: memoryview) -> int:
        """Take as much of `data` as there is room for; how much that was."""
        if self.is_gone or self._wants_end:
            return len(data)
        taken = max(0, min(len(data), self._room - self.held))
        self._unsent += data[:taken]
        self._pump()
        return taken

    def receive(self, most: int) -> bytes:
        """What has come."""
        data = bytes(self.unread[:most])
        del self.unread[:most]
        if self.peer is not None:
            self.peer._pump()
        return data

    def finish(self) -> None:
        """Nothing more is sent."""
        self._wants_end = True
        self._pump()

    def orphan(self) -> None:
        """Its process has closed it, or is no more: what it has is still sent, then the end; or a reset."""
        if self.is_orphan:
            return
        self.is_orphan = True
        self.network.sockets.pop(self.number, None)
        if self.is_gone:
            return
        if self.unread or not self.lingers:
            self._end()
            self.network.tell_reset(self)
        else:
            self.finish()

    # The wire.

    def _pump(self) -> None:
        """Let as much travel as the peer's kernel has room for."""
        peer, path = self.peer, self.path
        if peer is None or self.is_gone or path.cuts:
            return
        world = self.network.world
        while self._unsent:
            window = self._room - len(peer.unread) - self._unconfirmed
            piece = bytes(self._unsent[: min(path.piece, window)]) if window > 0 else b""
            if not piece:
                return
            del self._unsent[: len(piece)]
            self._unconfirmed += len(piece)
            path.free_at = max(path.free_at, world.now) + len(piece) / path.bandwidth
            self._fly(piece, path.free_at)
        if self._wants_end and not self._said_end:
            self._said_end = True
            self._fly(b"", world.now)

    def _fly(self, piece: bytes, from_: float) -> None:
        self._flying.append(piece)
        self._schedule(from_)

    def _schedule(self, from_: float) -> None:
        low, high = self.path.latency
        at = from_ + low + (high - low) * self.network.random.random()
        self._last = at = max(at, self._last)
        self.network.world.at(at, self._land, self._flight)

    def _land(self, flight: int) -> None:
        if flight != self._flight:
            return
        if self.path.cuts:
            self._flight += 1
            self._is_stuck = True
            return
        piece = self._flying.popleft()
        peer = self.peer
        if self.is_dumb or peer is None:
            return  # it vanishes
        if piece and (peer.is_gone or peer.is_orphan):
            peer._end()
            self.network.tell_reset(peer)
        elif piece:
            self._deliver(peer, piece)
        else:
            peer.has_ended = True
            peer._tell_readable()
            if self.is_orphan and self.has_ended:
                self._end()
            if peer.is_orphan and peer._said_end and not peer._flying:
                peer._end()

    def _deliver(self, peer: Socket, piece: bytes) -> None:
        strike = self._struck(piece)
        if strike is not None:
            piece = piece[:strike]
        self._delivered += len(piece)
        network = self.network
        network.delivered += 1
        network.world.history.note(f"{self.number}>{peer.number} {len(piece)} {crc32(piece):08x}")
        self._confirm(len(piece))
        if piece:
            peer.unread += piece
            peer._tell_readable()
        if strike is not None:
            self._strike()

    def _confirm(self, count: int) -> None:
        if self.back.cuts:
            self._unheard += count
            return
        self._unconfirmed -= count
        if self.transport is not None and self.transport.waits and not self.is_orphan:
            self.process.post(self.transport.become_writable)
        self._pump()

    def recover(self) -> None:
        """A cut has healed: what got lost is sent again, what came is confirmed."""
        if self.is_gone:
            return
        if self._is_stuck and not self.path.cuts:
            self._is_stuck = False
            self._flight += 1
            for _ in self._flying:
                self._schedule(self.network.world.now)
        if self._unheard and not self.back.cuts:
            count, self._unheard = self._unheard, 0
            self._confirm(count)
        self._pump()

    def _tell_readable(self) -> None:
        if self.transport is not None and not self.is_orphan:
            self.transport.wake()

    # Resets.

    def hear_reset(self) -> None:
        """A reset has come."""
        if self.is_gone:
            return
        self._end()
        if not self.is_orphan:
            self.error = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            if self.network.random.random() < 0.5:
                self.unread.clear()
            self._tell_readable()

    def _end(self) -> None:
        self.is_gone = True
        self._unsent.clear()
        self._flying.clear()
        self._flight += 1

    def straggle(self, seconds: float) -> bool:
        """This end hears of a reset; to its peer all that is under way comes late. Whether anything is."""
        peer = self.peer
        late = b"".join(self._flying) + bytes(self._unsent)
        if peer is None or self.is_gone or self.is_dumb or not late:
            return False  # where something has vanished, nothing comes behind it
        self.hear_reset()
        peer.is_dumb = True

        def come() -> None:
            if not (peer.is_gone or peer.is_orphan):
                peer.unread += late
                peer._tell_readable()

        self.network.world.later(seconds, come)
        return True

    def strike_at(self, reset: Reset) -> None:
        """Let a reset strike; its frames are counted from the one under way."""
        self._reset = reset
        self._target = max(0, self._frames) + reset.frame
        if self._target == self._frames:
            self._aim(self._boundary - self._length - _HEADER, self._length)

    def _aim(self, start: int, length: int) -> None:
        """The frame that it is to strike begins at `start`."""
        assert self._reset is not None
        place = self._reset.place
        offset = _HEADER + int(place if place < 0 else place * length)
        self._strike_byte = max(start + offset, self._delivered)

    def _struck(self, piece: bytes) -> int | None:
        """Where in `piece` the reset strikes, if it does. Frames are followed by the lengths in their headers."""
        base = self._delivered
        end = base + len(piece)
        while self._boundary < end:
            self._header += piece[max(self._boundary, base) - base : self._boundary + 4 - base]
            if len(self._header) < 4:
                break
            self._length = int.from_bytes(self._header, "big")
            self._header.clear()
            self._frames += 1
            if self._reset is not None and self._frames == self._target:
                self._aim(self._boundary, self._length)
            self._boundary += _HEADER + self._length
        at = self._strike_byte
        return None if at is None or at > end else at - base

    def _strike(self) -> None:
        reset, peer = self._reset, self.peer
        self._reset = self._strike_byte = None
        assert reset is not None
        assert peer is not None
        self.network.struck += 1
        for socket, hears in ((self, reset.near), (peer, reset.far)):
            if hears:
                socket.hear_reset()
            else:
                socket.is_dumb = True
