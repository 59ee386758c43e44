from __future__ import annotations

import asyncio
import logging
import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest

import tomada
from tests.integration.conftest import Run
from tests.integration.house import CATALOGUE, Echo, Hold, Make, Note, Wire, frame, serving, turns_until, wire
from tomada.protocol import Hello, Kind
from tomada.protocol.frames import CONTROL, HEADER, METADATA, MORE, NORMAL
from tomada.protocol.handshake import SESSION
from tomada.protocol.metadata import Metadata, with_metadata
from tomada.telemetry import HandshakeEnded

LIMITS = tomada.Limits(message_bytes=100_000, requests=8, buffer_bytes=65_536)

NOISE = random.Random(7)
STRANGERS = {
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + NOISE.randbytes(200),
    "what begins with b'\\x80\\x04": b"\x80\x04\x95" + NOISE.randbytes(200),
    "random noise": NOISE.randbytes(50_000),
    "a length of 2**32 - 1": HEADER.pack(0xFFFF_FFFF, Kind.HELLO, CONTROL, 0, 0, 0),
    "a question before the hello": HEADER.pack(1, Kind.ASK, NORMAL, 1, 1, 1) + b"\x90",
    "a hello that is no hello": frame(Kind.HELLO, b"\xc1" * 20),
    "a hello too long": HEADER.pack(70_000, Kind.HELLO, CONTROL, 0, 0, 0),
    "a hello nested too deep": frame(Kind.HELLO, b"\x91" * 60_000),
}


