"""No bytes whatever raise anything, and how they are cut into pieces makes no difference."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.pairs import Outcome, cut_at, engine, feed, frame, pair, prepared, single_bytes
from tomada.protocol import FailureCode, GoodbyeCode, Kind, PeerLimits, Role, State, TypeEntry, TypeKind
from tomada.protocol.frames import HEADER, HEADER_BYTES

STATES = [
    (Role.ACCEPTING, "starting"),
    (Role.CONNECTING, "greeted"),
    (Role.CONNECTING, "resuming"),
    *[(role, state) for role in Role for state in ("open", "asked", "session", "leaving", "left")],
]
LIMITS = PeerLimits(1_024, 8_192, 4)
ANY = st.integers(0, 2**32 - 1)

headers = st.builds(
    HEADER.pack,
    st.integers(0, 80) | ANY,
    st.integers(0, 16) | st.integers(0, 255),
    st.sampled_from([0, 1, 2, 3, 6, 10]) | st.integers(0, 255),
    st.integers(0, 3),
    st.integers(0, 5) | ANY,
    st.integers(0, 5) | ANY,
)
# Whole frames, mostly plausible: so that the fuzz comes further than the first header.
plausible = st.builds(
    lambda kind, payload, flags, id_, sequence: frame(kind, payload, flags=flags, id_=id_, sequence=sequence),
    st.sampled_from(Kind),
    st.binary(max_size=40)
    | st.sampled_from([b"\x90", b"\x92\xa6closed\xa0", b"\x91\x92\xa1T\xa7message", b"\x00\x04\x81\xa1d\x05\x90"])
    | st.sampled_from([b"\x92\x92\x01\x90\x92\x00\x90", b"\x92\x92\x00\x91\x01\x92\x00\x90", bytes(16), bytes(8)])
    | st.tuples(st.integers(0, 9_000), st.integers(0, 9_000)).map(
        lambda offsets: b"".join(offset.to_bytes(8, "big") for offset in offsets)
    ),
    st.sampled_from([None, None, None, 0, 1, 2, 3, 6, 10]),
    st.integers(0, 4),
    st.sampled_from([None, None, None, 0, 1, 2, 3]),
)
noise = st.lists(st.binary(max_size=60) | headers | plausible, max_size=12).map(b"".join)
places = st.lists(st.integers(0, 5_000), max_size=6)


def conversation() -> dict[Role, bytes]:
    """All that two ends say in a connection with everything in it, by the end that said it."""
    entry = TypeEntry("Note", TypeKind.MESSAGE)
    client, server = ends = (
        engine(Role.CONNECTING, LIMITS, (entry,)),
        engine(Role.ACCEPTING, LIMITS, (entry,)),
    )
    said = {Role.CONNECTING: b"", Role.ACCEPTING: b""}

    def carry() -> None:
        for end, other in (ends, ends[::-1], ends):
            data = bytes(end.take())
            said[end.role] += data
            other.receive(data, 0.0)

    carry()
    client.ask(1, bytes(3_000), "a", 500)
    client.ask(1, b"\x90", "b", 2_000)
    server.ask(1, b"\x90", "c")
    client.send(1, b"\x90")
    client.declare((entry,))
    server.ping(b"p")
    carry()
    client.cancel(3)
    server.refuse(0, FailureCode.INVALID, "Note", "no")
    server.reply(1, 1, bytes(2_000))
    carry()
    server.refuse(3, FailureCode.CANCELLED, "", "")
    client.fail(2, 1, b"\x90")
    client.leave(GoodbyeCode.CLOSED, "")
    carry()
    server.leave(GoodbyeCode.CLOSED, "")
    carry()
    assert {end.state for end in ends} == {State.CLOSED}
    return said


SAID = conversation()


def hear(role: Role, parts: list[bytes]) -> Outcome:
    """What an end makes of the words of the other one, which answer what it has asked."""
    end = engine(role, LIMITS)
    end.take()
    for number, tag in enumerate(("a", "b") if role is Role.CONNECTING else ("c",)):
        end._asked[2 * number + (1 if role is Role.CONNECTING else 2)] = tag
    return feed(end, parts)


@given(st.sampled_from(STATES), noise, places)
@settings(deadline=None, max_examples=1_500)
def test_noise(where: tuple[Role, str], data: bytes, cuts: list[int]) -> None:
    whole = feed(prepared(*where), [data])

    assert feed(prepared(*where), cut_at(data, cuts)) == whole
    assert feed(prepared(*where), single_bytes(data)) == whole


@pytest.mark.parametrize("role", Role)
def test_a_conversation_is_understood_in_single_bytes(role: Role) -> None:
    other = Role.ACCEPTING if role is Role.CONNECTING else Role.CONNECTING
    whole = hear(role, [SAID[other]])

    assert hear(role, single_bytes(SAID[other])) == whole
    assert len(whole.events) > 5
    assert whole.state is State.LEFT


@given(
    role=st.sampled_from(Role),
    changes=st.lists(st.tuples(st.integers(0, 9_000), st.integers(1, 255)), max_size=4),
    cuts=places,
)
@settings(deadline=None, max_examples=500)
def test_a_conversation_with_bytes_changed(role: Role, changes: list[tuple[int, int]], cuts: list[int]) -> None:
    words = bytearray(SAID[Role.ACCEPTING if role is Role.CONNECTING else Role.CONNECTING])
    for place, change in changes:
        words[place % len(words)] ^= change
    data = bytes(words)

    assert hear(role, cut_at(data, cuts)) == hear(role, [data])


def frames_of(data: bytes) -> list[bytes]:
    found = []
    while data:
        stop = HEADER_BYTES + HEADER.unpack_from(data)[0]
        found.append(data[:stop])
        data = data[stop:]
    return found


@given(
    role=st.sampled_from(Role),
    order=st.lists(st.integers(0, 50), max_size=12),
    cuts=places,
)
@settings(deadline=None, max_examples=500)
def test_frames_of_a_conversation_in_another_order(role: Role, order: list[int], cuts: list[int]) -> None:
    greeting, *others = frames_of(SAID[Role.ACCEPTING if role is Role.CONNECTING else Role.CONNECTING])
    data = greeting + b"".join(others[place % len(others)] for place in order)

    assert hear(role, cut_at(data, cuts)) == hear(role, [data])


@given(st.lists(st.binary(max_size=5_000), max_size=10), places)
@settings(deadline=None)
def test_messages_arrive_as_they_were_sent(messages: list[bytes], cuts: list[int]) -> None:
    client, server = pair(PeerLimits(1_024, 8_192, 4))
    for message in messages:
        client.send(1, message)

    outcome = feed(server, cut_at(bytes(client.take()), cuts))

    assert [event.payload for event in outcome.events if hasattr(event, "payload")] == messages
