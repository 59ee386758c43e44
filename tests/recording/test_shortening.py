"""What is kept of the bytes of a connection does not depend on the pieces in which they come, and has no secrets."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tomada.protocol.frames import CONTROL, HEADER, NORMAL, Kind
from tomada.protocol.handshake import (
    Hello,
    PeerLimits,
    Position,
    Positions,
    Resume,
    Session,
    Welcome,
    decode_hello,
    decode_welcome,
    encode,
)
from tomada.recording.blanking import blanked
from tomada.recording.shortening import Piece, Shortener, kept_of

TOKEN = b"a token of thirty-two bytes ....."[:32]
POSITIONS = Positions(1, Position(0, (), 1), Position(0, (), 1))
HELLO = Hello(software="x", credentials=b"my password", session=Resume(b"id", TOKEN, 3, 4, POSITIONS))
WELCOME = Welcome(software="x", limits=PeerLimits(), session=Session(b"id", TOKEN, 0, 120.0))


def frame(kind: Kind, payload: bytes, *, sequence: int = 0) -> bytes:
    return HEADER.pack(len(payload), kind, NORMAL if sequence else CONTROL, 1, 1, sequence) + payload


def shortened(data: bytes, cuts: list[int], keep: int, *, is_beginning: bool = True) -> tuple[bytes, list[Piece]]:
    shortener = Shortener(keep, is_beginning=is_beginning)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [piece for start, stop in pairwise(places) if (piece := shortener.shorten(data[start:stop])) is not None]
    return b"".join(piece.data for piece in pieces), pieces


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from([Kind.ASK, Kind.SEND, Kind.CREDIT, Kind.PING]), st.integers(0, 600))),
    st.lists(st.integers(0, 5_000)),
    st.sampled_from([0, 10, 256]),
)
def test_what_is_kept_follows_from_the_headers(shapes: list[tuple[Kind, int]], cuts: list[int], keep: int) -> None:
    frames = [frame(Kind.HELLO, encode(HELLO))]
    frames += [
        frame(kind, bytes([number % 251] * length), sequence=kind in (Kind.ASK, Kind.SEND) and number + 1)
        for number, (kind, length) in enumerate(shapes)
    ]
    wanted = b"".join(
        one[: 16 + kept_of(one[4], len(one) - 16, keep)]
        for one in (frame(Kind.HELLO, blanked(Kind.HELLO, encode(HELLO))), *frames[1:])
    )
    data = b"".join(frames)
    kept, pieces = shortened(data, cuts, keep)
    assert kept == wanted
    end = 0
    for piece in pieces:
        assert piece.offset >= end
        assert piece.old <= piece.length
        assert piece.old_kept <= min(piece.old, len(piece.data))
        end = piece.offset + piece.length
    assert end == len(data)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 300)))
def test_a_greeting_is_kept_without_its_secrets(cuts: list[int]) -> None:
    for kind, payload in ((Kind.HELLO, encode(HELLO)), (Kind.WELCOME, encode(WELCOME))):
        kept, _ = shortened(frame(kind, payload) + frame(Kind.PING, b"x"), cuts, 256)
        assert TOKEN not in kept
        assert b"password" not in kept
        assert kept.endswith(frame(Kind.PING, b"x"))
    hello = decode_hello(blanked(Kind.HELLO, encode(HELLO)))
    assert hello.session is not None
    assert (hello.credentials, hello.session.token) == (bytes(11), bytes(32))
    assert (hello.software, hello.session.id, hello.session.generation) == ("x", b"id", 4)
    welcome = decode_welcome(blanked(Kind.WELCOME, encode(WELCOME)))
    assert welcome.session is not None
    assert (welcome.session.id, welcome.session.token) == (b"id", bytes(32))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_a_greeting_that_cannot_be_read_is_zeros(payload: bytes) -> None:
    for kind in (Kind.HELLO, Kind.WELCOME):
        assert len(blanked(kind, payload)) == len(payload)
    broken = encode(HELLO)[:-20]
    assert blanked(Kind.HELLO, broken) == bytes(len(broken))
    # Credentials that are a number, of which nothing is known.
    odd = encode(Hello(credentials=None, session=None))[:-2] + b"\xcd\x12\x34\xc0"
    assert blanked(Kind.HELLO, odd) == bytes(len(odd))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(st.binary(min_size=16, max_size=300), st.lists(st.integers(0, 300)))
def test_of_another_protocol_nothing_is_kept(data: bytes, cuts: list[int]) -> None:
    data = b"GET " + data
    kept, pieces = shortened(data, cuts, 256)
    assert kept == b""
    assert all(piece.is_foreign for piece in pieces)
    assert sum(piece.length for piece in pieces) == len(data)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(st.binary(max_size=2_000), st.lists(st.integers(0, 2_000)), st.integers(0, 300))
def test_nothing_that_a_peer_sends_makes_it_fail(data: bytes, cuts: list[int], keep: int) -> None:
    shortened(data, cuts, keep)
    shortened(data, cuts, keep, is_beginning=False)
