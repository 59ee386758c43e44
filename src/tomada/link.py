"""The link under a `Connection`: joins the protocol to a transport, to the clock and to the handlers.

It is the protocol object of the event loop's transport and the driver of the messenger. One pass over all frames per
read, one write per turn of the loop or per `BURST_BYTES`; no timer and no task per message.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final, cast

from tomada import transports
from tomada.capacity import PORTION
from tomada.endpoint import log
from tomada.handling import BURST_BYTES
from tomada.messenger import REMEMBERED_REFUSALS, Messenger
from tomada.protocol import GoodbyeCode, Hello, Role, State, Welcome
from tomada.protocol.outgoing import CHUNK_BYTES
from tomada.protocol.state import FINAL
from tomada.recording import tap as taps
from tomada.survival import STOPS, Survival

if TYPE_CHECKING:
    from tomada.connection import Connection
    from tomada.endpoint import Endpoint
    from tomada.errors import TomadaError
    from tomada.message import Message

_GREETING: Final = frozenset({State.STARTING, State.GREETED})
_LONGEST_BURST: Final = 16_384
_GRACE: Final = 1.0
"""A caller whose hello is still to come when the server stops has so many seconds to be told, and to go elsewhere."""


class Link(Survival):
    """What is under one connection.

    Args:
        endpoint: What it shares with its siblings.
        connection_type: The class of `connection`, the face that users and handlers see.
    """

    __slots__ = (
        "_burst",
        "_burst_bytes",
        "_unread",
        "askers",
        "inbox",
        "peer_software",
        "ping_count",
        "receiver",
        "refusals",
        "senders",
        "urgent_senders",
    )

    def __init__(self, endpoint: Endpoint, connection_type: type[Connection]) -> None:
        super().__init__(endpoint, endpoint.engine())
        self.messenger = Messenger(self.engine, endpoint.repertoire, self)
        self.connection = connection_type(self)
        self.engine.admission = self if endpoint.role is Role.ACCEPTING else None
        self.peer_software = ""
        self.refusals: tuple[TomadaError, ...] = ()
        self.ping_count = 0
        self.inbox: deque[tuple[Message, int]] | None = None
        """At the connecting end: the messages without a handler, each with its origin."""
        self.receiver: asyncio.Future[None] | None = None
        # Made when first needed: most connections of a large server are idle, and an empty deque is 700 bytes.
        self.askers: deque[asyncio.Future[None]] | None = None
        self.senders: deque[asyncio.Future[None]] | None = None
        """Who waits to send."""
        self.urgent_senders: deque[asyncio.Future[None]] | None = None
        self._burst = 0
        """How much has been written in this turn of the loop."""
        self._burst_bytes: float = BURST_BYTES
        """So much queued is written before its end."""
        self._unread = 0
        """How much was answered, without a handler, to a peer that does not read."""

    # The event loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there; the connecting end's hello goes out."""
        if self.ended.done():
            transport.close()  # the session was given up while this connection was being made
            return
        self.transport = cast("asyncio.Transport", transport)
        self.peer, self.name = transports.peer_address(transport), ""
        if self.peer.scheme == "unix":
            self.credentials = transports.credentials(transport)
        # So it tells at once when the kernel takes no more, and what waits is held in one place: the engine. And
        # uvloop, which else collects what is written until the end of its turn, writes at once.
        self.transport.set_write_buffer_limits(0)
        transports.shorten_queue(transport)
        self.clogged = self.paused = False
        self.endpoint.connections.add(self)
        if taps.makers and not self.endpoint.is_hidden:
            taps.begun(self)
        self.begin_to_watch()
        if self.engine.state is State.LOST:
            self.engine.hello(self.loop.time())
            self.write()
        elif self.endpoint.is_closing:
            self.leave(GoodbyeCode.GOING_AWAY, STOPS)
        else:
            self.write()

    def data_received(self, data: bytes) -> None:
        """One pass over all that has come; then one write."""
        self.flushing = True
        self.received_bytes += len(data)
        if self.tap is not None:
            self.tap.received(data)
        engine = self.engine
        now = self.heard_at = self.loop.time()
        # No handler starts now: what is answered are pings, and what is refused.
        unsent = engine.unsent if self.clogged and engine.stuffed else 0
        try:
            with self.endpoint.starter:
                self.messenger.receive(data, now)
        except Exception as error:  # noqa: BLE001 - told to the log
            log.exception("%s: this end failed", self.peer)
            self.endpoint.heed(error)
            self.end("this end failed; its log says more")
        finally:
            self.flushing = False
            self._burst, self._burst_bytes = 0, BURST_BYTES
        if engine.begun is not None:
            self.look_at(engine.begun + self.endpoint.deadlines.frame)
            if engine.unfinished >= self.weighed + PORTION:
                self.endpoint.room.weigh(self)
        engine.report()
        if unsent:
            self._unread += engine.unsent - unsent
        if self.clogged:
            self.throttle()
        if engine.unsent:
            self.write()
        if self.slot > self.endpoint.sweep.soon:
            self.watch_progress()
        if engine.state is not State.OPEN:
            self.settle()
        self.let_go_on()

    def eof_received(self) -> None:
        """The peer sends no more: nothing that is under way can end well."""
        self.engine.receive_end()
        self.settle()

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        self.clogged = True
        self.endpoint.room.weigh(self)

    def resume_writing(self) -> None:
        """The kernel has taken all."""
        self.clogged = False
        self._unread = 0
        self.write()
        if not self.clogged:
            self.endpoint.room.weigh(self)
            self.throttle()
        self.let_go_on()

    # The engine and the messenger call these.

    def opened_by(self, peer: Hello | Welcome) -> None:
        """The handshake is complete."""
        self.peer_software = peer.software
        self.engine.admission = None
        self.tell_open()
        if self.endpoint.has_connect_hooks:
            self.greet()
        if self.opened is not None and not self.opened.done():
            self.opened.set_result(None)

    def deliver(self, message: Message, origin: int) -> bool:
        """Keep a message for `Connection.receive`."""
        if self.inbox is None:
            return False
        self.inbox.append((message, origin))
        if self.receiver is not None:
            self.wake_receiver()
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
        self.wake_receiver()

    # Those who wait.

    async def until_writable(self, *, urgent: bool = False) -> None:
        """Wait until a message may be queued, in order of arrival; or the connection is not open any more."""
        line = self.urgent_senders if urgent else self.senders
        if not (self._must_wait(urgent=urgent) or (line and self.engine.begins)):
            return
        if line is None:
            line = deque()
            if urgent:
                self.urgent_senders = line
            else:
                self.senders = line
        turn: asyncio.Future[None] = self.loop.create_future()
        line.append(turn)
        try:
            await turn
            while self._must_wait(urgent=urgent):
                line[0] = turn = self.loop.create_future()  # still the first
                await turn
        finally:
            line.remove(turn)
            self._let_send()  # the next one, if there is room for more

    def _must_wait(self, *, urgent: bool) -> bool:
        return self.engine.begins and (self.engine.urgent_full if urgent else self.engine.full)

    def _let_send(self) -> None:
        """Wake the first who waits to send in each lane where there is room; that one wakes the next."""
        for urgent, line in ((False, self.senders), (True, self.urgent_senders)):
            if line and not line[0].done() and not self._must_wait(urgent=urgent):
                line[0].set_result(None)

    def let_go_on(self) -> None:
        """Wake those who can go on: senders, callers and messages that wait for their handler."""
        if self.senders or self.urgent_senders:
            self._let_send()
        if self.askers:
            self.let_ask()
        self.let_pour()
        self._start_soon()

    def let_ask(self) -> None:
        """Wake those whose requests waited for the peer's limit; on a connection that is not open, all."""
        askers = self.askers
        room = self.engine.room
        begins = self.engine.begins
        while askers and (room > 0 or not begins):
            turn = askers.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1

    def wake_receiver(self) -> None:
        """Wake who waits for a message."""
        if self.receiver is not None and not self.receiver.done():
            self.receiver.set_result(None)

    # Bytes out, and the end.

    def wake(self) -> None:
        """Write what is queued, once, at the end of this turn of the loop."""
        if not self.flushing:
            self.flushing = True
            self.loop.call_soon(self._flush)
        elif len(self.engine.normal.gathered) > self._burst_bytes:
            self._write_burst()

    def _write_burst(self) -> None:
        """Write in the middle of a turn: more each time, for the other end has something to do already."""
        self._burst += self.engine.unsent
        self._burst_bytes = min(2 * self._burst_bytes, _LONGEST_BURST)
        if self.clogged or self._burst > self.endpoint.limits.buffer_bytes:
            # Not for ever: who only sends must wait for a turn of the loop now and then, so that others have theirs.
            self._burst_bytes = inf
        else:
            self.write()

    def leave(self, code: GoodbyeCode, reason: str) -> None:
        """Say goodbye; the connection is cut where it has not ended at the drain deadline."""
        self.engine.leave(code, reason)
        is_greeting = self.engine.state in _GREETING
        if is_greeting and self.endpoint.role is Role.CONNECTING:
            self.cut(reason)  # nobody there to say goodbye to
        if self.engine.state is State.LOST and self.endpoint.role is Role.ACCEPTING:
            self.end(reason)  # as little
            return
        self.end_in_time(_GRACE if is_greeting else inf)
        self.let_go_on()
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
        """End the connection at once, whatever is under way; a session goes on over another one."""
        self.cut_reason = reason
        if self.transport is not None:
            self.transport.abort()

    def _flush(self) -> None:
        self.flushing = False
        self._burst, self._burst_bytes = 0, BURST_BYTES
        self.engine.report()
        if self.engine.unsent:
            self.write()
        if self.engine.state is not State.OPEN:
            if self.engine.state is State.LOST and self.endpoint.role is Role.ACCEPTING:
                self.endpoint.sessions.weigh(self)
            self.settle()
        self.let_go_on()

    def write(self) -> None:
        """Hand what is queued to the transport, as long as it takes it."""
        engine, transport = self.engine, self.transport
        if transport is None:
            return
        is_last = engine.state in FINAL
        was_stuffed = engine.stuffed
        while (not self.clogged or is_last) and (out := engine.take()):
            if not transport.is_closing():
                self.sent_bytes += len(out)
                if self.tap is not None:
                    self.tap.sent(out)
                transport.write(out)
            if len(out) < CHUNK_BYTES and not engine.unsent:
                break
        if self.slot > self.endpoint.sweep.soon:
            self.watch_progress()
        if self.senders or self.urgent_senders:
            self._let_send()
        if was_stuffed and not engine.stuffed:
            self._start_soon()
        if self._rooms is not None:
            self.let_pour()

    def settle(self) -> None:
        """Take the consequences of a state that is not open."""
        engine = self.engine
        # What has arrived and was not received is not waited for, nor acknowledged: `receive` still gives it out.
        if engine.state is State.LEFT and engine.idle and engine.held <= len(self.inbox or ()):
            engine.report(at_once=True)
            engine.leave(GoodbyeCode.CLOSED, "")
            self.write()
        self.finish()

    def finish(self) -> None:
        """Let go of the transport where nothing more will be said over it."""
        engine, transport = self.engine, self.transport
        if transport is None or transport.is_closing():
            return
        if engine.state in FINAL:
            self.tell_end()
            self.end_in_time()
            transports.close(transport, self.endpoint.why_closed(engine.state), engine.reason)
        elif engine.state is State.LOST:
            self.cut(engine.reason)

    # Back-pressure at the receiving side.

    def throttle(self) -> None:
        """Read no more where that only makes this end hold more; credit bounds the messages, and this the rest."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        # What is not read of answers to pings is bounded as the rest is, though no lane is full of it.
        unread = max(self._unread, self.engine.unsaid if self.clogged else 0)
        pause = unread > self.endpoint.limits.buffer_bytes or (self.squeezed and self.clogged)
        if pause is not self.paused:
            self.paused = pause
            if pause:
                transport.pause_reading()
            else:
                transport.resume_reading()
