"""A transport as asyncio's own over a socket: what is written goes to the kernel as far as that has room."""

from __future__ import annotations

import asyncio
import socket as sockets
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.simulation.kernel import Socket

FILES: Final = 1 << 30
"""A simulated socket's file number is so much more than its own: no file of this process has such a one."""
_MOST: Final = 262_144
"""So much is read at once, as asyncio does."""
_HIGH: Final = 65_536


class _Options:
    """What the product asks of a socket beside its bytes."""

    family = sockets.AF_INET
    type = sockets.SOCK_STREAM
    proto = sockets.IPPROTO_TCP

    def __init__(self, kernel: Socket) -> None:
        self._kernel = kernel

    def fileno(self) -> int:
        return FILES + self._kernel.number

    def setsockopt(self, level: int, name: int, value: object) -> None:
        if (level, name) == (sockets.SOL_SOCKET, sockets.SO_LINGER):
            self._kernel.lingers = not value

    def getsockopt(self, level: int, name: int, length: int = 0) -> int:
        del level, name, length
        return 0


class SimulatedTransport(asyncio.Transport):
    """One end of a connection, as a protocol sees it."""

    def __init__(self, kernel: Socket) -> None:
        super().__init__()
        self._kernel = kernel
        self._loop = kernel.process
        self._protocol: Any = None
        self._buffer = bytearray()
        self._high, self._low = _HIGH, _HIGH // 4
        self._is_full = False
        self._is_awake = False
        self._is_paused = False
        self._is_closing = False
        self._is_lost = False
        self._ends = False
        self._has_ended = False
        kernel.transport = self

    def begin(self, protocol: asyncio.Protocol) -> None:
        """There is a connection."""
        self._protocol = protocol
        protocol.connection_made(self)
        if self._kernel.unread or self._kernel.has_ended or self._kernel.error:
            self.wake()

    # The kernel calls these, in a turn of the process.

    @property
    def waits(self) -> bool:
        """Whether it waits for the kernel to have room."""
        return bool(self._buffer)

    def wake(self) -> None:
        """Something has come: let the process see to it in its next turn."""
        if not (self._is_awake or self._is_paused):
            self._is_awake = True
            self._loop.post(self.become_readable)

    def become_readable(self) -> None:
        """Something has come: bytes, the end, or a reset."""
        self._is_awake = False
        if self._is_paused or self._is_closing:
            return
        kernel = self._kernel
        if kernel.unread:
            if getattr(self._protocol, "transport", None) not in (None, self):
                self._loop.world.violate(f"{self._loop.name} reads an older connection of a session beside the newer")
            self._protocol.data_received(kernel.receive(_MOST))
            if kernel.unread or kernel.has_ended or kernel.error:
                self.wake()
        elif kernel.error is not None:
            self._lose(kernel.error)
        elif kernel.has_ended and not self._has_ended:
            self._has_ended = True
            if not self._protocol.eof_received():
                self.close()

    def become_writable(self) -> None:
        """The kernel has room again."""
        if self._is_lost:
            return
        if self._kernel.error is not None:
            self._lose(self._kernel.error)
            return
        if self._buffer:
            taken = self._kernel.send(memoryview(self._buffer))
            del self._buffer[:taken]
        if self._is_full and len(self._buffer) <= self._low:
            self._is_full = False
            self._protocol.resume_writing()
        if not self._buffer:
            if self._is_closing:
                self._lose(None)
            elif self._ends:
                self._kernel.finish()

    def _lose(self, error: Exception | None) -> None:
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        self._buffer.clear()
        self._loop.call_soon(self._tell_lost, error)

    def _tell_lost(self, error: Exception | None) -> None:
        self._kernel.orphan()
        self._protocol.connection_lost(error)

    # The protocol calls these.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_lost or not data:
            return
        assert not self._is_closing, "asyncio's transports still write what comes after close(); ours must not need it"
        view = memoryview(data)
        taken = 0 if self._buffer else self._kernel.send(view)
        self._buffer += view[taken:]
        if len(self._buffer) > self._high and not self._is_full:
            self._is_full = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        self._ends = True
        if not self._buffer:
            self._kernel.finish()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            if not self._buffer:
                self._lose(None)

    def abort(self) -> None:
        self._lose(None)

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self.wake()

    def is_reading(self) -> bool:
        return not (self._is_paused or self._is_closing)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return cast("asyncio.BaseProtocol", self._protocol)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = _HIGH if low is None else 4 * low
        self._high, self._low = high, high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        known: dict[str, Any] = {"sockname": self._kernel.own, "peername": self._kernel.other}
        if name == "socket":
            return _Options(self._kernel)
        return known.get(name, default)
