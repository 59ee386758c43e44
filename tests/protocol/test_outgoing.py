"""One lane's outgoing side: what it may begin, what it keeps, and what of that nobody has handled."""

from __future__ import annotations

import pytest

from tests.protocol.pairs import pair
from tomada.protocol.frames import HEADER, MORE, NORMAL, URGENT, Kind
from tomada.protocol.handshake import PeerLimits
from tomada.protocol.outgoing import Outgoing

BOUND = 100_000


def frame(sequence: int, *, more: bool = False, size: int = 5_000) -> bytes:
    flags = NORMAL | (MORE if more else 0)
    return HEADER.pack(size, Kind.SEND, flags, 1, 0, sequence) + bytes(size)


def taken(chunks: list[list[bytes]]) -> Outgoing:
    """A lane that has handed out these frames, a chunk at a time."""
    lane = Outgoing(NORMAL)
    lane.retains = True
    lane.credit = BOUND
    lane.weigh(BOUND)
    for chunk in chunks:
        for one in chunk:
            lane.gathered += one
            lane.sequence += 1
        lane.take()
    return lane


@pytest.mark.parametrize("lane", [URGENT, NORMAL])
def test_what_was_handed_out_has_used_up_its_credit(lane: int) -> None:
    left, _ = pair(PeerLimits(buffer_bytes=8_192))
    outgoing = left.urgent if lane == URGENT else left.normal
    before = outgoing.left
    left.send(1, bytes(1_000), urgent=lane == URGENT)
    left.take()
    assert outgoing.left <= before - 1_000
    assert outgoing.left == outgoing.credit - outgoing.offset


def test_of_what_is_acknowledged_in_the_middle_of_a_chunk_nothing_is_of_unknown_fate() -> None:
    """A message that was an exception first, and was handled later, lies in two chunks."""
    lane = taken([[frame(1), frame(2, more=True)], [frame(3), frame(4)]])
    lane.acknowledge(3, [2, 3])
    assert [sequence for sequence, _ in lane.frames()] == [2, 3, 4]
    lane.acknowledge(3, [])
    assert [sequence for sequence, _ in lane.frames()] == [4]


def test_messages_that_wait_to_be_handled_leave_room_for_answers() -> None:
    """Else two ends that both hold as much as may be would handle nothing, and wait for each other for ever."""
    left, _ = pair(PeerLimits(buffer_bytes=8_192))
    for _ in range(20):
        if not left.full:
            left.send(1, bytes(1_000))
            left.take()
    assert left.full
    assert not left.stuffed
