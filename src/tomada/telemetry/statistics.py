"""What a connection has done so far, as snapshots that do not change; and what is counted of all of a server."""

from __future__ import annotations

from operator import add, sub
from threading import Lock
from typing import NamedTuple

import msgspec


class ConnectionStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One connection of messages, at one moment. Got from `Connection.statistics`."""

    seconds: float
    """Since it was made."""
    received_bytes: int
    """Taken from the system, or from TLS or WebSocket above it."""
    sent_bytes: int
    """Handed to them."""
    received_messages: int
    """Requests, one-way messages and answers alike."""
    sent_messages: int
    """The same."""
    waiting_bytes: int
    """Of what is to be sent: so much the system has not taken yet."""
    unacknowledged_bytes: int
    """Of what was sent: so much the peer has not handled, or not said so, and would be sent again."""
    held_bytes: int
    """Of what has come: so much is not handled yet."""
    credit_bytes: int
    """So much more the peer takes, before it has handled some of what it holds."""
    resumed: int
    """How often the session has gone on over another connection."""
    duplicates: int
    """Frames that came a second time, and were dropped."""
    streams: int
    """Requests with items under way, in either direction."""
    stream_bytes: int
    """Of items that have come: so much is not taken yet."""
    own_requests: int
    """Asked at this end, and not answered yet."""
    peer_requests: int
    """Asked by the peer, and not answered yet."""
    handlers: int
    """That run for it, and wait for something."""


class StreamStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One byte stream, at one moment. Got from `Stream.statistics`."""

    seconds: float
    """Since it was opened."""
    received_bytes: int
    """Taken from the system, or from TLS or WebSocket above it."""
    sent_bytes: int
    """Handed to them."""
    waiting_bytes: int
    """Of what is to be sent: so much the system has not taken yet."""
    unread_bytes: int
    """Come, and not received by the program yet."""


class Moved(NamedTuple):
    """What went over a connection, or over several."""

    received_messages: int = 0
    sent_messages: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0

    def __add__(self, other: Moved) -> Moved:  # type: ignore[override] # sums, not a longer tuple
        return Moved(*map(add, self, other))

    def __sub__(self, other: Moved) -> Moved:
        return Moved(*map(sub, self, other))


class Tally:
    """Counts what becomes of the connections of one server or client, since its start; in any of its threads."""

    __slots__ = ("_lock", "ended", "failed", "messages", "opened", "streams")

    def __init__(self) -> None:
        self._lock = Lock()
        self.messages = 0
        """How many connections of messages are open."""
        self.streams = 0
        """How many byte streams are open."""
        self.opened = 0
        """How many have been opened so far."""
        self.failed = 0
        """How many of them have ended wrongly."""
        self.ended = Moved()
        """What went over those that have ended."""

    def connection_opened(self) -> None:
        """A connection of messages is open."""
        with self._lock:
            self.messages += 1
            self.opened += 1

    def connection_ended(self, moved: Moved, *, is_wrong: bool) -> None:
        """It has ended, after so much."""
        with self._lock:
            self.messages -= 1
            self.failed += is_wrong
            self.ended += moved

    def stream_opened(self) -> None:
        """A byte stream is open."""
        with self._lock:
            self.streams += 1
            self.opened += 1

    def stream_ended(self, moved: Moved, *, is_wrong: bool) -> None:
        """It has ended, after so much."""
        with self._lock:
            self.streams -= 1
            self.failed += is_wrong
            self.ended += moved
