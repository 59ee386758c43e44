"""How long a connection lives: its deadlines, its heartbeats, a peer that takes nothing, and what is told of its end.

The middle part of a `Link`. No timer: times are noted where something happens, and the wheel looks at them.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Final

from tomada.capacity import PORTION
from tomada.handling import Handling
from tomada.protocol import GoodbyeCode, Role, State
from tomada.protocol.state import FINAL
from tomada.sweep import NOWHERE, TICK
from tomada.telemetry import ConnectionEnded, ConnectionOpened, HandshakeEnded, emit, late
from tomada.telemetry.statistics import ConnectionStatistics, Moved
from tomada.transports import own_address, reset, unacknowledged

if TYPE_CHECKING:
    from tomada.endpoint import Endpoint
    from tomada.protocol import Engine


_EARLY_ACCEPTING: Final = 2 * TICK
_EARLY_CONNECTING: Final = 5 * TICK
_LOOK: Final = 0.5
"""So long after something was sent it is looked whether the peer takes it, and then again and again."""
_LOOKS: Final = 4
"""So often in the time between two heartbeats, at least."""


def patience(heartbeat: float, role: Role) -> float:
    """How long a peer may be silent before it is asked, and then before it is dead.

    A little less than a heartbeat, so that whoever vanishes is found out within two. The connecting end asks first, and
    what it asks is a sign for the other, which so seldom has to ask itself.
    """
    early = _EARLY_ACCEPTING if role is Role.ACCEPTING else _EARLY_CONNECTING
    return heartbeat - min(early, heartbeat / _LOOKS)


class Lifetime(Handling):
    """Keeps the deadlines of one connection. It stands in the endpoint's wheel for as long as it lives."""

    __slots__ = (
        "_due_progress",
        "_exchanged",
        "_is_told",
        "_late",
        "_made_at",
        "_pinged_at",
        "_seen_bytes",
        "_taken",
        "clogged",
        "cut_reason",
        "heard_at",
        "lost_at",
        "opened_at",
        "paused",
        "received_bytes",
        "sent_bytes",
        "slot",
        "squeezed",
        "transport",
        "was_open",
        "weighed",
    )

    def __init__(self, endpoint: Endpoint, engine: Engine) -> None:
        super().__init__(endpoint, engine)
        self.transport: asyncio.Transport | None = None
        self.slot = NOWHERE
        self.was_open = False
        """Whether the handshake was completed."""
        self._is_told = False
        self.opened_at = 0.0
        self._made_at = engine.made_at
        self.cut_reason = ""
        """Why this end has cut it, if it has."""
        self.received_bytes = 0
        self.sent_bytes = 0
        self.paused = False
        """Whether reading pauses."""
        self.clogged = False
        """Whether the transport takes no more: what is queued stays in the engine."""
        self.squeezed = False
        """Whether too much waits in all connections of the endpoint, and some of it here."""
        self.weighed = 0
        """How many bytes waited here when that was counted last."""
        self.heard_at = self._exchanged = self.loop.time()
        """When something came last."""
        self.lost_at = 0.0
        """When the connection was lost, whose session is kept."""
        self._pinged_at = 0.0
        self._seen_bytes = 0
        self._taken = 0
        self._due_progress = inf
        self._late: float | None = None
        """When a connection that is to end is cut."""

    def cut(self, reason: str) -> None:
        """End the connection at once, whatever is under way; a session goes on over another one."""
        raise NotImplementedError

    def end(self, reason: str) -> None:
        """End all at once, the session too."""
        raise NotImplementedError

    def throttle(self) -> None:
        """Go on reading, or pause."""
        raise NotImplementedError

    def settle(self) -> None:
        """Take the consequences of a state that is not open."""
        raise NotImplementedError

    # Notes of what happens.

    def look_at(self, when: float) -> None:
        """Let the wheel look then, or before."""
        self.endpoint.sweep.watch(self, when)

    def due(self, at: float) -> None:
        """A request came whose caller waits until `at`, for a shorter time than all before it."""
        self.look_at(at)

    def begin_to_watch(self) -> None:
        """There is a connection: from now on it may be late."""
        deadlines = self.endpoint.deadlines
        self.heard_at = self.loop.time()
        self.look_at(self.heard_at + min(deadlines.handshake, self._patience, deadlines.idle))

    def end_in_time(self, grace: float = inf) -> None:
        """Let the connection be cut at the drain deadline, or sooner: a peer that does not read must not keep it."""
        if self._late is None:
            self._late = self.loop.time() + min(self.endpoint.deadlines.drain, grace)
            self.look_at(self._late)

    def watch_progress(self) -> None:
        """Something was sent: from now on the peer must take it. To be called where `slot` is later than soon."""
        self.look_at(self.loop.time() + _LOOK)

    # The wheel asks.

    def sweep(self, now: float) -> float:
        """End what is late; when to look again."""
        deadlines, engine = self.endpoint.deadlines, self.engine
        # Asked now and then, they notice when a sequence begins anew.
        _ = engine.sent_messages, engine.received_messages
        if self.transport is None or self.transport.is_closing() or engine.state in FINAL:
            return min(self._sweep_end(now), self._sweep_lost(now))
        if engine.expired(now, deadlines.handshake, deadlines.frame):
            is_greeting = not self.was_open
            self._struck("handshake" if is_greeting else "frame")
            self.write()
            self.settle()
            return self._sweep_end(now)
        engine.report(at_once=True)
        if engine.unsent:
            self.write()
        if not self.weighed - PORTION < self._weight < self.weighed + PORTION:
            self.endpoint.room.weigh(self)
        due = engine.due(deadlines.handshake, deadlines.frame)
        if self.was_open:
            due = min(due, self._sweep_silence(now), self._sweep_idle(now))
        if engine.answer_by < inf:
            due = min(due, self.expire(now))
        return min(due, self._sweep_progress(now), self._sweep_end(now))

    def _sweep_end(self, now: float) -> float:
        if self._late is None:
            return inf
        if now < self._late:
            return self._late
        if self.was_open:
            self._struck("drain")
        self.end(f"not closed within {self.endpoint.deadlines.drain:g} s" if self.was_open else "the server stops")
        return inf

    def _sweep_lost(self, now: float) -> float:
        """Give up a session that nobody has come back to."""
        engine = self.engine
        if engine.state is not State.LOST or engine.session is None or self.transport is not None:
            return inf  # a transport that is going yet: `lost_at` is not noted, and when it is, the wheel is told
        due = self.lost_at + engine.session.seconds
        if now >= due:
            self.end(f"{engine.reason}; nobody came back to the session within {engine.session.seconds:g} s")
            return inf
        return min(due, self.expire(now)) if engine.answer_by < inf else due

    def _sweep_silence(self, now: float) -> float:
        """Ask a silent peer for a sign; end the connection of one that gives none."""
        patience = self._patience
        if self.paused:
            self.heard_at = now  # this end does not listen
        if now < self.heard_at + patience:
            return self.heard_at + patience
        if self._pinged_at <= self.heard_at:
            self._pinged_at = now
            self.engine.beat()
            self.write()
        elif now >= self._pinged_at + patience:
            self._struck("heartbeat")
            self._give_up(f"the peer gave no sign of life for {2 * self.endpoint.deadlines.heartbeat:g} s")
            return inf
        return self._pinged_at + patience

    @property
    def _patience(self) -> float:
        return patience(self.endpoint.deadlines.heartbeat, self.endpoint.role)

    def _sweep_idle(self, now: float) -> float:
        """Close a connection on which nothing was exchanged."""
        deadlines, moved = self.endpoint.deadlines, self.sent_bytes + self.received_bytes
        if moved != self._seen_bytes or not self.engine.idle:
            self._seen_bytes = moved
            self._exchanged = now
        if now < self._exchanged + deadlines.idle or self.engine.state is not State.OPEN:
            return self._exchanged + deadlines.idle
        self._struck("idle")
        self.leave(GoodbyeCode.DEADLINE, f"nothing was exchanged for {deadlines.idle:g} s")
        return inf

    def _sweep_progress(self, now: float) -> float:
        """Cut a connection whose peer takes nothing of what was sent, be it still here or in the kernel."""
        transport, progress = self.transport, self.endpoint.deadlines.progress
        if transport is None or self.sent_bytes == self._taken:
            return inf
        taken = self.sent_bytes - transport.get_write_buffer_size() - unacknowledged(transport)
        has_moved, self._taken = taken > self._taken, taken
        if taken == self.sent_bytes:
            self._due_progress = inf  # its kernel has all: whether it lives, heartbeats tell
            return inf
        pause = min(_LOOK, self.endpoint.deadlines.heartbeat / _LOOKS)
        if has_moved and self._due_progress != inf:
            # It has taken some of what waited at the last look, since then: a ping would wait behind the rest.
            self.heard_at = max(self.heard_at, now - pause - TICK)
        if has_moved or self._due_progress == inf:
            self._due_progress = now + progress
        elif now >= self._due_progress:
            self._struck("progress")
            self._give_up(f"the peer took nothing of what was sent for {progress:g} s")
            return inf
        return min(now + pause, self._due_progress)

    def _give_up(self, reason: str) -> None:
        """Cut it so that the kernel, too, forgets what the peer does not take."""
        self.cut(reason)
        if self.transport is not None:
            reset(self.transport)

    def _struck(self, deadline: str) -> None:
        late(deadline, getattr(self.endpoint.deadlines, deadline), self.peer)

    @property
    def unsent_bytes(self) -> int:
        """How much waits until the kernel takes more."""
        if not self.clogged or self.transport is None:
            return 0
        return self.transport.get_write_buffer_size() + self.engine.unsent

    # All connections together: `Room` calls these.

    def held(self) -> int:
        """How many bytes wait here: to be sent, acknowledged or handled, or for the rest of their message."""
        self.weighed = self._weight
        return self.weighed

    @property
    def _weight(self) -> int:
        engine = self.engine
        sent = self._in_transport + engine.kept
        return sent + engine.held_bytes + engine.unfinished + engine.streamed_bytes

    @property
    def _in_transport(self) -> int:
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def squeeze(self, *, squeezed: bool) -> None:
        """Read no more while something waits to be sent; or go on."""
        if squeezed is not self.squeezed:
            self.squeezed = squeezed
            self.throttle()

    # What is told.

    def tell_open(self) -> None:
        """The handshake is complete: tell those who want to know."""
        accepted = self.endpoint.role is Role.ACCEPTING
        self.was_open = True
        self.opened_at = self.loop.time()
        self.endpoint.tally.connection_opened()
        if accepted and HandshakeEnded.subscribers:
            self._tell_handshake("", is_wrong=False)
        if ConnectionOpened.subscribers:
            emit(ConnectionOpened(peer=str(self.peer), kind="messages", accepted=accepted))

    def tell_end(self, *, is_lost: bool = False) -> None:
        """The connection has ended, or its handshake has failed: tell those who want to know, once."""
        if self._is_told:
            return
        self._is_told = True
        engine = self.engine
        is_wrong = is_lost or engine.state is State.FAILED or engine.cut or bool(self.cut_reason)
        accepted = self.endpoint.role is Role.ACCEPTING
        if not self.was_open:
            if accepted and HandshakeEnded.subscribers:
                self._tell_handshake(engine.reason, is_wrong=is_wrong and not self.endpoint.is_closing)
            return
        moved = Moved(engine.received_messages, engine.sent_messages, self.received_bytes, self.sent_bytes)
        self.endpoint.tally.connection_ended(moved, is_wrong=is_wrong)
        if ConnectionEnded.subscribers:
            emit(
                ConnectionEnded(
                    peer=str(self.peer),
                    kind="messages",
                    accepted=accepted,
                    seconds=self.loop.time() - self.opened_at,
                    reason=engine.reason,
                    is_wrong=is_wrong,
                    received_bytes=self.received_bytes,
                    sent_bytes=self.sent_bytes,
                    received_messages=engine.received_messages,
                    sent_messages=engine.sent_messages,
                )
            )

    def _tell_handshake(self, reason: str, *, is_wrong: bool) -> None:
        emit(
            HandshakeEnded(
                address="" if self.transport is None else str(own_address(self.transport)),
                peer=str(self.peer),
                seconds=self.loop.time() - self.engine.made_at,
                reason=reason,
                is_wrong=is_wrong,
            )
        )

    def statistics(self) -> ConnectionStatistics:
        """What it has done so far."""
        engine = self.engine
        return ConnectionStatistics(
            seconds=self.loop.time() - self._made_at,
            received_bytes=self.received_bytes,
            sent_bytes=self.sent_bytes,
            received_messages=engine.received_messages,
            sent_messages=engine.sent_messages,
            waiting_bytes=engine.normal.unsent + engine.urgent.unsent + self._in_transport,
            unacknowledged_bytes=engine.normal.retained_bytes + engine.urgent.retained_bytes,
            held_bytes=engine.held_bytes,
            credit_bytes=engine.credit_left,
            resumed=engine.epoch,
            duplicates=engine.duplicates,
            streams=engine.streams,
            stream_bytes=engine.streamed_bytes,
            own_requests=engine.own_requests,
            peer_requests=engine.peer_requests,
            handlers=self.running,
        )

    # The end.

    async def after_end(self) -> None:
        """Run the ``on_disconnect`` functions."""
        await asyncio.sleep(0)  # the handlers that are cancelled hear of it first
        if self.greeter is not None:
            await asyncio.wait([self.greeter])
        await self.endpoint.disconnected(self.connection)
