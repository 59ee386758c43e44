"""The part of an engine that keeps the streams: items of requests, in either direction, with a credit each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tomada.errors import ProtocolError
from tomada.protocol.frames import END, HEADER_BYTES, ITEM, Kind
from tomada.protocol.outbound import HEARD
from tomada.protocol.requests import Requests

if TYPE_CHECKING:
    from tomada.protocol.handshake import PeerLimits
    from tomada.protocol.state import Role

_OFFSET_BYTES: Final = 8
_GRANTS: Final = 4
"""Credit is granted when such a part of the window has been used up."""


class _Flow:
    """The items of one request in one direction: each counts its payload and a header."""

    __slots__ = ("credit", "is_ended", "offset", "used", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.offset = 0
        """How many bytes have been sent, or have come."""
        self.used = 0
        """How many of those that have come were consumed."""
        self.credit = window
        """Up to which offset an item may be begun."""
        self.is_ended = False
        """Whether the last of them has gone."""


class Streaming(Requests):
    """Items out and in."""

    __slots__ = ("_inflows", "_outflows", "_stream_window")

    def __init__(self, role: Role, types: int, limits: PeerLimits) -> None:
        super().__init__(role, types, limits)
        self._stream_window = limits.stream_bytes
        self._inflows: dict[int, _Flow] = {}
        """By the request; its number tells at which end it began."""
        self._outflows: dict[int, _Flow] = {}

    def has_stream_room(self, id_: int) -> bool:
        """Whether the next item of the request may be queued, by its credit."""
        flow = self._outflows.get(id_)
        return flow is None or flow.offset < flow.credit

    def is_stuffed(self, *, urgent: bool) -> bool:
        """Whether as much waits in a lane as may: items wait then, too."""
        return self.urgent.is_stuffed(self._urgent_bound) if urgent else self.stuffed

    def is_urgent(self, id_: int) -> bool:
        """In which lane the items of a request travel."""
        return id_ in self._urgent_open or id_ in self._urgent_asked

    def item(self, id_: int, type_: int, payload: bytes) -> None:
        """Queue an item: an answer to the peer's request, or a part of one of this end.

        Without effect where the request is not open, or was given up, or this end has ended the items. The driver minds
        `has_stream_room` and `is_stuffed`.

        Raises `InvalidMessage` when the peer takes no message so long.
        """
        if id_ in self._open:
            lane = self._answer_lane(id_)
        elif self._asked.get(id_) is not None:
            lane = self._ask_lane(id_)
        else:
            return
        flow = self._outflow(id_)
        if flow.is_ended:
            return
        self._message_out(ITEM, type_, id_, payload, lane)
        self._parts += 1
        flow.offset += len(payload) + HEADER_BYTES

    def _outflow(self, id_: int) -> _Flow:
        flow = self._outflows.get(id_)
        if flow is None:
            flow = self._outflows[id_] = _Flow(self._peer_limits.stream_bytes)
        return flow

    def end(self, id_: int) -> None:
        """Queue the end of the items: the answer to the peer's request, or the last part of one of this end."""
        if id_ in self._open:
            self._message_out(END, 0, id_, b"", self._answer_lane(id_))
            self._answered(id_)
        elif self._asked.get(id_) is not None and not self._outflow(id_).is_ended:
            self._outflow(id_).is_ended = True
            self._parts += 1
            self._message_out(END, 0, id_, b"", self._ask_lane(id_))

    def consume(self, id_: int, size: int) -> bool:
        """An item with a payload of `size` bytes has been used; whether the peer is told that it may send more."""
        flow = self._inflows.get(id_)
        if flow is None:
            return False
        flow.used += size + HEADER_BYTES
        if flow.used + flow.window - flow.credit < flow.window // _GRANTS:
            return False
        flow.credit = flow.used + flow.window
        if self.state not in HEARD:
            return False  # all credits are said again when the connection is back
        self._queue(Kind.CREDIT, id_, flow.credit.to_bytes(_OFFSET_BYTES, "big"))
        return True

    @property
    def streams(self) -> int:
        """How many requests have streams under way, in either direction."""
        return len(self._inflows.keys() | self._outflows.keys())

    @property
    def streamed_bytes(self) -> int:
        """How many bytes of items have come, in all streams, and were not consumed."""
        return sum(flow.offset - flow.used for flow in self._inflows.values())

    def stream_bytes_waiting(self, id_: int) -> int:
        """How many bytes of items have come and were not consumed."""
        flow = self._inflows.get(id_)
        return 0 if flow is None else flow.offset - flow.used

    def _answered(self, id_: int) -> None:
        self._open.pop(id_, None)
        if self._urgent_open:
            self._urgent_open.discard(id_)
        if self._inflows or self._outflows:
            self._end_flows(id_)

    def _end_flows(self, id_: int) -> None:
        self._inflows.pop(id_, None)
        self._outflows.pop(id_, None)

    def _inflow(self, id_: int) -> _Flow:
        flow = self._inflows.get(id_)
        if flow is None:
            flow = self._inflows[id_] = _Flow(self._stream_window)
        return flow

    def _item_in(self, id_: int, size: int) -> None:
        """Count an item that has come."""
        flow = self._inflow(id_)
        if flow.offset >= flow.credit:
            raise ProtocolError(f"an item of request {id_} came beyond its credit of {flow.credit} bytes")
        flow.offset += size + HEADER_BYTES

    def _stream_credit(self, id_: int, credit: int) -> None:
        """The peer grants credit for items of this end."""
        flow = self._outflows.get(id_)
        if flow is not None:
            if credit < flow.credit:
                raise ProtocolError(f"the credit of request {id_} shrinks from {flow.credit} to {credit}")
            flow.credit = credit

    def _repeat_stream_credits(self) -> None:
        """On a new connection: say again what the old one may have lost."""
        for id_, flow in self._inflows.items():
            self._queue(Kind.CREDIT, id_, flow.credit.to_bytes(_OFFSET_BYTES, "big"))