def ended(caplog: pytest.LogCaptureFixture, peer: Wire) -> list[str]:
    """What the log says of a peer."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name == "tomada" and peer.address in record.getMessage()
    ]


async def seen_off(server: tomada.Server, caplog: pytest.LogCaptureFixture, peer: Wire) -> str:
    """The one line of the log about a peer that has been cut off, and nothing of it is left."""
    await peer.until_closed()
    await turns_until(lambda: len(server.connections) == 1)
    assert [len(link._running) + link._busy for link in server._endpoint.connections] == [0]
    (line,) = ended(caplog, peer)
    return line


@pytest.mark.parametrize("who", STRANGERS)
def test_a_stranger_is_seen_off_before_the_handshake(run: Run, caplog: pytest.LogCaptureFixture, who: str) -> None:
    async def main() -> None:
        async with serving(limits=LIMITS) as (server, _), wire(server) as peer:
            peer.say(STRANGERS[who])
            line = await seen_off(server, caplog, peer)
            assert ": refused: " in line
            if who.startswith(("a TLS", "an HTTP")):
                assert who in line

    run(main())


Attack = Callable[[Wire], bytes]
ATTACKS: dict[str, tuple[str, Attack]] = {
    "a frame longer than the limit": (
        "is 65537 bytes long, at most 65536",
        lambda peer: peer.message(Kind.ASK, 1, 1, bytes(65_537)),
    ),
    "a length of 2**32 - 1": ("4294967295 bytes", lambda _: HEADER.pack(0xFFFF_FFFF, Kind.SEND, NORMAL, 1, 0, 1)),
    "an answer to nobody": ("answer came to request 7", lambda peer: peer.message(Kind.REPLY, 0, 7, b"\x90")),
    "an error to nobody": ("answer came to request 7", lambda peer: peer.message(Kind.ERROR, 0, 7, b"\x90")),
    "an id of the other end": ("request id 2", lambda peer: peer.ask(Hold("a"), 2)),
    "an id twice": ("used again", lambda peer: peer.ask(Hold("a"), 1) + peer.ask(Hold("a"), 1)),
    "a kind nobody knows": ("kind 99", lambda _: HEADER.pack(0, 99, NORMAL, 1, 0, 1)),
    "a kind of the server's": ("welcome", lambda _: frame(Kind.WELCOME, b"\x90")),
    "a gap": (
        "sequence 2 came in the normal lane where 1",
        lambda _: HEADER.pack(1, Kind.SEND, NORMAL, 1, 0, 2) + b"x",
    ),
    "an acknowledgement where there is no session": ("without a session", lambda _: frame(Kind.ACKNOWLEDGE, b"\x90")),
    "a credit that shrinks": ("the credit shrinks", lambda _: frame(Kind.CREDIT, bytes(16))),
    "flags nobody knows": ("lane and flags", lambda _: HEADER.pack(1, Kind.SEND, 0xF2, 1, 0, 1) + b"\x90"),
    "a goodbye that is none": ("goodbye cannot be read", lambda _: frame(Kind.GOODBYE, b"\xc1")),
    "crumbs": ("at least 1024", lambda _: HEADER.pack(1, Kind.SEND, NORMAL | MORE, 1, 0, 1) + b"\x90"),
    "fragments without end": (
        "longer than 100000 bytes",
        lambda _: b"".join(HEADER.pack(2_000, Kind.SEND, NORMAL | MORE, 1, 0, n) + bytes(2_000) for n in range(1, 100)),
    ),
    "more questions than allowed": (
        "more than 8 requests are open",
        lambda peer: b"".join(peer.ask(Hold(str(number)), 2 * number + 1) for number in range(20)),
    ),
    "more declarations than allowed": (
        "declaration of types cannot be read",
        lambda _: frame(Kind.DECLARE, b"\xdd\x00\x01\x00\x00" + b"\x90" * 65_536) * 10,
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_who_breaks_the_protocol_ends_alone(run: Run, caplog: pytest.LogCaptureFixture, attack: str) -> None:
    reason, say = ATTACKS[attack]

    async def main() -> None:
        async with serving(limits=LIMITS) as (server, stage), wire(server) as peer:
            await peer.hello()
            peer.say(say(peer))
            assert reason in await seen_off(server, caplog, peer)
            assert all(stage.count(f"cancelled {event[6:]}") for event in stage.events if event.startswith("began"))

    run(main())


WRONG: dict[str, tuple[Attack, str]] = {
    "a type that was not declared": (lambda peer: peer.message(Kind.ASK, 999, 1, b"\x90"), "not in the catalogue"),
    "type 0": (lambda peer: peer.message(Kind.ASK, 0, 1, b"\x90"), "not in the catalogue"),
    "a wrong value": (lambda peer: peer.message(Kind.ASK, CATALOGUE.numbers[Make], 1, b"\x91\xa1x"), "Make.size"),
    "a missing field": (lambda peer: peer.message(Kind.ASK, CATALOGUE.numbers[Make], 1, b"\x90"), "Make.size"),
    "no message at all": (lambda peer: peer.message(Kind.ASK, CATALOGUE.numbers[Make], 1, b"\xc1"), "Make"),
    "nothing": (lambda peer: peer.message(Kind.ASK, CATALOGUE.numbers[Make], 1, b""), "Make"),
    "nested too deep": (lambda peer: peer.message(Kind.ASK, CATALOGUE.numbers[Make], 1, b"\x91" * 50_000), "Make"),
    "a request sent one-way": (lambda peer: peer.send(Make(1)), "is a request"),
    "a one-way message asked": (lambda peer: peer.ask(Note("a"), 1), "one-way message"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_message_is_refused_and_its_connection_goes_on(run: Run, what: str) -> None:
    say, text = WRONG[what]

    async def main() -> None:
        async with serving(limits=LIMITS) as (server, _), wire(server) as peer:
            await peer.hello()
            peer.say(say(peer))
            kind, _, failure = await peer.hear()
            assert kind == Kind.ERROR
            assert text in failure.decode(errors="replace")
            peer.say(peer.ask(Echo(b"on"), 3))
            assert (await peer.hear())[:2] == (Kind.REPLY, 3)

    run(main())


def test_a_long_message_that_trickles_in_takes_the_memory_of_what_has_come(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(frame_bytes=2**30, message_bytes=2**30)
        async with serving(limits=limits) as (server, _), wire(server) as peer:
            await peer.hello()
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                peer.say(HEADER.pack(2**30, Kind.SEND, NORMAL, 1, 0, 1))
                for _ in range(50):
                    peer.say(bytes(1_000))
                    await peer.writer.drain()
                hostile = next(c for c in server.connections if str(c.peer) == peer.address)
                await turns_until(lambda: len(hostile._link.engine._rest) >= 50_000)
                _, most = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert most - before < 1_500_000

    run(main())


def test_pings_without_reading_stop_being_read(run: Run) -> None:
    async def main() -> None:
        async with serving(limits=LIMITS) as (server, _), wire(server) as peer:
            await peer.hello()
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            flood = frame(Kind.PING, bytes(4_000)) * 250
            hostile = next(c for c in server.connections if str(c.peer) == peer.address)
            while not hostile._link.paused:
                peer.say(flood)
                await asyncio.sleep(0)
            link = hostile._link
            assert link.transport is not None
            assert link.engine.unsent + link.transport.get_write_buffer_size() < 3_000_000
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            peer.say(frame(Kind.PING, b"last"))
            while (await peer.hear())[2] != b"last":
                pass

    run(main())


def test_messages_nobody_handles_do_not_pile_up_refusals_for_a_peer_that_does_not_read(run: Run) -> None:
    async def main() -> None:
        async with serving(limits=LIMITS) as (server, _), wire(server) as peer:
            await peer.hello()
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            hostile = next(c for c in server.connections if str(c.peer) == peer.address)
            while not hostile._link.paused:
                peer.say(*[peer.message(Kind.SEND, 999, 0, b"\x90") for _ in range(1_000)])
                await asyncio.sleep(0)
            link = hostile._link
            assert link.transport is not None
            assert link.engine.unsent + link.transport.get_write_buffer_size() < 10_000_000

    run(main())


def test_one_way_messages_that_are_refused_do_not_pile_up_for_a_peer_that_never_acknowledges(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(limits=LIMITS) as (server, _), wire(server) as peer:
            await peer.hello(Hello(catalogue=tuple(CATALOGUE.entries), features=(SESSION,)))
            hostile = next(c for c in server.connections if str(c.peer) == peer.address)
            engine = hostile._link.engine
            reading = asyncio.create_task(peer.until_closed())
            for _ in range(50):
                peer.say(*[peer.message(Kind.SEND, 999, 0, b"\x90") for _ in range(200)])
                await turns_until(lambda: engine.normal_in.expected > peer.sequence)
            assert engine.stuffed
            assert engine.kept < 200_000
            assert ended(caplog, peer) == []
            peer.writer.transport.abort()
            await reading

    run(main())


@pytest.mark.parametrize("how", ["of a type nobody knows", "too late"])
def test_requests_that_are_refused_do_not_pile_up_for_a_peer_that_never_acknowledges(
    run: Run, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    async def main() -> None:
        limits = tomada.Limits(requests=100, buffer_bytes=65_536)
        async with serving(limits=limits) as (server, _), wire(server) as peer:
            await peer.hello(Hello(catalogue=tuple(CATALOGUE.entries), features=(SESSION,)))
            engine = next(c for c in server.connections if str(c.peer) == peer.address)._link.engine
            most = 0
            heard, last = 0, 0
            while heard != Kind.GOODBYE:
                ids = range(last + 1, last + 200, 2)
                peer.say(*[refused(peer, how, id_) for id_ in ids])
                last = ids[-1] + 1
                while heard != Kind.GOODBYE:
                    heard, id_, _ = await peer.hear()
                    if id_ == ids[-1]:
                        break
                most = max(most, engine.kept)
            assert 131_072 < most < 400_000
            assert "of refused requests were not acknowledged" in await seen_off(server, caplog, peer)

    run(main())


def refused(peer: Wire, how: str, id_: int) -> bytes:
    """A request that is refused without a handler."""
    if how == "too late":
        return peer.message(Kind.ASK, CATALOGUE.numbers[Echo], id_, with_metadata(Metadata(0), b"\x91\xc4\0"), METADATA)
    return peer.message(Kind.ASK, 999, id_, b"\x90")


def test_a_backlog_of_one_way_messages_is_bounded_and_is_handled_after_its_sender_has_gone(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(handlers=2, buffer_bytes=16_384)
        async with serving(limits=limits) as (server, stage), wire(server) as peer:
            await peer.hello()
            names = [f"hold {number} " + "x" * 1_000 for number in range(15)]
            for name in names:
                peer.say(peer.send(Note(name)))
            hostile = next(c for c in server.connections if str(c.peer) == peer.address)
            await turns_until(lambda: hostile._link.engine.held == 15)
            assert hostile.statistics().held_bytes < 16_384
            assert stage.count("note") == 2
            peer.say(peer.send(Note("overshoots" + "x" * 1_000)), peer.send(Note("one too many")))
            kind, _, why = await peer.hear()
            assert kind == Kind.GOODBYE
            assert b"the credit is 16384" in why
            peer.writer.transport.abort()
            stage.open(*names)
            await stage.until("note overshoots" + "x" * 1_000)
            await stage.until_true(lambda: stage.count("done") == 15)
            assert "note one too many" not in stage.events

    run(main())


def test_what_comes_a_second_time_is_dropped_and_counted(run: Run) -> None:
    async def main() -> None:
        async with serving(limits=LIMITS) as (server, stage), wire(server) as peer:
            await peer.hello()
            once = peer.send(Note("once"))
            peer.say(once, once, once, peer.ask(Echo(b"on"), 1))
            assert (await peer.hear())[:2] == (Kind.REPLY, 1)
            assert stage.events == ["note once"]
            hostile = next(c for c in server.connections if str(c.peer) == peer.address)
            assert hostile.statistics().duplicates == 2

    run(main())


def test_questions_that_are_asked_and_cancelled_hold_their_place_until_they_end(run: Run) -> None:
    async def main() -> None:
        async with serving(limits=LIMITS) as (server, stage), wire(server) as peer:
            await peer.hello()
            for number in range(2_000):
                peer.say(peer.ask(Hold(str(number)), 2 * number + 1), peer.cancel(2 * number + 1))
                assert (await peer.hear())[:2] == (Kind.ERROR, 2 * number + 1)
            assert stage.now == 0
            hostile = next(c for c in server.connections if str(c.peer) == peer.address)
            assert hostile._link._busy == len(hostile._link._running) == 0

    run(main())


def test_half_a_handshake_starves_nobody(run: Run) -> None:
    async def main() -> None:
        ended: list[HandshakeEnded] = []
        deadlines = tomada.Deadlines(handshake=0.3)
        async with serving(deadlines=deadlines) as (server, _):
            watching = tomada.telemetry.subscribe(ended.append, HandshakeEnded)
            half = frame(Kind.HELLO, bytes(100))[:30]
            peers = [
                await asyncio.open_connection(server.addresses[0].host, server.addresses[0].port) for _ in range(50)
            ]
            for _, writer in peers:
                writer.write(half)
            for reader, writer in peers:
                with suppress(ConnectionError):
                    await reader.read()
                writer.transport.abort()
            watching.end()
            assert [event.reason for event in ended] == ["no handshake within 0.3 s"] * 50

    run(main())


def test_this_ends_own_fault_while_reading_ends_that_connection_with_a_traceback(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving() as (server, _), wire(server) as peer:
            await peer.hello()
            hostile = next(c for c in server.connections if str(c.peer) == peer.address)

            def fault(data: bytes, now: float) -> None:
                raise ZeroDivisionError(data, now)

            hostile._link.messenger = type("Broken", (), {"receive": staticmethod(fault)})()
            peer.say(peer.ask(Echo(b"a"), 1))
            await peer.until_closed()
            await turns_until(lambda: len(server.connections) == 1)
            first, second = ended(caplog, peer)
            assert "this end failed" in first
            assert "this end failed" in second
            assert "ZeroDivisionError" in caplog.text

    run(main())


def test_a_hello_without_types_may_still_ping(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _), wire(server) as peer:
            await peer.hello(Hello())
            peer.say(frame(Kind.PING, b"x"))
            assert await peer.hear() == (Kind.PONG, 0, b"x")

    run(main())
