"""A layer between a transport and a protocol, as TLS and WebSocket are: to either it looks like the other.

To the transport below, a layer is the protocol that it calls; to the protocol above, the transport that it writes to.
So layers stack on anything, real or in memory, and what stands above need not know of them.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Any, cast

from tomada.errors import ConnectFailed, HandshakeFailed
from tomada.sweep import NOWHERE, sweep_of
from tomada.telemetry import HandshakeEnded, emit, late
from tomada.transports.naming import own_address, peer_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.address import Address
    from tomada.transports.admission import Admitted


class End(Enum):
    """Why what stands above ends the connection; a layer that has words for it passes them on."""

    CLOSED = "closed"
    GOING_AWAY = "going away"
    FAILED = "failed"


class Layer(asyncio.Protocol, asyncio.Transport):
    """One layer of one connection. A subclass says what its handshake is, and how bytes are changed both ways.

    It overrides `begin`, `data_received` and `write`, and calls `complete` or `fail` at the end of its handshake. Its
    deadlines are looked at by the loop's wheel; one that has more than these overrides `look`.

    Args:
        upper: What stands above; it is told of the connection when the handshake is complete.
        deadline: Seconds that the handshake may take, all in all, with those of the layers below: all are made at once,
            when the connection is.
        pending: Of a listener: the layers that have not completed their handshake, so that it can end them.
            ``None`` at the connecting end.
    """

    __slots__ = (
        "_cut_at",
        "_deadline",
        "_pending",
        "is_open",
        "loop",
        "lower",
        "made_at",
        "opened",
        "peer",
        "slot",
        "ticket",
        "upper",
        "wheel",
    )

    lower: asyncio.Transport
    peer: Address

    def __init__(self, upper: asyncio.Protocol, deadline: float, pending: set[Layer] | None) -> None:
        self.upper = upper
        self.is_open = False
        self.loop = asyncio.get_running_loop()
        self.made_at = self.loop.time()
        self.slot = NOWHERE
        self.wheel = sweep_of(self.loop)
        self.opened: asyncio.Future[None] = self.loop.create_future()
        """The handshake is complete, or has failed: `HandshakeFailed`, or `ConnectFailed` as if nobody listened."""
        self.ticket: Admitted | None = None
        """What the connection was admitted with, where this is the lowest layer."""
        self._deadline = deadline
        self._pending = pending
        self._cut_at = inf

    def begin(self) -> None:
        """Called when there is a transport below: start the handshake."""
        raise NotImplementedError

    def complete(self) -> None:
        """The handshake is complete: what stands above may begin."""
        self._end_handshake()
        if self.ticket is not None:
            self.upper.ticket = self.ticket  # type: ignore[attr-defined] # who is admitted has one: `Options.admission`
        self.is_open = True
        self.opened.set_result(None)
        self.upper.connection_made(self)

    def fail(
        self, reason: str, kind: type[ConnectFailed | HandshakeFailed] = HandshakeFailed, *, is_wrong: bool = True
    ) -> None:
        """The handshake has failed: nothing above hears of it, and the connection ends once all is written.

        `ConnectFailed` is for a peer that went away without a word, as a server that is being stopped may do.
        """
        if self.opened.done():
            return
        self._end_handshake()
        if self._pending is not None and HandshakeEnded.subscribers:
            emit(
                HandshakeEnded(
                    address=str(own_address(self)),
                    peer=str(self.peer),
                    seconds=self.loop.time() - self.made_at,
                    reason=reason,
                    is_wrong=is_wrong,
                )
            )
        self.opened.set_exception(kind(reason))
        self.opened.exception()  # at the accepting end nobody waits for it, and who connects may have given up
        self.lower.close()
        self.cut_in_time()

    def _end_handshake(self) -> None:
        self.wheel.forget(self)
        if self._pending is not None:
            self._pending.discard(self)

    # Deadlines: the wheel asks.

    def sweep(self, now: float) -> float:
        """End what is late; when to look again."""
        if not self.opened.done():
            due = self.made_at + self._deadline
            if now < due:
                return due
            late("handshake", self._deadline, self.peer)
            self.fail(f"no handshake within {self._deadline:g} s")
            self.lower.abort()
            return inf
        if now >= self._cut_at:
            self.lower.abort()
            return inf
        return min(self._cut_at, self.look(now))

    def look(self, now: float) -> float:  # noqa: ARG002 - for layers that have deadlines of their own
        """The same, once the handshake has ended."""
        return inf

    def cut_in_time(self) -> None:
        """The end has begun: a peer that does not take what is still to be written must not keep it from coming."""
        if self._cut_at == inf:
            self._cut_at = self.loop.time() + self._deadline
            self.wheel.watch(self, self._cut_at)

    # The transport below calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport below is there."""
        self.lower = cast("asyncio.Transport", transport)
        self.peer = peer_address(self)  # uvloop does not know it any more once the peer is gone
        self.wheel.watch(self, self.made_at + self._deadline)
        if self._pending is not None:
            self._pending.add(self)
        self.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport below is gone."""
        self.wheel.forget(self)
        if self.ticket is not None:
            self.ticket.release()
        if self.is_open:
            self.upper.connection_lost(exc)
        else:
            self.fail("the peer closed the connection during the handshake" if exc is None else f"{exc}")

    def pause_writing(self) -> None:
        """The transport below takes no more for now."""
        if self.is_open:
            self.upper.pause_writing()

    def resume_writing(self) -> None:
        """The transport below takes more again."""
        if self.is_open:
            self.upper.resume_writing()

    # The protocol above calls these.

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send `data`, changed as the layer does."""
        raise NotImplementedError

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Send them all, as one."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """End the connection when all is written."""
        self.lower.close()

    def end(self, why: End, reason: str) -> None:  # noqa: ARG002 - for layers that have words for it
        """`close`, and say why."""
        self.close()

    def abort(self) -> None:
        """End the connection at once."""
        self.lower.abort()

    def is_closing(self) -> bool:
        """Whether it is ending."""
        return self.lower.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport below tells."""
        return self.lower.get_extra_info(name, default)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """What stands above."""
        return self.upper

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Put another protocol above."""
        self.upper = cast("asyncio.Protocol", protocol)

    def is_reading(self) -> bool:
        """Whether bytes are received."""
        return self.lower.is_reading()

    def pause_reading(self) -> None:
        """Receive no more for now."""
        self.lower.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        self.lower.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When to pause what writes: counted below, as bytes of this layer."""
        self.lower.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """What waits to be written, below."""
        return self.lower.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The limits below."""
        return self.lower.get_write_buffer_limits()

    def can_write_eof(self) -> bool:
        """Whether this end can stop sending and still receive."""
        return False
