"""What is told when something happens, from end to end; and that nothing is where nobody wants to know."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

import tomada
from tests.authority import Authority
from tests.integration.conftest import Run
from tests.integration.house import HERE, Echo, Fail, Hold, Make, Note, Sit, Stage, house, turns_until, wire
from tomada import Deadlines, telemetry
from tomada.telemetry import (
    ConnectionEnded,
    ConnectionOpened,
    DeadlineStruck,
    Event,
    HandshakeEnded,
    LimitStruck,
    ListenerClosed,
    ListenerOpened,
    Outcome,
    RequestEnded,
    hub,
)

E = TypeVar("E", bound=Event)
KINDS = [
    kind
    for kind in vars(telemetry).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
]


class Told:
    """All that is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    with tomada.subscribe(told.events.append, Event):
        yield told


def test_a_connection_of_messages_is_told_at_both_ends(run: Run, told: Told) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server:
            here = str(server.addresses[0])
            async with tomada.connect(here) as client:
                for _ in range(3):
                    await client.ask(Echo(b"data"))
                await client.send(Note("x"))
                await client.ask(Make(300_000))  # in fragments
                await client.ping()
                seen, far = client.statistics(), server.connections[0].statistics()
                assert (seen.sent_messages, seen.received_messages) == (5, 4)
                assert (far.received_messages, far.sent_messages) == (5, 4)
                assert (seen.own_requests, seen.peer_requests, seen.waiting_bytes, seen.handlers) == (0, 0, 0, 0)
                assert seen.sent_bytes == far.received_bytes
            await turns_until(lambda: len(told.of(ConnectionEnded)) == 2)
            (shaken,) = told.of(HandshakeEnded)
            assert (shaken.address, shaken.reason) == (here, "")
            assert 0 <= shaken.seconds < 5
            assert sorted(event.accepted for event in told.of(ConnectionOpened)) == [False, True]
            ends = {event.accepted: event for event in told.of(ConnectionEnded)}
            assert ends[True].peer == shaken.peer
            assert ends[False].peer == here
            assert [(end.kind, end.is_wrong) for end in ends.values()] == [("messages", False)] * 2
            assert (ends[True].received_messages, ends[True].sent_messages) == (5, 4)
            assert (ends[False].received_messages, ends[False].sent_messages) == (4, 5)
            assert ends[True].received_bytes == ends[False].sent_bytes > 5 * 16
            assert ends[True].sent_bytes == ends[False].received_bytes > 300_000
            assert ends[True].seconds <= shaken.seconds + 45
        names = [(event.name, event.failure) for event in told.of(RequestEnded)]
        assert sorted(names) == [("Echo", "")] * 3 + [("Make", ""), ("Note", "")]
        assert {event.peer for event in told.of(RequestEnded)} == {shaken.peer}

    run(main())
    assert [event.address for event in told.of(ListenerOpened)] == [event.address for event in told.of(ListenerClosed)]


def test_a_stream_is_told_at_both_ends(run: Run, told: Told, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(100_000))

    async def main() -> None:
        app = tomada.App()

        @app.stream(HERE)
        async def copy(stream: tomada.Stream) -> None:
            await stream.send_file(file)
            async for chunk in stream:
                await stream.send(chunk)

        async with tomada.serve(app) as server:
            async with tomada.connect_stream(server.addresses[0]) as stream:
                await stream.receive_exactly(100_000)
                await stream.send(b"1234")
                await stream.receive_exactly(4)
                assert stream.statistics().received_bytes == 100_004
                assert stream.statistics().unread_bytes == stream.statistics().waiting_bytes == 0
                (far,) = server._endpoint.flows
                assert far.statistics().sent_bytes == 100_004
                assert server.statistics().streams == 1
            await turns_until(lambda: len(told.of(ConnectionEnded)) == 2)
            await turns_until(lambda: server.statistics().streams == 0)
            assert server.statistics().streams == server.statistics().failed == 0
        ends = {event.accepted: event for event in told.of(ConnectionEnded)}
        assert {(end.kind, end.is_wrong) for end in ends.values()} == {("stream", False)}
        assert (ends[True].received_bytes, ends[True].sent_bytes) == (4, 100_004)
        assert (ends[False].received_bytes, ends[False].sent_bytes) == (100_004, 4)
        assert told.of(HandshakeEnded) == [], "a plain stream has none"

    run(main())


