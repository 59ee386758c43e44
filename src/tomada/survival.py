"""What becomes of a connection whose transport is gone: its session goes on over another one, or all ends.

The part of a `Link` above its lifetime. At the accepting end another link has read the caller's hello, and gives its
transport away; at the connecting end the same link connects again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tomada.endpoint import log
from tomada.errors import ConnectFailed, ConnectionLost, HandshakeFailed, OutcomeUnknown, SessionLost
from tomada.handling import CANCELLED
from tomada.lifetime import Lifetime
from tomada.protocol import GoodbyeCode, State
from tomada.recording import tap as taps
from tomada.telemetry import ConnectionInterrupted, SessionEnded, SessionResumed, emit
from tomada.transports import own_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from tomada.address import Address
    from tomada.endpoint import Endpoint
    from tomada.protocol import Engine, Hello, Session
    from tomada.protocol.handshake import Resume
    from tomada.transports import Admitted, Credentials


STOPS: Final = "the server stops"


class Survival(Lifetime):
    """Keeps a session when its connection is lost, and ends it in the end."""

    __slots__ = ("back", "credentials", "ended", "is_lost", "opened", "pings", "revive", "tap", "ticket")

    def __init__(self, endpoint: Endpoint, engine: Engine) -> None:
        super().__init__(endpoint, engine)
        self.ticket: Admitted | None = None
        """At the accepting end: what it was admitted with."""
        self.credentials: Credentials | None = None
        """Over a Unix socket: who the peer is. Kept, for the time after its end."""
        self.tap: taps.Tap | None = None
        """Who looks at what comes and goes; nobody, mostly."""
        self.is_lost = False
        """Whether the connection is lost, and not made again yet."""
        self.pings: dict[bytes, asyncio.Future[None]] | None = None
        self.opened: asyncio.Future[None] | None = None
        """At the connecting end: the handshake is complete."""
        self.revive: Callable[[], None] | None = None
        """At the connecting end: begins to connect again."""
        self.back: asyncio.Future[None] | None = None
        """At the connecting end, while it connects again: the attempt has come to something."""
        self.ended: asyncio.Future[None] = self.loop.create_future()

    def let_go_on(self) -> None:
        """Wake those who can go on."""
        raise NotImplementedError

    def wake_receiver(self) -> None:
        """Wake who waits for a message."""
        raise NotImplementedError

    @property
    def types(self) -> taps.Types:
        """What the numbers of types mean, at either end."""
        return self.messenger

    @property
    def places(self) -> tuple[str, str]:
        """The addresses of this end and of the other one."""
        return "" if self.transport is None else str(own_address(self.transport)), str(self.peer)

    # The transport is gone.

    def connection_lost(self, error: Exception | None) -> None:
        """The transport is gone: the session goes on without, or all that waits for it fails, at once."""
        if self.ended.done():
            return  # the session was given up while this connection was being made
        lost = "the connection was lost" if error is None else f"the connection was lost: {error}"
        if self.engine.can_resume:
            self.engine.lose(self.cut_reason or lost)
        if self.engine.state is State.LOST:
            self._interrupted()
        else:
            self._over(self.cut_reason or self.engine.reason or lost, error)

    def _interrupted(self) -> None:
        """There is no connection; the session is kept."""
        if self.tap is not None:
            taps.ended(self)
        self.transport = None
        self._note_loss()
        if self.endpoint.is_closing:
            self.end(self.engine.reason)
        elif self.revive is not None:
            self.revive()
        else:
            if self.ticket is not None:
                self.ticket.release()  # the place is for who is connected, such as its client when it comes back
                self.ticket = None
            self._wait_for_client()

    def _wait_for_client(self) -> None:
        """Keep the session without a connection, for as long as sessions are kept."""
        assert self.engine.session is not None, "only a session is kept"  # noqa: S101 - the house's own order
        self.look_at(self.lost_at + self.engine.session.seconds)
        self.endpoint.sessions.lose(self)

    def _note_loss(self) -> None:
        self.cut_reason = ""
        if self.is_lost:
            return  # it is lost still: an attempt to connect again has failed
        self.is_lost = True
        self.lost_at = self.loop.time()
        self._fail(ConnectionLost(self.engine.reason), (self.pings or {}).values())
        if ConnectionInterrupted.subscribers:
            emit(ConnectionInterrupted(peer=str(self.peer), reason=self.engine.reason))

    def _over(self, reason: str, error: Exception | None) -> None:
        self.endpoint.connections.discard(self)
        self.endpoint.sweep.forget(self)
        self.endpoint.room.forget(self)
        if self.engine.session is not None:
            self.endpoint.sessions.forget(self)
        if self.ticket is not None:
            self.ticket.release()
        unsent = set() if self.lives_on else self.engine.unsent_requests()
        tags = self.engine.drop(reason)
        if self.tap is not None:
            taps.over(self)
        self.tell_end(is_lost=error is not None)
        self.engine.take()
        reason = self.engine.reason
        known = ConnectionLost(reason) if self.engine.session is None else SessionLost(reason)
        unknown = ConnectionLost(reason) if self.engine.session is None else OutcomeUnknown(reason)
        for id_, (_, answer) in tags:
            self._fail(known if id_ in unsent else unknown, (answer,))
        self._fail(ConnectionLost(reason), (self.pings or {}).values())
        self.cancel_all()
        if self.was_open:
            if self.engine.undelivered:
                self._tell_undelivered()
            if self.endpoint.has_disconnect_hooks:
                self.endpoint.spawn(self.after_end())
        elif self.opened is not None and not self.opened.done():
            # A server that is being stopped may still take a connection, and drop it, or say that it goes away.
            is_refusal = isinstance(error, HandshakeFailed) or self.engine.heard or self.engine.state is State.FAILED
            is_answer = is_refusal and self.engine.farewell is not GoodbyeCode.GOING_AWAY
            kind = HandshakeFailed if is_answer else ConnectFailed
            self.opened.set_exception(kind(reason))
            self.opened.exception()  # who connects may have given up
        self.let_go_on()
        self.wake_receiver()
        self.ended.set_result(None)

    def cancel_all(self) -> None:
        """The connection has ended: nobody waits for the answers any more. One-way messages are handled to the end."""
        for id_, (task, route, _) in tuple(self._running.items()):
            if not isinstance(route, tuple):
                self._cancel(id_, task, CANCELLED)
        lines: tuple[dict[int, Any], ...] = (self._waiting or {}, self._urgent)
        for line in lines:
            for key in [key for key in line if key > 0]:
                del line[key]
        self._start_soon()

    def _fail(self, error: ConnectionLost, answers: Iterable[asyncio.Future[Any]]) -> None:
        for answer in tuple(answers):
            if not answer.done():
                answer.set_exception(error)

    def _tell_undelivered(self) -> None:
        count = len(self.engine.undelivered)
        log.warning("%s: the fate of %d messages is not known: Connection.undelivered() has them", self.peer, count)
        if SessionEnded.subscribers:
            emit(SessionEnded(peer=str(self.peer), reason=self.engine.reason, undelivered=count))

    @property
    def lives_on(self) -> bool:
        """Whether another process will go on with the session, and send what waits here, when this one has let go."""
        return False

    def end(self, reason: str) -> None:
        """End all at once, the session too."""
        if self.engine.state is not State.LOST:
            self.engine.end_session()
            self.cut(reason)
        elif not self.ended.done():
            self.cut_reason = reason
            self._over(reason, None)

    def is_answering(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether `task` runs the handler of a request that came over this connection."""
        return any(running[0] is task for running in self._running.values())

    def __str__(self) -> str:
        """The peer's address, as events tell it; written once."""
        self.name = self.name or str(self.peer)
        return self.name

    # Another transport is there.

    def admit(self) -> tuple[GoodbyeCode, str] | None:
        """Why there is no room for this connection, if there is none."""
        if self.endpoint.is_closing:
            return GoodbyeCode.GOING_AWAY, STOPS
        refusal = "" if self.ticket is None else self.ticket.enter()
        return (GoodbyeCode.REFUSED, refusal) if refusal else None

    def restored(self, peer: Address) -> None:
        """The engine has become a session that was stored by a process before this one."""
        self.peer = peer
        self.messenger.restored()
        self.is_lost = True
        self.lost_at = self.loop.time()
        self._wait_for_client()
        self.tell_open()
        if self.endpoint.has_connect_hooks:
            self.greet()

    def session(self) -> Session | None:
        """A session for this connection, where the server has any."""
        return self.endpoint.sessions.begin(self)

    def resuming(self, hello: Hello) -> None:
        """The peer wants to go on with another connection's session."""
        self.endpoint.sessions.resume(self, hello)

    def take_over(self, other: Survival, resume: Resume) -> None:
        """Go on over the connection that another link has begun; this one's older connection, if any, is fenced off."""
        transport, ticket = other.transport, other.ticket
        assert transport is not None, "a hello came over it"  # noqa: S101 - the house's own order
        older, self.transport = self.transport, transport
        if older is not None:
            older.set_protocol(asyncio.Protocol())
            older.abort()
            if self.engine.can_resume:
                self.engine.lose("the peer came back over another connection")
            self._note_loss()
        if self.ticket is not None:
            self.ticket.release()
        self.ticket, other.ticket = ticket, None
        self.peer, self.credentials, self.name = other.peer, other.credentials, ""
        if self.tap is not None or other.tap is not None:
            taps.hand_over(other, self)
        self.received_bytes += other.received_bytes
        other.give_away()
        self.clogged = self.paused = False
        self.endpoint.connections.add(self)  # type: ignore[arg-type] # every one is a Link
        transport.set_protocol(self)
        self.begin_to_watch()
        self.engine.resume(resume, self.loop.time())
        self.write()
        self.resumed()

    def part_with(self) -> None:
        """Another process has this one's connection, which was never open: here it is closed, and nothing is said."""
        transport = self.transport
        assert transport is not None, "it was handed over"  # noqa: S101 - the house's own order
        transport.set_protocol(asyncio.Protocol())
        if self.ticket is not None:
            self.ticket.release()
        self.give_away()
        transport.abort()

    def give_away(self) -> None:
        """Another link has taken this one's connection, which was never open."""
        self.transport = None
        self.was_open = False
        self.endpoint.connections.discard(self)
        self.endpoint.sweep.forget(self)
        self.endpoint.room.forget(self)
        self.engine.drop("")
        if self.tap is not None:
            taps.over(self)
        self.tell_end()
        self.ended.set_result(None)

    def resumed(self) -> None:
        """The session goes on over a new connection."""
        self.is_lost = False
        self.endpoint.resumed(self)
        if SessionResumed.subscribers:
            away = self.loop.time() - self.lost_at
            emit(SessionResumed(peer=str(self.peer), seconds=away, epoch=self.engine.epoch))
        if self.endpoint.has_reconnect_hooks:
            self.endpoint.spawn(self.endpoint.reconnected(self.connection))
        if self.back is not None and not self.back.done():
            self.back.set_result(None)
        self.wake()
