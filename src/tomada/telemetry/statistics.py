"""What a connection has done so far, as snapshots that do not change; and what is counted of all of a server."""

from __future__ import annotations

import msgspec


class ConnectionStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One connection of messages, at one moment. Got from `Connection.statistics`."""

    seconds: float
    """Since it was made."""
    received_bytes: int
    sent_bytes: int
    """Handed to the system, or to TLS or WebSocket above it."""
    received_messages: int
    """Requests, one-way messages and answers alike."""
    sent_messages: int
    waiting_bytes: int
    """Of what is to be sent: so much the system has not taken yet."""
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
    sent_bytes: int
    waiting_bytes: int
    """Of what is to be sent: so much the system has not taken yet."""
    unread_bytes: int
    """Come, and not received by the program yet."""


class Tally:
    """Counts what becomes of the connections of one server or client, since its start."""

    __slots__ = ("ended_messages", "ended_streams", "failed", "opened_messages", "opened_streams")

    def __init__(self) -> None:
        self.opened_messages = 0
        self.opened_streams = 0
        self.ended_messages = 0
        self.ended_streams = 0
        self.failed = 0
        """How many ended wrongly."""
