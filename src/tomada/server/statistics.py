"""What a server has done so far, as a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tomada.transports import DatagramStatistics

if TYPE_CHECKING:
    from tomada.address import Address
    from tomada.endpoint import Endpoint
    from tomada.server.datagrams import Datagrams
    from tomada.transports import Admission


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
    """Callers that were accepted since the start, whatever became of them."""
    opened: int
    """Connections and byte streams whose handshake was completed since the start."""
    failed: int
    """Of those: how many ended by a fault, as `ConnectionEnded.is_wrong` has it."""
    turned_away: dict[str, int]
    """Callers that were dropped or refused since the start, by the name of the limit that they met."""
    datagrams: dict[str, DatagramStatistics]
    """By address."""


def counted(
    endpoint: Endpoint,
    admission: Admission | None,
    datagrams: Datagrams,
    addresses: tuple[Address, ...],
    seconds: float,
) -> ServerStatistics:
    """What has been counted of a server, in its parts."""
    tally = endpoint.tally
    return ServerStatistics(
        addresses=tuple(map(str, addresses)),
        seconds=seconds,
        connections=tally.messages,
        streams=tally.streams,
        handshakes=0 if admission is None else admission.greeting,
        handlers=len(endpoint.tasks),
        accepted=0 if admission is None else admission.accepted,
        opened=tally.opened,
        failed=tally.failed,
        turned_away={} if admission is None else dict(admission.turned_away),
        datagrams={str(address): of_one for address, of_one in datagrams.statistics.items()},
    )