def test_why_a_stream_ended_is_told(run: Run, told: Told) -> None:
    async def main() -> None:
        app = tomada.App()

        @app.stream(HERE)
        async def moody(stream: tomada.Stream) -> None:
            mood = await stream.receive_exactly(3)
            if mood == b"bad":
                raise ZeroDivisionError
            await stream.receive_exactly(3)

        async with tomada.serve(app) as server:
            for mood in (b"bad", b"sad", b"mad"):
                stream = await tomada.connect_stream(server.addresses[0])
                await stream.send(mood)
                if mood == b"sad":
                    await stream.shutdown()
                    await stream.receive()
                    await stream.close()
                elif mood == b"mad":
                    stream.abort()
                await stream.flow.ended
                await stream.close()
            await turns_until(lambda: len(told.of(ConnectionEnded)) == 6)
            await turns_until(lambda: server.statistics().streams == 0)
            assert server.statistics().failed == 2
        ends = [event for event in told.of(ConnectionEnded) if event.accepted]
        assert [end.is_wrong for end in ends] == [True, False, True]
        assert ends[0].reason.endswith(" raised")
        assert "moody() (" in ends[1].reason
        assert "ended the stream: 0 of 3 bytes came" in ends[1].reason
        assert "reset" in ends[2].reason

    run(main())


def test_how_handlers_end_is_told(run: Run, told: Told) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server, tomada.connect(server.addresses[0]) as client:
            for how in ("typed", "later plain"):
                with pytest.raises(tomada.RemoteError):
                    await client.ask(Fail(how))
            with pytest.raises(tomada.TimedOut):
                await client.ask(Hold("it"), timeout=0.02)
            stage.open("thread")
            await client.ask(Sit("thread"))
            await turns_until(lambda: len(told.of(RequestEnded)) == 4)
        ends = [(event.name, event.failure) for event in told.of(RequestEnded)]
        assert sorted(ends) == [("Fail", "raised"), ("Fail", "raised"), ("Hold", "cancelled"), ("Sit", "")]
        (held,) = [event for event in told.of(RequestEnded) if event.name == "Hold"]
        assert 0.01 < held.seconds < 5

    run(main())


def test_handlers_of_datagrams_are_told(run: Run, told: Told) -> None:
    async def main() -> None:
        app = house(Stage())
        done = asyncio.Event()

        @app.datagram("udp://127.0.0.1:0")
        async def plain(datagram: bytes, _: tomada.DatagramPeer) -> None:
            if datagram == b"bad":
                done.set()
                raise ZeroDivisionError

        async with tomada.serve(app, "udp://127.0.0.1:0") as server:
            messages, bare = server.addresses
            async with tomada.connect_datagram(messages) as client:
                assert await client.ask(Echo(b"x")) == b"x"
                with pytest.raises(tomada.TimedOut):
                    await client.ask(Hold("it"), timeout=0.05, retries=0)
            async with tomada.bind("udp://127.0.0.1:0") as one:
                await one.send(b"good", bare)
                await one.send(b"bad", bare)
                await done.wait()
            assert sorted(event.address for event in told.of(ListenerOpened)) == sorted(
                [str(messages), str(bare), str(one.address)]
            )
            assert server.statistics().datagrams[str(bare)].received == 2
            for task in server._endpoint.tasks:
                task.cancel()
        ends = [(event.name, event.failure) for event in told.of(RequestEnded)]
        assert [(name.partition(" (")[0].rpartition(".")[2], failure) for name, failure in ends] == [
            ("Echo", ""),
            ("plain()", ""),
            ("plain()", "raised"),
            ("Hold", "cancelled"),
        ]
        assert all(event.peer.startswith("udp://127.0.0.1:") for event in told.of(RequestEnded))

    run(main())
    assert len(told.of(ListenerClosed)) == 3
    assert [event.deadline for event in told.of(DeadlineStruck)] == ["ask"]


