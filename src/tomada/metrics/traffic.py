"""Sums up what all connections of a server have moved and hold: a few hundred, then the loop has its turn.

What went over a connection is added to the endpoint's tally when it ends, in one turn of the loop with its leaving of
the endpoint. So the sum is that tally as it was, and all that were counted in no tally then: each is read once, and has
moved no less when it ends. No sum is less than one before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tomada.metrics.families import Number
from tomada.telemetry.statistics import Moved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tomada.endpoint import Endpoint
    from tomada.link import Link
    from tomada.streams.flow import Flow

PORTION: Final = 256
"""Connections that are read in one turn of the loop, in less than half a millisecond."""


class Traffic:
    """Of one endpoint, at one moment.

    Args:
        endpoint: It belongs to the event loop that this is used in.
    """

    __slots__ = ("_flows", "_held", "_links", "_moved", "_unacknowledged", "_waiting")

    def __init__(self, endpoint: Endpoint) -> None:
        self._moved: Moved = endpoint.tally.ended
        self._links = [link for link in endpoint.connections if link.is_counted]
        self._flows = tuple(endpoint.flows)
        self._waiting = 0
        self._unacknowledged = 0
        self._held = 0

    def portions(self) -> Iterator[None]:
        """Read all; between two portions the loop may have its turn."""
        received = sent = received_bytes = sent_bytes = 0
        for number, link in enumerate(self._links, 1):
            engine = link.engine
            received += engine.received_messages
            sent += engine.sent_messages
            received_bytes += link.received_bytes
            sent_bytes += link.sent_bytes
            self._weigh(link)
            if not number % PORTION:
                yield
        for number, flow in enumerate(self._flows, 1):
            received_bytes += flow.received_bytes
            sent_bytes += flow.sent_bytes
            self._weigh_stream(flow)
            if not number % PORTION:
                yield
        self._moved += Moved(received, sent, received_bytes, sent_bytes)

    def _weigh(self, link: Link) -> None:
        engine, transport = link.engine, link.transport
        waiting = engine.normal.unsent + engine.urgent.unsent
        if transport is not None and link.clogged:
            waiting += transport.get_write_buffer_size()
        self._waiting += waiting
        self._unacknowledged += engine.normal.retained_bytes + engine.urgent.retained_bytes
        self._held += engine.held_bytes

    def _weigh_stream(self, flow: Flow) -> None:
        self._waiting += flow.waiting
        self._held += flow.buffer.size

    def numbers(self) -> list[Number]:
        """What it comes to."""
        received_messages, sent_messages, received_bytes, sent_bytes = self._moved
        return [
            Number("tomada_received_messages_total", received_messages),
            Number("tomada_sent_messages_total", sent_messages),
            Number("tomada_received_bytes_total", received_bytes),
            Number("tomada_sent_bytes_total", sent_bytes),
            Number("tomada_waiting_bytes", self._waiting),
            Number("tomada_unacknowledged_bytes", self._unacknowledged),
            Number("tomada_held_bytes", self._held),
        ]
