"""The WebSocket layer once it is open, without a socket."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.frames import Opcode

from tests.transports.conftest import Run
from tests.transports.websocket_ends import OPTIONS, Accepting, Connecting, meet, raw
from tomada.transports import End, close
from tomada.transports.websocket.layer import FRAGMENTS, MESSAGE_BYTES, PIECE_BYTES
from tomada.transports.websocket.server import AcceptingWebSocket

DATA = random.Random(1).randbytes(200_000)


def pieces(data: bytes, way: str) -> list[bytes]:
    if way == "whole":
        return [data]
    if way == "bytes":
        return [data[at : at + 1] for at in range(len(data))]
    rng = random.Random(2)
    cuts = sorted(rng.sample(range(1, len(data)), 200))
    return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize("way", ["whole", "bytes", "random"])
def test_a_stream_arrives_however_it_was_cut(run: Run, way: str) -> None:
    async def main() -> None:
        connecting, accepting = meet()
        connecting.layer.write(DATA)
        for piece in pieces(connecting.below.take(), way):
            accepting.layer.data_received(piece)
        accepting.layer.writelines([DATA[:7], DATA[7:]])
        for piece in pieces(accepting.below.take(), way):
            connecting.layer.data_received(piece)

        assert b"".join(accepting.above.data) == DATA
        assert b"".join(connecting.above.data) == DATA

    run(main())


def test_what_comes_at_once_is_delivered_at_once(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting().open()
        accepting.layer.data_received(raw(2, b"one") + raw(2) + raw(9, b"?") + raw(2, b"two") + raw(2, b"thr"))

        assert accepting.above.data == [b"onetwothr"]

    run(main())


def test_what_is_long_travels_in_several_messages(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting().open()
        accepting.layer.write(bytearray(DATA))
        frames = accepting.heard()

        assert [len(frame.data) for frame in frames] == [PIECE_BYTES] * 3 + [len(DATA) - 3 * PIECE_BYTES]
        assert all(frame.fin for frame in frames)

    run(main())


def test_fragments_are_not_waited_for(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting().open()
        accepting.layer.data_received(raw(2, b"first", first=0))

        assert accepting.above.data == [b"first"]

        accepting.layer.data_received(raw(9, b"!") + raw(0, b"last"))

        assert accepting.above.data == [b"first", b"last"]

    run(main())


@pytest.mark.parametrize(
    ("said", "code"),
    {
        "unmasked": (raw(2, b"x", masked=False), 1002),
        "reserved bit 1, as if compressed": (raw(2, b"x", first=0xC0), 1002),
        "reserved bit 2": (raw(2, b"x", first=0xA0), 1002),
        "reserved bit 3": (raw(2, b"x", first=0x90), 1002),
        "unknown opcode": (raw(3, b"x"), 1002),
        "unknown control opcode": (raw(11, b"x"), 1002),
        "control frame too long": (raw(9, bytes(126)), 1002),
        "control frame in fragments": (raw(9, b"x", first=0), 1002),
        "continuation of nothing": (raw(0, b"x"), 1002),
        "message within a message": (raw(2, b"x", first=0) + raw(2, b"y"), 1002),
        "close of one byte": (raw(8, b"x"), 1002),
        "close with a code that is not sent": (raw(8, b"\x03\xed"), 1002),
        "close with a reason that is no text": (raw(8, b"\x03\xe8\xff"), 1007),
        "text": (raw(1, b"hello"), 1003),
        "longer than any message may be": (raw(2, bytes(MESSAGE_BYTES + 1)), 1009),
        "2**63 bytes long": (b"\x82\xff" + (2**63).to_bytes(8) + bytes(4), 1009),
        "fragments that are too long together": (
            raw(2, bytes(MESSAGE_BYTES), first=0) + raw(0, b"x", first=0),
            1009,
        ),
        "messages without data, without end": (raw(2, b"") * (FRAGMENTS + 1), 1008),
        "fragments without end": (raw(2, b"x", first=0) + raw(0, b"", first=0) * FRAGMENTS, 1009),
    }.values(),
    ids=lambda value: "" if isinstance(value, bytes) else str(value),
)
def test_what_breaks_the_protocol_ends_the_connection(run: Run, said: bytes, code: int) -> None:
    async def main() -> None:
        accepting = Accepting().open()
        accepting.layer.data_received(raw(2, b"before") + said)
        accepting.layer.data_received(raw(2, b"after"))

        assert accepting.above.data[0].startswith(b"before")
        assert b"after" not in b"".join(accepting.above.data)
        (last,) = accepting.heard()
        assert last.opcode is Opcode.CLOSE
        assert int.from_bytes(last.data[:2]) == code
        assert accepting.below.is_over
        accepting.layer.connection_lost(None)
        assert accepting.above.told[-1][1].startswith("the peer broke the WebSocket: ")

    run(main())


def test_a_flood_leaves_others_their_turn(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting().open()
        accepting.layer.data_received(raw(2, bytes(65_536)))
        assert not accepting.below.is_reading()
        await asyncio.sleep(0)
        assert accepting.below.is_reading()
        accepting.layer.data_received(raw(2, bytes(65_536)))
        accepting.layer.pause_reading()
        await asyncio.sleep(0)
        assert not accepting.below.is_reading()
        accepting.layer.resume_reading()
        assert accepting.below.is_reading()

    run(main())


def test_a_ping_is_answered(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting().open()
        accepting.client.send_ping(b"are you there")
        accepting.say()
        (pong,) = accepting.heard()

        assert (pong.opcode, pong.data) == (Opcode.PONG, b"are you there")

    run(main())


def test_a_peer_that_pings_and_does_not_read_is_owed_one_pong(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting().open()
        accepting.layer.pause_writing()
        for number in range(1_000):
            accepting.client.send_ping(b"%d" % number)
            accepting.say()
        assert accepting.below.written == b""

        accepting.layer.resume_writing()

        assert [frame.data for frame in accepting.heard()] == [b"999"]
        assert accepting.above.told == ["made", "pause", "resume"]

    run(main())


@pytest.mark.parametrize(("why", "code"), [(End.CLOSED, 1000), (End.GOING_AWAY, 1001), (End.FAILED, 1008)])
def test_the_end_is_told_with_a_code(run: Run, why: End, code: int) -> None:
    async def main() -> None:
        accepting = Accepting().open()
        close(accepting.layer, why, "because " + "ä" * 200)
        assert accepting.layer.is_closing()
        assert not accepting.below.is_closing()
        accepting.layer.write(b"too late")
        accepting.layer.close()
        (last,) = accepting.heard()
        accepting.say()

        assert accepting.client.close_rcvd is not None
        assert accepting.client.close_rcvd.code == code
        assert accepting.client.close_rcvd.reason.startswith("because ää")
        assert last.opcode is Opcode.CLOSE
        assert accepting.below.is_over
        accepting.layer.connection_lost(None)
        assert accepting.above.told == ["made", ("lost", "")]
        assert accepting.above.data == []

    run(main())


def test_a_plain_transport_is_just_closed(run: Run) -> None:
    async def main() -> None:
        below = Accepting().below
        close(below, End.FAILED, "no words for it")

        assert below.is_over

    run(main())


def test_a_close_of_the_peer_is_the_end_of_the_stream(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting().open()
        accepting.client.send_binary(b"last words")
        accepting.client.send_close(1000, "bye")
        accepting.say()
        accepting.layer.write(b"too late")

        assert accepting.above.data == [b"last words"]
        assert accepting.above.told == ["made", "end"]
        assert [frame.opcode for frame in accepting.heard()] == [Opcode.CLOSE]
        assert accepting.below.is_over

    run(main())


def test_a_close_may_come_between_two_fragments(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting().open()
        accepting.layer.data_received(raw(2, b"first", first=0) + raw(8, b"\x03\xe8"))

        (last,) = accepting.heard()
        assert last.data == b"\x03\xe8"

    run(main())


def test_an_end_that_is_no_good_one_says_why(run: Run) -> None:
    async def main() -> None:
        connecting, accepting = meet()
        accepting.layer.end(End.FAILED, "you broke the protocol")
        connecting.layer.data_received(accepting.below.take())
        connecting.layer.connection_lost(None)

        why = "the peer ended the WebSocket: 1008 (policy violation) you broke the protocol"
        assert connecting.above.told == ["made", ("lost", why)]

    run(main())


def test_bytes_that_end_without_a_close_are_a_lost_connection(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting().open()
        accepting.layer.eof_received()
        accepting.layer.connection_lost(None)

        assert accepting.above.told == ["made", ("lost", "the peer went away without closing the WebSocket")]

    run(main())


def test_a_half_close_is_a_close(run: Run) -> None:
    async def main() -> None:
        connecting, accepting = meet()
        assert not connecting.layer.can_write_eof()
        connecting.layer.write_eof()
        connecting.layer.write(b"too late")
        accepting.layer.write(b"on its way")
        connecting.layer.data_received(accepting.below.take())
        accepting.layer.data_received(connecting.below.take())
        connecting.layer.data_received(accepting.below.take())

        assert accepting.above.told == ["made", "end"]
        assert accepting.above.data == []
        assert connecting.above.data == [b"on its way"]
        assert connecting.above.told == ["made", "end"]

    run(main())


def test_a_close_that_is_not_answered_ends_at_the_deadline(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting(msgspec.structs.replace(OPTIONS, handshake=0.02)).open()
        accepting.layer.pause_reading()
        accepting.layer.close()
        assert not accepting.below.is_paused, "the answer must be heard"
        while not accepting.below.is_cut:  # noqa: ASYNC110 - a stand-in has no events
            await asyncio.sleep(0.005)

    run(main())


def test_a_close_waits_for_a_peer_that_still_takes_what_was_written(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting(msgspec.structs.replace(OPTIONS, handshake=0.01)).open()
        waits = iter(range(50, 0, -10))
        accepting.below.get_write_buffer_size = lambda: next(waits, 10)  # type: ignore[method-assign] # less each time
        accepting.layer.close()
        while not accepting.below.is_cut:  # noqa: ASYNC110 - a stand-in has no events
            await asyncio.sleep(0.002)

        assert next(waits, None) is None, "it was cut before all was taken that would be"

    run(main())


def test_a_frame_that_is_not_completed_ends_the_connection(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting(msgspec.structs.replace(OPTIONS, frame=0.02)).open()
        trickled = iter(raw(2, bytes(10_000)))
        while not accepting.below.is_over:
            accepting.layer.data_received(bytes([next(trickled)]))
            await asyncio.sleep(0.001)
        accepting.layer.connection_lost(None)

        assert accepting.above.told[-1][1].endswith("a frame was not complete within 0.02 s")

    run(main())


def test_frames_that_are_completed_may_go_on_for_ever(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting(msgspec.structs.replace(OPTIONS, frame=0.02)).open()
        frame = raw(2, b"abc")
        for _ in range(30):
            accepting.layer.data_received(frame[-1:] + frame[:-1] if accepting.above.data else frame + frame[:-1])
            await asyncio.sleep(0.002)
        assert not accepting.below.is_over
        accepting.layer.data_received(frame[-1:])
        await asyncio.sleep(0.05)
        assert not accepting.below.is_over

    run(main())


def test_time_in_which_nothing_is_read_does_not_count(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting(msgspec.structs.replace(OPTIONS, frame=0.02)).open()
        accepting.layer.data_received(raw(2, b"abc")[:-1])
        accepting.layer.pause_reading()
        assert accepting.below.is_paused
        await asyncio.sleep(0.05)
        assert not accepting.below.is_over
        accepting.layer.resume_reading()
        accepting.layer.data_received(b"c")

        assert accepting.above.data == [b"ab" + b"c"]
        accepting.layer.connection_lost(None)

    run(main())


class Compressing(AcceptingWebSocket):
    extensions = (ServerPerMessageDeflateFactory(),)


def test_a_compressed_bomb_is_bounded(run: Run) -> None:
    """Nobody can agree on compression with tomada; where a subclass does, its limit is for what comes out."""

    async def main() -> None:
        accepting = Accepting(kind=Compressing)
        accepting.client.available_extensions = [ClientPerMessageDeflateFactory()]
        accepting.open()
        accepting.client.send_binary(bytes(100 * MESSAGE_BYTES))
        accepting.say()

        assert accepting.above.data == []
        assert accepting.below.is_over

    run(main())


def test_what_it_tells_is_what_the_transport_below_tells(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting().open()
        layer: Any = accepting.layer
        layer.set_write_buffer_limits(0)
        accepting.below.waiting = 7

        assert layer.get_extra_info("scheme") == "ws"
        assert layer.get_extra_info("peername") == ("192.0.2.1", 9)
        assert layer.get_write_buffer_size() == 7
        assert accepting.below.limits == (0, None)
        assert layer.is_reading()
        layer.abort()
        assert accepting.below.is_cut

    run(main())


def test_frames_may_come_with_the_answer_to_the_handshake(run: Run) -> None:
    async def main() -> None:
        connecting, accepting = Connecting(), Accepting()
        accepting.layer.data_received(connecting.request.encode())
        accepting.layer.write(b"early")
        connecting.layer.data_received(accepting.below.take())

        assert connecting.above.data == [b"early"]

    run(main())


def test_who_has_closed_does_not_mind_how_the_peer_goes(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting().open()
        accepting.layer.close()
        accepting.layer.eof_received()
        accepting.layer.connection_lost(None)

        assert accepting.above.told == ["made", ("lost", "")]

    run(main())
