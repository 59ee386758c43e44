"""What the event loop calls for one stream, its deadlines, its end, and what is told of it."""

from __future__ import annotations

import asyncio
import errno
from math import inf
from typing import TYPE_CHECKING, Final, cast

from tomada.errors import ConnectFailed, HandshakeFailed
from tomada.streams.inflow import CLOSED, PARTS, Inflow
from tomada.sweep import NOWHERE, sweep_of
from tomada.telemetry import ConnectionEnded, ConnectionOpened, HandshakeEnded, emit, late
from tomada.telemetry.statistics import StreamStatistics
from tomada.transports import (
    Admitted,
    Credentials,
    Options,
    credentials,
    keep_alive,
    own_address,
    peer_address,
    reset,
    stack,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.capacity import Room
    from tomada.settings import Deadlines, Limits

LINGER: Final = 1.0
"""How long a closed stream goes on receiving, and dropping, what the peer sends, in seconds: bytes that meet a closed
socket make the kernel send a reset, which destroys what the peer has not read yet (RFC 1122, section 4.2.2.13)."""


class Flow(Inflow):
    """Both directions of one stream.

    The wheel looks at it a few times in `Deadlines.idle`, and in time for any other deadline. Only a call that has a
    time-out of its own sets a timer, which is left alone while things move: when it strikes it looks whether the call
    that waits then is late, and else sets itself anew.

    Where nobody receives, a stream is not idle: its handler is at work. A peer that vanishes meanwhile is noticed by
    the system, which asks it for a sign (TCP's keepalive).

    Args:
        limits: `Limits.receive_bytes` and `Limits.buffer_bytes` bound what waits here.
        deadlines: How long things may take.
        begin: At the accepting end: called when the stream is open.
        options: Of its transport, and of TLS where it begins later.
        host: At the connecting end: the name that was connected to.
        room: What all that waits in the streams of a server shares.
    """

    __slots__ = (
        "_begin",
        "_is_accepted",
        "_is_told",
        "_made_at",
        "_next_look",
        "_peer_end",
        "_why",
        "credentials",
        "ended",
        "host",
        "is_wrong",
        "opened_at",
        "options",
        "slot",
        "ticket",
        "wheel",
    )

    def __init__(
        self,
        limits: Limits,
        deadlines: Deadlines,
        begin: Callable[[Flow], None] | None = None,
        *,
        options: Options | None = None,
        host: str = "",
        room: Room | None = None,
    ) -> None:
        super().__init__(limits, deadlines, room)
        self.options = options or Options(handshake=deadlines.handshake)
        self.host = host
        self.ended: asyncio.Future[None] = self.loop.create_future()
        """Done when the connection is gone."""
        self.ticket: Admitted | None = None
        """At the accepting end: what it was admitted with."""
        self.credentials: Credentials | None = None
        """Over a Unix socket: who the peer is. Kept, for the time after its end."""
        self._begin = begin
        self.slot = NOWHERE
        self.wheel = sweep_of(self.loop)
        self._next_look = inf
        self._made_at = self.opened_at = self.loop.time()
        self.is_wrong = False
        """Whether it has ended otherwise than by an orderly end."""
        self._is_accepted = begin is not None
        self._is_told = False
        """Whether it has been told that it is open."""
        self._why = ""
        """Why it ends, where somebody knows more than `lost` says."""
        self._peer_end: asyncio.Future[None] | None = None

    # The event loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The stream is open."""
        self.transport = cast("asyncio.Transport", transport)
        # So the transport tells at once when the kernel takes no more; and uvloop, which else collects what is written
        # until the end of its turn, writes at once.
        self.transport.set_write_buffer_limits(0)
        self.peer = peer_address(transport)
        if self.peer.scheme == "unix":
            self.credentials = credentials(transport)
        self._made_at, self.opened_at = self.opened_at, self.loop.time()
        self.look_at(self.opened_at + self.deadlines.idle / PARTS)
        keep_alive(transport, self.deadlines)
        if self._begin is None:
            self.tell_open()
        else:
            self._begin(self)

    def eof_received(self) -> bool:
        """The peer sends no more; this end still may."""
        self.is_ended = True
        self._wake_reader()
        if self._peer_end is not None and not self._peer_end.done():
            self._peer_end.set_result(None)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: all that waits for it wakes up."""
        if not self.lost:
            self.is_wrong = exc is not None
            self._lose("the connection was closed" if exc is None else self._why_lost(exc))
        self.wheel.forget(self)
        if self._timer is not None:
            self._timer.cancel()
        self._tell_end()
        if self.ticket is not None:
            self.ticket.release()
        if self.room is not None:
            self.room.forget(self)
        if not self.ended.done():
            self.ended.set_result(None)

    def _why_lost(self, error: Exception) -> str:
        if getattr(error, "errno", None) != errno.ETIMEDOUT:
            return f"the connection was lost: {error}"
        late("heartbeat", self.deadlines.heartbeat, self.peer)
        return "the connection was lost: the peer's system gave no sign of life"

    def _lose(self, reason: str) -> None:
        self.lost = self.lost or reason
        self.is_free = False
        self._wake_reader()
        self.wake_writers()

    async def start_tls(self, options: Options) -> None:
        """See `Stream.start_tls`."""
        async with self.exclusively():
            # TLS does not hear from below that there is room again before its handshake is complete.
            await self.writable(None, empty=True)
            unread = self.buffer.peek(self.buffer.size)
            try:
                self.transport = await stack.start_tls(self.transport, self, options, hostname=self.host, unread=unread)
            except ConnectFailed as error:
                raise HandshakeFailed(str(error)) from error

    # Deadlines, and the end.

    def cut(self, reason: str) -> None:
        """End the connection at once, so that the peer does not take it for the end of all that was to be sent."""
        if not self.lost:
            self.is_wrong = True
        self._lose(reason)
        if not self.ended.done():
            reset(self.transport)

    async def close(self, why: str = "") -> None:
        """End it when all is sent, up to `Deadlines.drain`; then, or if this is cancelled, at once.

        Args:
            why: To be told, with its end, to those who want to know.
        """
        is_first = not self.lost
        self._why = self._why or why
        self._lose(CLOSED)
        try:
            if is_first:
                self.hand_over()
                await self._linger()
            self.transport.close()
            await asyncio.wait([self.ended], timeout=self.deadlines.drain)
            if not self.ended.done():
                late("drain", self.deadlines.drain, self.peer)
                self._why = f"not closed within {self.deadlines.drain:g} s"
                self.is_wrong = True
        finally:
            self.cut(CLOSED)
        await asyncio.shield(self.ended)

    async def _linger(self) -> None:
        """Tell the peer that all is said, and hear it out for a moment."""
        self._drop()
        if self.is_ended or not self.transport.can_write_eof():
            return
        self.shut()
        if self._is_stopping:
            return
        self._peer_end = self.loop.create_future()
        await asyncio.wait([self._peer_end, self.ended], timeout=LINGER, return_when=asyncio.FIRST_COMPLETED)

    def look_at(self, at: float) -> None:
        """Let the wheel look then, or before."""
        if at < self._next_look:
            self._next_look = at
            self.wheel.watch(self, at)

    def sweep(self, now: float) -> float:
        """End what is late; when to look again. The wheel asks."""
        self._next_look = inf
        if self.ended.done():
            return inf
        due = now + self.deadlines.idle / PARTS
        if self._has_reader:
            due = min(due, self.sweep_wait(now))
        due = min(due, self.check_progress(now))
        self._next_look = due
        return due

    # What is told.

    def tell_open(self) -> None:
        """It is open, and there was room for it: tell those who want to know."""
        self._is_told = True
        if self._is_accepted and isinstance(self.transport, stack.Layer):
            self._tell_handshake("", is_wrong=False)
        if ConnectionOpened.subscribers:
            emit(ConnectionOpened(peer=str(self.peer), kind="stream", accepted=self._is_accepted))

    def refuse(self, reason: str, *, is_wrong: bool = True) -> None:
        """It is open, and there is no room for it, or it is not let in."""
        self._tell_handshake(reason, is_wrong=is_wrong)
        self.cut(reason)

    def _tell_handshake(self, reason: str, *, is_wrong: bool) -> None:
        if HandshakeEnded.subscribers:
            emit(
                HandshakeEnded(
                    address=str(own_address(self.transport)),
                    peer=str(self.peer),
                    seconds=self.opened_at - self._made_at,
                    reason=reason,
                    is_wrong=is_wrong,
                )
            )

    def _tell_end(self) -> None:
        if self._is_told and ConnectionEnded.subscribers:
            emit(
                ConnectionEnded(
                    peer=str(self.peer),
                    kind="stream",
                    accepted=self._is_accepted,
                    seconds=self.loop.time() - self.opened_at,
                    reason=self._why or self.lost,
                    is_wrong=self.is_wrong,
                    received_bytes=self.received_bytes,
                    sent_bytes=self.sent_bytes,
                )
            )

    def statistics(self) -> StreamStatistics:
        """What it has done so far."""
        self.count()
        return StreamStatistics(
            seconds=self.loop.time() - self.opened_at,
            received_bytes=self.received_bytes,
            sent_bytes=self.sent_bytes,
            waiting_bytes=self.waiting,
            unread_bytes=self.buffer.size,
        )
