"""The deadlines of connections of messages, one after the other, on a clock that jumps."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

import tomada
from tests.deadlines.virtual import HERE, SLACK, freeze, lasting, now, virtually, wire
from tests.integration.house import Echo, Hold, Make, Note, Sit, Stage, frame, house, turns_until
from tomada import ConnectionLost, Deadlines, TimedOut
from tomada.lifetime import Lifetime
from tomada.protocol import Engine, GoodbyeCode, Kind
from tomada.telemetry import DeadlineStruck

Struck = list[DeadlineStruck]


def names(struck: Struck) -> list[tuple[str, float]]:
    return [(event.deadline, event.seconds) for event in struck]


@pytest.mark.parametrize("said", [b"", frame(Kind.HELLO, bytes(60_000))], ids=["nothing", "a byte now and then"])
def test_a_handshake_that_is_not_complete_ends_after_five_seconds(struck: Struck, said: bytes) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE), wire() as peer:
            with lasting(5):
                saying = asyncio.create_task(peer.trickle(said, 0.1))
                await peer.until_closed()
            await saying

    virtually(main())
    assert names(struck) == [("handshake", 5)]


def test_a_handshake_that_single_bytes_renewed_would_be_seen(struck: Struck, monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Engine.receive

    def renewed(engine: Engine, data: bytes, at: float) -> Any:
        engine.made_at = at
        return receive(engine, data, at)

    monkeypatch.setattr(Engine, "receive", renewed)
    with pytest.raises(AssertionError, match="it took"):
        test_a_handshake_that_is_not_complete_ends_after_five_seconds(struck, frame(Kind.HELLO, bytes(600)))


def test_a_server_that_does_not_complete_the_handshake_is_given_up(struck: Struck) -> None:
    async def main() -> None:
        app = tomada.App()
        over = asyncio.Event()

        @app.stream(HERE)
        async def silent(_: tomada.Stream) -> None:
            await over.wait()

        async with tomada.serve(app):
            with lasting(5), pytest.raises(tomada.HandshakeFailed, match="no handshake within 5 s"):
                await tomada.connect(HERE)
            over.set()

    virtually(main())
    assert ("handshake", 5) in names(struck)


@pytest.mark.parametrize("every", [100.0, 0.1], ids=["half of it", "a byte now and then"])
def test_a_frame_that_is_begun_ends_after_thirty_seconds(struck: Struck, every: float) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, wire() as peer:
            await peer.hello()
            (far,) = server.connections
            with lasting(30):
                saying = asyncio.create_task(peer.trickle(peer.ask(Echo(bytes(1_000)), 1), every))
                await far._link.ended
            saying.cancel()
            assert far.end_reason == "a frame was begun and not finished within 30 s"
            assert server.connections == ()

    virtually(main())
    assert names(struck) == [("frame", 30)]


def test_a_message_in_fragments_has_thirty_seconds_from_one_to_the_next(struck: Struck) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE), wire() as peer:
            await peer.hello()
            whole = bytearray(peer.ask(Echo(bytes(2_000)), 1))
            whole[5] |= 4  # more of it follows
            peer.say(bytes(whole))
            with lasting(30):
                await peer.until_closed()

    virtually(main())
    assert names(struck) == [("frame", 30)]


def test_nothing_for_five_minutes_ends_a_connection_with_a_goodbye(struck: Struck) -> None:
    async def main() -> None:
        deadlines = Deadlines(heartbeat=math.inf)
        async with tomada.serve(house(Stage()), HERE, deadlines=deadlines) as server:
            client = await tomada.connect(HERE, deadlines=deadlines)
            await client.ask(Echo(b""))
            # The clock is looked at half a second after something was sent; then what was handled is told, too.
            with lasting(300, 1.3):
                with pytest.raises(ConnectionLost, match="nothing was exchanged for 300 s"):
                    await client.receive()
                assert client._link.engine.farewell is GoodbyeCode.DEADLINE
            assert server.connections == ()
            assert server.statistics().failed == 0

    virtually(main())
    assert names(struck)[0] == ("idle", 300)


def test_what_is_exchanged_or_under_way_keeps_a_connection_from_being_idle(struck: Struck) -> None:
    async def main() -> None:
        stage = Stage()
        deadlines = Deadlines(heartbeat=math.inf)
        async with (
            tomada.serve(house(stage), HERE, deadlines=deadlines),
            tomada.connect(HERE, deadlines=deadlines) as client,
        ):
            for _ in range(10):
                await asyncio.sleep(299)
                await client.send(Note("here"))
            asked = asyncio.create_task(client.ask(Hold("long")))
            await asyncio.sleep(2_000)
            assert client.is_open
            stage.open("long")
            assert await asked == "long"

    virtually(main())
    assert struck == []


def test_heartbeats_keep_a_quiet_connection_open(struck: Struck) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, tomada.connect(HERE) as client:
            await asyncio.sleep(24 * 3_600)
            assert client.is_open
            (far,) = server.connections
            beats = far.statistics().received_bytes / 16
            assert 24 * 3_600 / 30 <= beats <= 2.5 * 24 * 3_600 / 30, "a ping of one end is a sign for both"
            assert far.statistics().received_messages == 0

    virtually(main())
    assert struck == []


def test_a_client_that_gives_no_sign_of_life_is_dead_after_two_heartbeats(struck: Struck) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server:
            client = await tomada.connect(HERE, sessions=False)
            asked = asyncio.create_task(client.ask(Hold("it")))
            await stage.until("began it")
            (far,) = server.connections
            freeze(client)
            begun = now()
            await far._link.ended
            assert 58.8 <= now() - begun <= 60
            assert far.end_reason == "the peer gave no sign of life for 60 s"
            await stage.until("cancelled it")
            assert server.connections == ()
            assert server.statistics().failed == 1
            asked.cancel()
            await asyncio.wait([asked])
            client._link.cut("the test is over")
            await client._link.ended

    virtually(main())
    assert names(struck) == [("heartbeat", 30)]


def test_a_server_that_gives_no_sign_of_life_fails_what_is_asked(struck: Struck) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server:
            client = await tomada.connect(HERE, sessions=False)
            calls = [asyncio.create_task(client.ask(Hold("it"))) for _ in range(10)]
            await stage.until_true(lambda: stage.now == 10)
            (far,) = server.connections
            freeze(far)
            begun = now()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert 58.8 <= now() - begun <= 60
            assert {str(outcome) for outcome in outcomes} == {"the peer gave no sign of life for 60 s"}
            far._link.cut("the test is over")

    virtually(main())
    assert names(struck) == [("heartbeat", 30)]


def test_a_heartbeat_that_no_silence_ended_would_be_seen(struck: Struck, monkeypatch: pytest.MonkeyPatch) -> None:
    def always_heard(link: Lifetime, at: float) -> float:
        link.heard_at = at
        return at + 30

    monkeypatch.setattr(Lifetime, "_sweep_silence", always_heard)

    async def bounded() -> None:
        async with tomada.serve(house(Stage()), HERE) as server:
            client = await tomada.connect(HERE, sessions=False)
            (far,) = server.connections
            freeze(client)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(250):
                    await asyncio.shield(far._link.ended)
            client._link.cut("the test is over")

    virtually(bounded())
    assert struck == []


def test_a_peer_that_takes_nothing_is_cut_after_thirty_seconds(struck: Struck) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, wire() as peer:
            await peer.hello()
            (far,) = server.connections
            peer.transport.pause_reading()
            peer.say(peer.ask(Make(1_000_000), 1))
            begun = now()
            await far._link.ended
            assert 30 <= now() - begun <= 31
            assert far.end_reason == "the peer took nothing of what was sent for 30 s"

    virtually(main())
    assert names(struck) == [("progress", 30)]


def test_a_peer_that_takes_little_at_a_time_is_not_cut(struck: Struck) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, wire() as peer:
            await peer.hello()
            peer.transport.pause_reading()
            peer.say(peer.ask(Make(400_000), 1))
            for _ in range(6):
                await asyncio.sleep(25)
                peer.transport.resume_reading()
                await asyncio.sleep(0)
                peer.transport.pause_reading()
                assert server.connections

    virtually(main())
    assert struck == []


def test_a_call_ends_at_its_own_time_out_and_its_handler_is_cancelled(struck: Struck) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE), tomada.connect(HERE) as client:
            with lasting(1.25, 0.001), pytest.raises(TimedOut):
                await client.ask(Hold("it"), timeout=1.25)
            await stage.until("cancelled it")

    virtually(main())
    assert names(struck) == [("ask", 1.25)]


def test_what_is_left_when_the_server_stops_is_cut_after_ten_seconds(struck: Struck) -> None:
    async def main() -> None:
        stage = Stage()
        server = await tomada.serve(house(stage), HERE)
        client = await tomada.connect(HERE, sessions=False)
        asked = asyncio.create_task(client.ask(Hold("it")))
        await stage.until("began it")
        with lasting(10):
            await server.close()
        with pytest.raises(ConnectionLost):
            await asked
        await client.close()

    virtually(main())
    assert ("drain", 10) in names(struck)


def test_a_thousand_handlers_that_wait_do_not_stand_in_the_way_of_heartbeats(struck: Struck) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server, tomada.connect(HERE) as client:
            calls = [asyncio.create_task(client.ask(Hold("all"))) for _ in range(1_000)]
            await stage.until_true(lambda: stage.now == 1_000)
            (far,) = server.connections
            assert far.statistics().handlers == far.statistics().peer_requests == 1_000
            await asyncio.sleep(600)
            assert client.is_open
            stage.open("all")
            assert await asyncio.gather(*calls) == ["all"] * 1_000

    virtually(main())
    assert struck == []


def test_blocked_threads_do_not_stand_in_the_way_of_heartbeats(struck: Struck) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE), tomada.connect(HERE) as client:
            calls = [asyncio.create_task(client.ask(Sit(str(number)))) for number in range(32)]
            await turns_until(lambda: stage.count("began") == 32)
            await asyncio.sleep(600)
            assert client.is_open
            stage.open(*map(str, range(32)))
            await turns_until(lambda: all(call.done() for call in calls))
            assert len([call.result() for call in calls]) == 32

    virtually(main())
    assert struck == []


def test_for_ever_is_for_ever(struck: Struck) -> None:
    async def main() -> None:
        never = Deadlines(heartbeat=math.inf, idle=math.inf, frame=math.inf, progress=math.inf)
        async with tomada.serve(house(Stage()), HERE, deadlines=never) as server, wire() as peer:
            await peer.hello()
            peer.say(peer.ask(Echo(b"x" * 1_000), 1)[:100])
            await asyncio.sleep(10_000_000)
            assert server.connections

    virtually(main())
    assert struck == []
    assert SLACK < 1
