"""The deadlines of TLS and WebSocket layers, on a clock that jumps."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import msgspec
import pytest

from tests.deadlines.virtual import lasting, until, virtually
from tests.transports.websocket_ends import ADDRESS, OPTIONS, Above, Accepting, Below, Connecting, raw
from tomada.telemetry import DeadlineStruck, HandshakeEnded, subscribe
from tomada.transports.layer import Layer
from tomada.transports.tls.layer import Terms, TLSLayer
from tomada.transports.websocket.server import AcceptingWebSocket

Struck = list[DeadlineStruck]
OURS = msgspec.structs.replace(OPTIONS, handshake=5.0, frame=30.0)


def names(struck: Struck) -> list[tuple[str, float]]:
    return [(event.deadline, event.seconds) for event in struck]


def tls(*, accepting: bool) -> tuple[TLSLayer, Below]:
    below = Below()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if accepting else ssl.PROTOCOL_TLS_CLIENT)
    layer = TLSLayer(Above(), 5.0, set() if accepting else None, Terms(context, accepting, "localhost"))
    layer.connection_made(below)
    return layer, below


def websocket(*, accepting: bool) -> tuple[Layer, Below]:
    end = Accepting(OURS) if accepting else Connecting(OURS)
    return end.layer, end.below


LAYERS: dict[str, Callable[[], tuple[Layer, Below]]] = {
    "TLS, accepting": lambda: tls(accepting=True),
    "TLS, connecting": lambda: tls(accepting=False),
    "WebSocket, accepting": lambda: websocket(accepting=True),
    "WebSocket, connecting": lambda: websocket(accepting=False),
}
BEGINNING = {
    "TLS, accepting": b"\x16\x03\x01\x20\x00" + b"\x01\x00\x1f\xfc\x03\x03" + bytes(8_000),
    "TLS, connecting": b"\x16\x03\x03\x20\x00" + b"\x02\x00\x1f\xfc\x03\x03" + bytes(8_000),
    "WebSocket, accepting": b"GET /bank HTTP/1.1\r\nX: " + b"a" * 8_000,
    "WebSocket, connecting": b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"a" * 8_000,
}


@pytest.mark.parametrize("way", ["silent", "a byte now and then"])
@pytest.mark.parametrize("which", LAYERS)
def test_a_handshake_that_is_not_complete_ends_after_five_seconds(struck: Struck, which: str, way: str) -> None:
    told: list[HandshakeEnded] = []

    async def main() -> None:
        layer, below = LAYERS[which]()
        coming = iter(b"" if way == "silent" else BEGINNING[which])
        with lasting(5), subscribe(told.append, HandshakeEnded):
            while not below.is_cut:
                byte = next(coming, None)
                if byte is not None and not below.is_over:
                    layer.data_received(bytes([byte]))
                await asyncio.sleep(0.05)
        layer.connection_lost(None)
        assert "no handshake within 5 s" in str(layer.opened.exception())
        assert layer.wheel._slots == {} or layer.slot < 0

    virtually(main())
    assert names(struck) == [("handshake", 5)]
    assert [event.reason for event in told] == (["no handshake within 5 s"] if "accepting" in which else [])


def test_a_layer_above_another_has_what_is_left_of_the_same_time(struck: Struck) -> None:
    async def main() -> None:
        upper = AcceptingWebSocket(ADDRESS, OURS, Above(), set())
        await asyncio.sleep(3)  # in which the layer below shakes hands
        late = Below()
        upper.connection_made(late)
        with lasting(2):
            await until(lambda: late.is_cut)

    virtually(main())
    assert names(struck) == [("handshake", 5)]


def test_a_frame_of_a_websocket_that_is_not_complete_ends_after_thirty_seconds(struck: Struck) -> None:
    async def main() -> None:
        accepting = Accepting(OURS).open()
        coming = iter(raw(2, bytes(10_000)))
        with lasting(30):
            while not accepting.below.is_over:
                accepting.layer.data_received(bytes([next(coming)]))
                await asyncio.sleep(0.05)
        accepting.layer.connection_lost(None)
        assert accepting.above.told[-1][1].endswith("a frame was not complete within 30 s")

    virtually(main())
    assert names(struck) == [("frame", 30)]


def test_frames_of_a_websocket_that_are_completed_may_go_on_for_ever(struck: Struck) -> None:
    async def main() -> None:
        accepting = Accepting(OURS).open()
        frame = raw(2, b"abc")
        for _ in range(300):
            accepting.layer.data_received(frame[-1:] + frame[:-1] if accepting.above.data else frame + frame[:-1])
            await asyncio.sleep(1)
        assert not accepting.below.is_over

    virtually(main())
    assert struck == []


def test_time_in_which_a_websocket_is_not_read_does_not_count(struck: Struck) -> None:
    async def main() -> None:
        accepting = Accepting(OURS).open()
        accepting.layer.data_received(raw(2, b"abc")[:-1])
        accepting.layer.pause_reading()
        await asyncio.sleep(100)
        assert not accepting.below.is_over
        accepting.layer.resume_reading()
        with lasting(30):
            await until(lambda: accepting.below.is_over)

    virtually(main())
    assert names(struck) == [("frame", 30)]


def test_pings_of_the_websocket_itself_are_answered(struck: Struck) -> None:
    async def main() -> None:
        accepting = Accepting(OURS).open()
        for number in range(100):
            accepting.layer.data_received(raw(9, b"%d" % number))
            (pong,) = accepting.heard()
            assert pong.data == b"%d" % number
            await asyncio.sleep(20)

    virtually(main())
    assert struck == []


def test_an_alert_that_a_peer_does_not_take_keeps_nothing(struck: Struck) -> None:
    async def main() -> None:
        layer, below = tls(accepting=True)
        below.waiting = 7
        layer.data_received(b"GET / HTTP/1.1\r\n")
        assert below.is_over
        assert not below.is_cut
        with lasting(5):
            await until(lambda: below.is_cut)

    virtually(main())
    assert struck == []
