"""The link under a `Connection`: joins the protocol to a transport, to the clock and to the handlers.

It is the protocol object of the event loop's transport and the driver of the messenger. One pass over all frames per
read, one write per turn of the loop or per `BURST_BYTES`; no timer and no task per message.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Final, cast

from tomada import transports
from tomada.capacity import PORTION
from tomada.endpoint import log
from tomada.errors import ConnectFailed, ConnectionLost, HandshakeFailed, TomadaError
from tomada.handling import BURST_BYTES
from tomada.lifetime import Lifetime
from tomada.messenger import REMEMBERED_REFUSALS, Messenger
from tomada.protocol import GoodbyeCode, Hello, Role, State, Welcome
from tomada.protocol.state import FINAL

if TYPE_CHECKING:
    from collections import deque

    from tomada.connection import Connection
    from tomada.endpoint import Endpoint
    from tomada.message import Message

_GREETING: Final = frozenset({State.STARTING, State.GREETED})
_LAST_READ: Final = 16
_GRACE: Final = 1.0
"""A caller whose hello is still to come when the server stops has so many seconds to be told, and to go elsewhere."""
_STOPS: Final = "the server stops"


class Link(Lifetime):
    """What is under one connection.

    Args:
        endpoint: What it shares with its siblings.
        connection_type: The class of `connection`, the face that users and handlers see.
    """

    __slots__ = (
        "_beside",
        "_burst",
        "_flushing",
        "_peer_requests",
        "_senders",
        "_unread",
        "askers",
        "credentials",
        "ended",
        "inbox",
        "opened",
        "peer_software",
        "ping_count",
        "pings",
        "receiver",
        "refusals",
        "strained",
        "ticket",
    )

    def __init__(self, endpoint: Endpoint, connection_type: type[Connection]) -> None:
        super().__init__(endpoint, endpoint.engine())
        self.messenger = Messenger(self.engine, endpoint.repertoire, self)
        self.connection = connection_type(self)
        self.ticket: transports.Admitted | None = None
        """At the accepting end: what it was admitted with."""
        self.credentials: transports.Credentials | None = None
        """Over a Unix socket: who the peer is. Kept, for the time after its end."""
        self.engine.admission = self if endpoint.role is Role.ACCEPTING else None
        self.peer_software = ""
        self.refusals: tuple[TomadaError, ...] = ()
        self.ping_count = 0
        self.opened: asyncio.Future[None] | None = None
        """At the connecting end: the handshake is complete."""
        self.ended: asyncio.Future[None] = self.loop.create_future()
        self.inbox: deque[Message] | None = None
        self.receiver: asyncio.Future[None] | None = None
        # Made when first needed: most connections of a large server are idle, and an empty deque is 700 bytes.
        self.askers: deque[asyncio.Future[None]] | None = None
        self.pings: dict[bytes, asyncio.Future[None]] | None = None
        self.strained = False
        """Whether there is reason to pause, and reading goes on."""
        self._senders: list[asyncio.Future[None]] | None = None
        self._peer_requests = 0
        self._burst = 0
        """How much has been written since the last turn of the loop."""
        self._flushing = False
        self._beside = 0
        self._unread = 0

    # The event loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there; the connecting end's hello goes out."""
        self.transport = cast("asyncio.Transport", transport)
        self.peer = transports.peer_address(transport)
        if self.peer.scheme == "unix":
            self.credentials = transports.credentials(transport)
        # So it tells at once when the kernel takes no more, and what waits is held in one place: the engine. And
        # uvloop, which else collects what is written until the end of its turn, writes at once.
        self.transport.set_write_buffer_limits(0)
        self.endpoint.connections.add(self)
        self.begin_to_watch()
        if self.endpoint.is_closing:
            self.leave(GoodbyeCode.GOING_AWAY, _STOPS)
        else:
            self.write()

    def data_received(self, data: bytes) -> None:
        """One pass over all that has come; then one write."""
        self._flushing = True
        self.received_bytes += len(data)
        now = self.heard_at = self.loop.time()
        unsent = self.engine.unsent if self.strained else 0
        try:
            self.messenger.receive(data, now)
        except Exception as error:  # noqa: BLE001 - told to the log
            log.exception("%s: this end failed", self.peer)
            self.endpoint.heed(error)
            self.cut("this end failed; its log says more")
        finally:
            self._flushing = False
        if self.engine.begun is not None:
            self.look_at(self.engine.begun + self.endpoint.deadlines.frame)
            if self.engine.unfinished >= self.weighed + PORTION:
                self.endpoint.room.weigh(self)
        elif self.weighed:
            self.endpoint.room.weigh(self)
        if self.strained:
            self._read_under_strain(len(data), self.engine.unsent - unsent)
        if self.engine.unsent:
            self.write()
        if self.engine.state is not State.OPEN:
            self.settle()
        elif self.askers:
            self.let_ask()

    def eof_received(self) -> None:
        """The peer sends no more: nothing that is under way can end well."""
        self.engine.receive_end()
        self.settle()

    def connection_lost(self, error: Exception | None) -> None:
        """The transport is gone: all that waits for it fails, at once."""
        self.endpoint.connections.discard(self)
        self.endpoint.sweep.forget(self)
        self.endpoint.room.forget(self)
        if self.ticket is not None:
            self.ticket.release()
        lost = "the connection was lost" if error is None else f"the connection was lost: {error}"
        tags = self.engine.drop(self.cut_reason or self.engine.reason or lost)
        self.tell_end(is_lost=error is not None)
        self.engine.take()
        for answer in (*[answer for _, answer in tags], *(self.pings or {}).values()):
            if not answer.done():
                answer.set_exception(ConnectionLost(self.engine.reason))
        self.cancel_all()
        if self.was_open:
            if self.endpoint.has_disconnect_hooks:
                self.endpoint.spawn(self.after_end())
        elif self.opened is not None and not self.opened.done():
            # A server that is being stopped may still take a connection, and drop it, or say that it goes away.
            is_refusal = isinstance(error, HandshakeFailed) or self.engine.heard or self.engine.state is State.FAILED
            is_answer = is_refusal and self.engine.farewell is not GoodbyeCode.GOING_AWAY
            kind = HandshakeFailed if is_answer else ConnectFailed
            self.opened.set_exception(kind(self.engine.reason))
            self.opened.exception()  # who connects may have given up
        self.block(blocked=False)
        self._release_senders()
        self.let_ask()
        self._wake_receiver()
        self.ended.set_result(None)

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        self.clogged = True
        self._weigh()

    def resume_writing(self) -> None:
        """The kernel has taken all."""
        self.clogged = False
        self.write()
        self._weigh()
        if self.squeezed:
            self.throttle()

    def _weigh(self) -> None:
        """Let senders wait while too much waits to be sent."""
        unsent = self.unsent_bytes
        if unsent >= self.weighed + PORTION or (self.weighed and not unsent):
            self.endpoint.room.weigh(self)
        blocked = unsent > self.endpoint.limits.buffer_bytes
        if blocked is not self.blocked:
            self.block(blocked=blocked)
            self._unread = 0
            if not blocked:
                self._release_senders()
            self.throttle()

    # The engine and the messenger call these.

    def admit(self) -> tuple[GoodbyeCode, str] | None:
        """Why there is no room for this connection, if there is none."""
        if self.endpoint.is_closing:
            return GoodbyeCode.GOING_AWAY, _STOPS
        refusal = "" if self.ticket is None else self.ticket.enter()
        return (GoodbyeCode.REFUSED, refusal) if refusal else None

    def opened_by(self, peer: Hello | Welcome) -> None:
        """The handshake is complete."""
        self.peer_software = peer.software
        self._peer_requests = peer.limits.requests
        self.engine.admission = None
        self.tell_open()
        if self.endpoint.has_connect_hooks:
            self.greet()
        if self.opened is not None and not self.opened.done():
            self.opened.set_result(None)

    def deliver(self, message: Message) -> bool:
        """Keep a message for `Connection.receive`; not where nobody ever received and too many wait."""
        if self.inbox is None:
            return False
        waiting = self.endpoint.limits.waiting
        if len(self.inbox) >= waiting and (self.receiver is None or self.engine.state is not State.OPEN):
            return False
        self.inbox.append(message)
        self._wake_receiver()
        if len(self.inbox) >= waiting:
            self.throttle()
        return True

    def ponged(self, payload: bytes) -> None:
        """Tell who pinged."""
        future = (self.pings or {}).pop(payload, None)
        if future is not None and not future.done():
            future.set_result(None)

    def refused(self, error: TomadaError) -> None:
        """A one-way message of this end met nobody; its sender has gone on, so the log is told."""
        self.refusals = (*self.refusals[1 - REMEMBERED_REFUSALS :], error)
        log.warning("%s: a one-way message was refused: %s", self.peer, error)

    def left(self) -> None:
        """The peer has said goodbye; `settle` answers when nothing is under way. No message comes any more."""
        self._wake_receiver()

    # Those who wait.

    async def until_writable(self) -> None:
        """Wait until there is room in the buffer, or the connection is not open any more."""
        while self.engine.state is State.OPEN and (self.blocked or self.engine.unsent > self.turn_bytes):
            if self._senders is None:
                self._senders = []
            turn = self.loop.create_future()
            self._senders.append(turn)
            await turn

    def _release_senders(self) -> None:
        senders, self._senders = self._senders, None
        for turn in senders or ():
            if not turn.done():
                turn.set_result(None)

    def let_ask(self) -> None:
        """Wake those whose requests waited for the peer's limit; on a connection that is not open, all."""
        askers = self.askers
        room = self.engine.room
        is_open = self.engine.state is State.OPEN
        while askers and (room > 0 or not is_open):
            turn = askers.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1

    def _wake_receiver(self) -> None:
        if self.receiver is not None and not self.receiver.done():
            self.receiver.set_result(None)

    # Bytes out, and the end.

    def wake(self) -> None:
        """Write what is queued, once, at the end of this turn of the loop."""
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)
        elif self.engine.unsent > BURST_BYTES and self._burst <= self.turn_bytes:
            # Not for ever: who only sends must wait for a turn of the loop now and then, so that others have theirs.
            self._burst += self.engine.unsent
            self.write()

    def leave(self, code: GoodbyeCode, reason: str) -> None:
        """Say goodbye; the connection is cut where it has not ended at the drain deadline."""
        self.engine.leave(code, reason)
        is_greeting = self.engine.state in _GREETING
        if is_greeting and self.endpoint.role is Role.CONNECTING:
            self.cut(reason)  # nobody there to say goodbye to
        self.end_in_time(_GRACE if is_greeting else inf)
        self._release_senders()
        self.let_ask()
        self.throttle()
        self.wake()

    async def drain(self) -> None:
        """After `leave`: wait for the end of what is under way, or for the cut.

        Not in the handler of a request of this connection: the peer waits for just that one.
        """
        await asyncio.sleep(0)  # a handler in its first step is not yet known by its task
        task = asyncio.current_task()
        if self.is_answering(task):
            return
        await asyncio.shield(self.ended)
        if self.endpoint.role is Role.CONNECTING and task not in self.endpoint.tasks:
            await self.endpoint.stop()

    def cut(self, reason: str) -> None:
        """End the connection at once, whatever is under way."""
        self.cut_reason = reason
        if self.transport is not None:
            self.transport.abort()

    def _flush(self) -> None:
        self._flushing = False
        self._burst = 0
        if self.engine.unsent:
            self.write()
        if self.engine.state is not State.OPEN:
            self.settle()

    def write(self) -> None:
        """Hand what is queued to the transport, if it takes it."""
        if self.clogged and self.engine.state not in FINAL:
            self._weigh()
            return
        out = self.engine.take()
        if self.transport is not None and out and not self.transport.is_closing():
            self.sent_bytes += len(out)
            self.transport.write(out)
            if self.slot > self.endpoint.sweep.soon:
                self.watch_progress()
        if self._senders and not self.blocked:
            self._release_senders()

    def settle(self) -> None:
        """Take the consequences of a state that is not open."""
        if self.engine.state is State.LEFT and self.engine.idle:
            self.engine.leave(GoodbyeCode.CLOSED, "")
            self.write()
        if self.engine.state in FINAL and self.transport is not None and not self.transport.is_closing():
            self.tell_end()
            self.end_in_time()
            transports.close(self.transport, self.endpoint.why_closed(self.engine.state), self.engine.reason)
        elif self.askers:
            self.let_ask()

    # Back-pressure at the receiving side.

    def throttle(self) -> None:
        """Read no more while too much waits here; the peer's own buffer fills, and then it waits too.

        But while this end waits for the peer reading goes on, for a while: behind the messages that wait may stand the
        answers that their handlers, or those who receive them, wait for; and two ends of which each waits until the
        other reads would wait for ever.
        """
        if self.transport is None or self.transport.is_closing():
            return
        limits = self.endpoint.limits
        crowded = self.engine.state is State.OPEN and (
            self.crowd >= limits.waiting or len(self.inbox or ()) >= limits.waiting
        )
        waits = self.blocked or self.engine.room < self._peer_requests or bool(self.pings)
        if not (crowded and waits):
            self._beside = 0
        self.strained = self.blocked or (crowded and waits)
        pause = (crowded and not waits) or self._unread > limits.buffer_bytes or (self.squeezed and self.clogged)
        if pause is not self.paused:
            self.paused = pause
            if pause:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def _read_under_strain(self, received: int, answered: int) -> None:
        """Count what came although too much waited, and what was answered to a peer that does not read."""
        limits = self.endpoint.limits
        self._beside += received
        # No handler starts now: these are pongs and refusals.
        self._unread += answered if self.blocked else 0
        self.throttle()
        if self._beside > _LAST_READ * limits.buffer_bytes + limits.message_bytes and not self.paused:
            reason = f"{self._beside} bytes came while too many messages waited here and the peer kept this end waiting"
            self.cut(reason)
