"""How long a blocking connection lives: its deadlines, its heartbeats, and what is told of its beginning and its end.

What `tomada.lifetime` is to the other face. The keeper thread asks, a few times a second.
"""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING, Final

from tomada.lifetime import patience
from tomada.protocol import GoodbyeCode, Role, State
from tomada.protocol.state import FINAL
from tomada.telemetry import ConnectionEnded, ConnectionOpened, emit, late
from tomada.telemetry.statistics import ConnectionStatistics
from tomada.transports import blocking

if TYPE_CHECKING:
    from tomada.address import Address
    from tomada.protocol import Engine
    from tomada.settings import Deadlines

_STALLED: Final = 1.0
"""Where nobody has looked for so many seconds, this process was stopped: what has come meanwhile is read first."""


class Lifetime:
    """The deadlines of one blocking connection. Times are of `time.monotonic`.

    Args:
        engine: The connection's; touched under the pump's `state` only.
        connected: Its socket.
        deadlines: How long things may take.
    """

    __slots__ = (
        "_connected",
        "_deadlines",
        "_due_end",
        "_due_progress",
        "_engine",
        "_exchanged",
        "_looked_at",
        "_opened_at",
        "_pinged_at",
        "_seen_bytes",
        "_taken",
        "heard_at",
        "peer",
        "received_bytes",
        "sent_bytes",
        "taken_bytes",
    )

    peer: Address

    def __init__(self, engine: Engine, connected: blocking.Connected, deadlines: Deadlines) -> None:
        self._engine = engine
        self._connected = connected
        self._deadlines = deadlines
        self.received_bytes = 0
        self.sent_bytes = 0
        self.taken_bytes = 0
        """So many the engine gave to be sent."""
        self.heard_at = self._exchanged = self._looked_at = time.monotonic()
        """When something came last."""
        self._opened_at: float | None = None
        self._pinged_at = 0.0
        self._seen_bytes = 0
        self._taken = 0
        self._due_progress = inf
        self._due_end = inf

    def begin(self, connected: blocking.Connected) -> None:
        """The session goes on over another socket: nothing is late yet."""
        self._connected = connected
        self.heard_at = self._exchanged = self._looked_at = time.monotonic()
        self._taken = self.sent_bytes
        self._due_progress = inf

    # The keeper asks, under the pump's `state`.

    def look(self, now: float) -> str:
        """Why the connection is to be cut, if it is; a ping, a report or a goodbye may be queued."""
        looked_at, self._looked_at = self._looked_at, now
        engine, deadlines = self._engine, self._deadlines
        _ = (
            engine.sent_messages,
            engine.received_messages,
        )  # asked now and then, they notice when a sequence begins anew
        if now - looked_at > _STALLED or engine.state in FINAL:
            return ""
        is_greeting = engine.state is State.RESUMING
        if engine.expired(now, deadlines.handshake, deadlines.frame):
            struck = "handshake" if is_greeting else "frame"
            late(struck, getattr(deadlines, struck), self.peer)
            return ""
        if now >= self._due_end:
            late("drain", deadlines.drain, self.peer)
            engine.end_session()
            return f"not closed within {deadlines.drain:g} s"
        engine.report(at_once=True)
        self._look_for_idleness(now)
        return self._look_for_progress(now, looked_at) or self._look_for_silence(now)

    def _look_for_silence(self, now: float) -> str:
        """Ask a silent server for a sign; end the connection of one that gives none."""
        interval = self._deadlines.heartbeat
        silence = patience(interval, Role.CONNECTING)
        if now < self.heard_at + silence:
            return ""
        if self._pinged_at <= self.heard_at:
            self._pinged_at = now
            self._engine.beat()
        elif now >= self._pinged_at + silence:
            late("heartbeat", interval, self.peer)
            return f"the peer gave no sign of life for {2 * interval:g} s"
        return ""

    def _look_for_idleness(self, now: float) -> None:
        """Say goodbye where nothing is exchanged."""
        deadlines, engine, moved = self._deadlines, self._engine, self.sent_bytes + self.received_bytes
        if moved != self._seen_bytes or not engine.idle:
            self._seen_bytes = moved
            self._exchanged = now
        elif now >= self._exchanged + deadlines.idle and engine.state is State.OPEN:
            late("idle", deadlines.idle, self.peer)
            engine.leave(GoodbyeCode.DEADLINE, f"nothing was exchanged for {deadlines.idle:g} s")
            self._due_end = now + deadlines.drain

    def _look_for_progress(self, now: float, looked_at: float) -> str:
        """Find out a server that takes nothing of what was sent."""
        held = blocking.unacknowledged(self._connected)
        taken, progress = self.sent_bytes - held, self._deadlines.progress
        has_moved, self._taken = taken > self._taken, taken
        if not held:
            self._due_progress = inf
        elif has_moved or self._due_progress == inf:
            if has_moved and self._due_progress != inf:
                # It has taken some of what waited at the last look, since then: a ping would wait behind the rest.
                self.heard_at = max(self.heard_at, looked_at)
            self._due_progress = now + progress
        elif now >= self._due_progress:
            late("progress", progress, self.peer)
            return f"the peer took nothing of what was sent for {progress:g} s"
        return ""

    # What is told.

    def tell_open(self) -> None:
        """The handshake is complete: tell those who want to know."""
        self._opened_at = time.monotonic()
        if ConnectionOpened.subscribers:
            emit(ConnectionOpened(peer=str(self.peer), kind="messages", accepted=False))

    def tell_end(self, *, is_wrong: bool) -> None:
        """The connection has ended: tell those who want to know, unless it was never open."""
        if self._opened_at is not None and ConnectionEnded.subscribers:
            engine = self._engine
            emit(
                ConnectionEnded(
                    peer=str(self.peer),
                    kind="messages",
                    accepted=False,
                    seconds=time.monotonic() - self._opened_at,
                    reason=engine.reason,
                    is_wrong=is_wrong or engine.state is State.FAILED or engine.cut,
                    received_bytes=self.received_bytes,
                    sent_bytes=self.sent_bytes,
                    received_messages=engine.received_messages,
                    sent_messages=engine.sent_messages,
                )
            )

    def statistics(self, handlers: int) -> ConnectionStatistics:
        """What it has done so far, with how many handlers run. Under the pump's `state`."""
        engine = self._engine
        return ConnectionStatistics(
            seconds=time.monotonic() - engine.made_at,
            received_bytes=self.received_bytes,
            sent_bytes=self.sent_bytes,
            received_messages=engine.received_messages,
            sent_messages=engine.sent_messages,
            waiting_bytes=engine.normal.unsent + engine.urgent.unsent + self.taken_bytes - self.sent_bytes,
            unacknowledged_bytes=engine.normal.retained_bytes + engine.urgent.retained_bytes,
            held_bytes=engine.held_bytes,
            credit_bytes=engine.credit_left,
            resumed=engine.epoch,
            streams=engine.streams,
            stream_bytes=engine.streamed_bytes,
            duplicates=engine.duplicates,
            own_requests=engine.own_requests,
            peer_requests=engine.peer_requests,
            handlers=handlers,
        )
