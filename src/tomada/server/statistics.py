"""What a server has done so far, as a snapshot."""

from __future__ import annotations

import msgspec

from tomada.transports import DatagramStatistics


class ServerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One server, at one moment. Got from `Server.statistics`."""

    addresses: tuple[str, ...]
    """Where it listens."""
    seconds: float
    """Since it was started."""
    connections: int
    """Of messages, open now."""
    streams: int
    """Byte streams, open now."""
    handshakes: int
    """Callers at their handshake now."""
    handlers: int
    """Handlers and hooks that have begun and wait for something now, in tasks or threads."""
    accepted: int
    """Callers that were accepted since the start, whatever became of them; those of ``memory`` are not counted."""
    opened: int
    """Connections and byte streams whose handshake was completed since the start."""
    failed: int
    """Of those: how many ended by a fault, as `ConnectionEnded.is_wrong` has it."""
    turned_away: dict[str, int]
    """Callers that were dropped or refused since the start, by the name of the limit that they met."""
    datagrams: dict[str, DatagramStatistics]
    """By address."""