def test_who_is_not_admitted_is_told(run: Run, told: Told) -> None:
    async def main() -> None:
        limits = tomada.Limits(connections=1)
        async with tomada.serve(house(Stage()), HERE, limits=limits) as server, tomada.connect(server.addresses[0]):
            with pytest.raises(tomada.HandshakeFailed, match="has 1 connection, "):
                await tomada.connect(server.addresses[0])
            counted = server.statistics()
            assert (counted.accepted, counted.opened, counted.connections) == (2, 1, 1)
            assert counted.turned_away == {"connections": 1}
            assert counted.addresses == (str(server.addresses[0]),)
        (struck,) = told.of(LimitStruck)
        assert (struck.limit, struck.allowed, struck.outcome) == ("connections", 1, Outcome.REFUSED)
        refused = [event for event in told.of(HandshakeEnded) if event.reason]
        assert [("has 1 connection, " in event.reason, event.is_wrong) for event in refused] == [(True, True)]

    run(main())


def test_streams_that_wait_too_many_are_told(run: Run, told: Told) -> None:
    async def main() -> None:
        async with tomada.listen_stream(HERE, waiting=1) as listener:
            streams = [await tomada.connect_stream(listener.address) for _ in range(2)]
            await streams[1].flow.ended
            for stream in streams:
                await stream.close()
        (struck,) = told.of(LimitStruck)
        assert (struck.limit, struck.allowed) == ("waiting", 1)

    run(main())


def test_a_failed_handshake_is_no_connection(run: Run, told: Told) -> None:
    async def main() -> None:
        deadlines = Deadlines(handshake=0.2)
        async with tomada.serve(house(Stage()), HERE, deadlines=deadlines) as server:
            async with wire(server) as peer:
                await peer.until_closed()
            assert server.statistics().opened == 0
        (failed,) = told.of(HandshakeEnded)
        assert (failed.reason, failed.is_wrong) == ("no handshake within 0.2 s", True)
        assert 0.2 <= failed.seconds < 1
        assert [event.deadline for event in told.of(DeadlineStruck)] == ["handshake"]

    run(main())
    assert [*told.of(ConnectionOpened), *told.of(ConnectionEnded)] == []


def test_a_caller_that_goes_away_has_done_nothing_wrong(run: Run, told: Told) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, wire(server) as peer:
            peer.writer.close()
            await peer.until_closed()
            await turns_until(lambda: told.of(HandshakeEnded))
        (failed,) = told.of(HandshakeEnded)
        assert (failed.reason, failed.is_wrong) == ("the peer closed the connection without a goodbye", False)

    run(main())


@pytest.mark.parametrize("scheme", ["tls", "ws", "wss"])
def test_layers_and_the_protocol_above_tell_one_handshake(
    run: Run, told: Told, authority: Authority, scheme: str
) -> None:
    async def main() -> None:
        secure = scheme != "ws"
        app = house(Stage())
        here = f"{scheme}://127.0.0.1:0"
        serving = tomada.serve(app, here, tls=authority.server if secure else None)
        async with serving as server:
            async with tomada.connect(server.addresses[0], tls=authority.client if secure else None) as client:
                await client.ask(Echo(b"x"))
            reader, writer = await asyncio.open_connection("127.0.0.1", server.addresses[0].port)
            writer.write(b"\0\0\0\x05no such protocol")
            await reader.read()
            writer.close()
        good, bad = told.of(HandshakeEnded)
        assert good.reason == ""
        assert good.peer.startswith(f"{scheme}://127.0.0.1:")
        assert bad.is_wrong
        assert bad.address.startswith("tls://127.0.0.1:" if secure else "ws://127.0.0.1:")
        assert len(told.of(ConnectionOpened)) == 2

    run(main())


