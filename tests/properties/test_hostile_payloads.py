"""No payload whatever raises anything out of a messenger, or ends its connection."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ends import Outcome, greeted, said
from tests.every_answer import (
    Either,
    Insufficient,
    Loose,
    Many,
    Note,
    Nothing,
    Ping,
    Tree,
    app,
)
from tomada.catalogue import Catalogue
from tomada.protocol import FailureCode, State

DEEP = [
    b"\x91" * 100_000,
    b"\x91" * 100_000 + b"\x90",
    b"\x81\xa1x" * 50_000,
    b"\xdd\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
]
INTEGERS = [
    b"\x91\xcf" + b"\xff" * 8,
    b"\x91\xd3\x80" + bytes(7),
    b"\x91\xcb\x7f\xf0" + bytes(6),
    b"\x91\xcb\x7f\xf8" + bytes(6),
]
ALL_TYPES = Catalogue([Ping, Either, Many, Nothing, Note, Loose, Tree, Insufficient])


def check_payload(payload: bytes) -> None:
    end, peer = greeted(tuple(ALL_TYPES.entries), app)
    for number in range(len(ALL_TYPES.entries) + 2):
        peer.send(number, payload)
        peer.ask(number, payload, number)
        peer.refuse(0, FailureCode.INVALID, "x", "y")
        peer.fail(0, number, payload)
        end.receive(said(peer))
        end.engine.report(at_once=True)  # the next ones need credit
        peer.receive(said(end.engine), 0)
    assert end.engine.state is State.OPEN
    for reply in (peer.reply, peer.fail):
        for number in range(len(ALL_TYPES.entries) + 2):
            outcome = Outcome()
            id_ = end.messenger.ask(Ping(1), outcome)
            peer.receive(said(end.engine), 0)
            reply(id_, number, payload)
            end.receive(said(peer))
            assert outcome.done()


@pytest.mark.parametrize("payload", [*DEEP, *INTEGERS, b"", b"\xc1", b"\x90\xc1", b"\x91\xa1\xff"], ids=range(13))
def test_payloads_that_are_hostile(payload: bytes) -> None:
    check_payload(payload)


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(0, 9), inner, max_size=4),
        max_leaves=8,
    ).map(msgspec.msgpack.encode)
)
def test_no_payload_raises_anything(payload: bytes) -> None:
    check_payload(payload)
