"""Each limit that a server's connections meet together: its outcome, and that nobody else notices."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

import pytest

import tomada
from tests.authority import Authority
from tests.integration.conftest import Run
from tests.integration.house import (
    CATALOGUE,
    Echo,
    Hold,
    Stage,
    frame,
    house,
    serving,
    turns_until,
    wire,
)
from tests.server.telling import telling
from tomada.protocol import Hello, Kind, encode
from tomada.telemetry import HandshakeEnded, LimitStruck, Outcome

FULL = "the server has {} connections, and takes no more; try again later"


# Connections in all.


@pytest.mark.parametrize("here", ["tcp://127.0.0.1:0", "ws://127.0.0.1:0/", "unix", "memory://full"])
def test_a_caller_for_whom_there_is_no_room_is_told_so(run: Run, here: str, folder: Any) -> None:
    here = f"unix://{folder}/full.sock" if here == "unix" else here

    async def main() -> None:
        limits = tomada.Limits(connections=2)
        async with serving(here=here, limits=limits) as (server, _), telling(LimitStruck) as told:
            address = server.addresses[0]
            async with tomada.connect(address):
                with pytest.raises(tomada.HandshakeFailed) as raised:
                    await tomada.connect(address)
                if here.startswith("ws"):
                    assert str(raised.value) == (
                        f"{address} was reached, but did not complete the handshake: the server answered 503 Service "
                        f"Unavailable: 'The handshake is refused: {FULL.format(2)}.'"
                    )
                else:
                    assert str(raised.value) == f"{address} refused the connection: {FULL.format(2)}"
            async with tomada.connect(address, wait=10) as client:
                assert await client.ask(Echo(b"room again")) == b"room again"
            assert server.statistics().turned_away == {"connections": 1}
        assert [(event.limit, event.outcome) for event in told] == [("connections", Outcome.REFUSED)]

    run(main())


def test_a_stream_for_which_there_is_no_room_is_reset_and_the_reason_told(run: Run) -> None:
    async def main() -> None:
        app = tomada.App("streams")

        @app.stream("tcp://127.0.0.1:0")
        async def echo(stream: tomada.Stream) -> None:
            async for data in stream:
                await stream.send(data)

        async with (
            tomada.serve(app, limits=tomada.Limits(connections=1)) as server,
            tomada.connect_stream(server.addresses[0]) as good,
            telling(HandshakeEnded) as told,
        ):
            async with tomada.connect_stream(server.addresses[0]) as late:
                with pytest.raises(tomada.ConnectionLost, match="reset"):
                    await late.receive(timeout=10)
                late.abort()
            assert [(event.reason, event.is_wrong) for event in told] == [(FULL.format(1).replace("ns", "n"), True)]
            await good.send(b"still")
            assert await good.receive() == b"still"

    run(main())


def test_a_listener_for_streams_has_the_limit_too(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(connections=1)
        async with (
            tomada.listen_stream("tcp://127.0.0.1:0", limits=limits) as listener,
            tomada.connect_stream(listener.address) as first,
            await listener.accept() as accepted,
            telling(HandshakeEnded) as told,
        ):
            async with tomada.connect_stream(listener.address) as late:
                with pytest.raises(tomada.ConnectionLost, match="reset"):
                    await late.receive(timeout=10)
                late.abort()
            assert len(told) == 1
            await first.send(b"x")
            assert await accepted.receive() == b"x"

    run(main())


# However a connection ends, it is counted no more.

Way = Callable[[tomada.Server], Coroutine[Any, Any, None]]


async def say_nothing_and_go(server: tomada.Server) -> None:
    async with wire(server):
        pass


async def say_rubbish(server: tomada.Server) -> None:
    async with wire(server) as peer:
        peer.say(b"\x00" * 100)
        await peer.until_closed()


async def half_a_hello(server: tomada.Server) -> None:
    async with wire(server) as peer:
        peer.say(frame(Kind.HELLO, encode(Hello(catalogue=tuple(CATALOGUE.entries))))[:40])


async def half_close(server: tomada.Server) -> None:
    async with wire(server) as peer:
        peer.writer.write_eof()
        await peer.until_closed()


async def another_version(server: tomada.Server) -> None:
    async with wire(server) as peer:
        peer.say(frame(Kind.HELLO, encode(Hello(version=9, oldest_version=9))))
        await peer.until_closed()


async def break_the_protocol_later(server: tomada.Server) -> None:
    async with wire(server) as peer:
        await peer.hello()
        peer.say(b"\xff" * 100)
        await peer.until_closed()


async def in_a_handler(server: tomada.Server) -> None:
    async with wire(server) as peer:
        await peer.hello()
        peer.say(peer.ask(Hold("for ever"), 1))


async def a_good_one(server: tomada.Server) -> None:
    async with tomada.connect(server.addresses[0]) as client:
        assert await client.ask(Echo(b"good")) == b"good"


async def speak_http(server: tomada.Server) -> None:
    async with wire(server) as peer:
        peer.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await peer.until_closed()


async def speak_tls(server: tomada.Server) -> None:
    async with wire(server) as peer:
        peer.say(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
        await peer.until_closed()


async def reset_at_once(server: tomada.Server) -> None:
    with socket.socket() as peer:
        peer.setblocking(False)
        await asyncio.get_running_loop().sock_connect(peer, (server.addresses[0].host, server.addresses[0].port))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


BEGINNINGS: list[Way] = [
    say_nothing_and_go,
    say_rubbish,
    half_a_hello,
    half_close,
    speak_http,
    speak_tls,
    reset_at_once,
]
LATER: list[Way] = [another_version, break_the_protocol_later, in_a_handler, a_good_one]


@pytest.mark.parametrize(
    ("scheme", "way"),
    [
        *(("tcp", way) for way in (*BEGINNINGS, *LATER)),
        *((scheme, way) for scheme in ("tls", "ws", "wss") for way in BEGINNINGS),
    ],
)
def test_however_a_connection_ends_it_is_counted_no_more(run: Run, authority: Authority, scheme: str, way: Way) -> None:
    here = f"{scheme}://127.0.0.1:0" + ("/" if scheme in ("ws", "wss") else "")
    secured = (authority.server, authority.client) if scheme in ("tls", "wss") else None

    async def main() -> None:
        async with serving(here=here.replace("tls", "tcp").replace("wss", "ws"), secured=secured) as (server, _):
            admission = server._options.admission
            assert admission is not None
            for _ in range(3):
                await way(server)
            await turns_until(lambda: (admission.greeting, admission.open) == (0, 1))
            assert admission._hosts.get("127.0.0.1", 0) == 1
        assert (admission.greeting, admission.open, admission._hosts) == (0, 0, {})

    run(main())


def test_an_on_connect_that_raises_is_counted_no_more(run: Run) -> None:
    def refusing(stage: Stage) -> tomada.App:
        app = house(stage)

        @app.on_connect
        async def refuse(_: tomada.Connection) -> None:
            if stage.count("done"):
                raise RuntimeError("no")
            stage.mark("done")

        return app

    async def main() -> None:
        async with serving(refusing) as (server, _):
            client = await tomada.connect(server.addresses[0])
            with pytest.raises(tomada.TomadaError):
                await client.ask(Echo(b""))
            await client.close()
            await turns_until(lambda: server._options.admission and server._options.admission.open == 1)

    run(main())


# Callers at their handshake.


def test_a_flood_of_silent_callers_is_thinned_out_and_others_come_through(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        limits = tomada.Limits(handshakes=40, handshakes_early=20)
        deadlines = tomada.Deadlines(handshake=1)
        with ExitStack() as flood:
            async with serving(limits=limits, deadlines=deadlines) as (server, _), telling(LimitStruck) as told:
                where = server.addresses[0].host, server.addresses[0].port
                for _ in range(300):
                    peer = flood.enter_context(socket.socket())
                    peer.setblocking(False)
                    peer.connect_ex(where)
                await turns_until(lambda: server.statistics().handshakes >= 20 and len(told) > 200)
                assert server.statistics().handshakes <= 40
                async with tomada.connect(server.addresses[0], wait=20) as client:
                    assert await client.ask(Echo(b"through")) == b"through"
            assert {event.outcome for event in told} == {Outcome.DROPPED}
            assert Counter(event.limit for event in told)["handshakes_early"] > 0
        lines = [record.getMessage() for record in caplog.records if "the limit handshakes" in record.getMessage()]
        assert 0 < len(lines) <= 60, "two limits, some seconds"
        assert len(lines) < len(told) / 4

    run(main())