def test_the_time_out_of_an_attempt_to_connect_is_told(run: Run, told: Told) -> None:
    async def main() -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            fillers = []
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
                fillers.append(filler)
            with pytest.raises(tomada.ConnectFailed, match="timed out after"):
                await tomada.connect(f"tcp://127.0.0.1:{port}", deadlines=Deadlines(connect=0.2))
            with pytest.raises(tomada.ConnectFailed, match="timed out after"):
                await asyncio.to_thread(
                    tomada.sync.connect, f"tcp://127.0.0.1:{port}", deadlines=Deadlines(connect=0.2)
                )
            for filler in fillers:
                filler.close()
        assert [(event.deadline, event.seconds) for event in told.of(DeadlineStruck)] == [("connect", 0.2)] * 2

    run(main())


class Nobody:
    """Stands where a class of events does, to which nobody has subscribed."""

    subscribers = ()

    def __init__(self, kind: type[Event], made: list[str]) -> None:
        self._kind = kind
        self._made = made

    def __call__(self, **_: Any) -> Event:
        self._made.append(self._kind.__name__)
        raise AssertionError("an event was made for nobody")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The events that are made, although nobody has subscribed."""
    made: list[str] = []
    for name, module in tuple(sys.modules.items()):
        if name.startswith("tomada.") and not name.startswith("tomada.telemetry.log"):
            for kind in KINDS:
                if vars(module).get(kind.__name__) is kind:
                    monkeypatch.setattr(module, kind.__name__, Nobody(kind, made))
    return made


def test_where_nobody_wants_to_know_no_event_is_made(
    run: Run, made: list[str], authority: Authority, folder: Path
) -> None:
    async def main() -> None:
        stage = Stage()
        app = house(stage)

        @app.stream(f"unix://{folder}/stream.sock")
        async def echo(stream: tomada.Stream) -> None:
            async for chunk in stream:
                await stream.send(chunk)

        hasty = Deadlines(handshake=0.2, heartbeat=0.3, idle=0.4, progress=0.3, drain=0.2)
        limits = tomada.Limits(connections=2)
        here = ("tls://127.0.0.1:0", "udp://127.0.0.1:0")
        serving = tomada.serve(app, *here, tls=authority.server, deadlines=hasty, limits=limits)
        async with serving as server:
            secure, plain, stream_address = sorted(server.addresses, key=lambda address: address.scheme)
            client = await tomada.connect(secure, tls=authority.client, sessions=False)
            await client.ask(Echo(b"x"))
            with pytest.raises(tomada.RemoteError):
                await client.ask(Fail("plain"))
            with pytest.raises(tomada.TimedOut):
                await client.ask(Hold("x"), timeout=0.01)
            stream = await tomada.connect_stream(stream_address)
            await stream.send(b"x")
            await stream.receive()
            with pytest.raises(tomada.HandshakeFailed):
                await tomada.connect(secure, tls=authority.client)
            reader, writer = await asyncio.open_connection("127.0.0.1", secure.port)
            await reader.read()  # the handshake is too late
            writer.close()
            assert await stream.receive() == b"", "it was idle"
            await stream.close()
            client._link.transport.pause_reading()  # type: ignore[union-attr] # it is open
            await asyncio.shield(server.connections[0]._link.ended)
            client._link.cut("over")
            async with tomada.connect_datagram(plain) as datagrams:
                await datagrams.ask(Echo(b"x"))
            asked = asyncio.to_thread(_blocking, str(secure), authority)
            assert await asked == b"x"
            assert server.statistics().opened == 3

    run(main())
    assert made == []


def _blocking(address: str, authority: Authority) -> bytes:
    with tomada.sync.connect(address, tls=authority.client) as connection:
        assert connection.statistics().received_bytes > 0
        return connection.ask(Echo(b"x"))


def test_an_event_that_is_made_for_nobody_would_be_seen(made: list[str]) -> None:
    with pytest.raises(AssertionError, match="for nobody"):
        vars(hub)["DeadlineStruck"](deadline="x", seconds=1, peer="")
    assert made == ["DeadlineStruck"]
