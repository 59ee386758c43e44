"""A server of this process, read by a registry and by its page."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

import tomada
from tests.integration.conftest import Run
from tests.integration.house import HERE, Echo, Fail, Hold, Note, Stage, house, turns_until, wire
from tests.metrics.scraping import Scrape, fetch, scrape
from tomada import telemetry
from tomada.metrics import Metrics, MetricsPage
from tomada.metrics.traffic import PORTION, Traffic
from tomada.streams import Stream
from tomada.telemetry import Outcome, emit


def read(metrics: Metrics) -> Scrape:
    registry = CollectorRegistry()
    registry.register(metrics)
    return Scrape(generate_latest(registry).decode())


def test_what_a_server_does_is_told(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server:
            with Metrics(server) as metrics:
                async with tomada.connect(server.addresses[0]) as client:
                    for _ in range(3):
                        await client.ask(Echo(b"data"))
                    with pytest.raises(tomada.RemoteError):
                        await client.ask(Fail("typed"))
                    await client.send(Note("x"))
                    held = asyncio.create_task(client.ask(Hold("x")))
                    await stage.until("note x", "began x")
                    told = read(metrics)
                    assert 'tomada_requests_failed_total{type="Sit"} 0.0' in told.text, "a rate needs the beginning"
                    assert told("tomada_connections", kind="messages") == 1
                    assert told("tomada_handlers") == 1
                    assert told("tomada_handshakes_total", outcome="completed") == 1
                    assert told("tomada_handshake_duration_seconds_count") == 1
                    assert told("tomada_received_messages_total") == 6
                    assert told("tomada_sent_messages_total") == 4
                    assert told("tomada_held_bytes") > 0
                    assert told("tomada_sessions", state="connected") == 1
                    mine = client.statistics()
                    assert told("tomada_received_bytes_total") == mine.sent_bytes
                    stage.open("x")
                    await held
                await turns_until(lambda: not server.connections)
                told = read(metrics)
                assert told("tomada_connections", kind="messages") == 0
                assert told("tomada_received_messages_total") == 6, "also of what has ended"
                assert told("tomada_received_bytes_total") == client.statistics().sent_bytes
                assert told("tomada_request_duration_seconds_count", type="Echo") == 3
                assert told("tomada_request_duration_seconds_count", type="Hold") == 1
                assert told("tomada_requests_failed_total", type="Fail") == 1
                assert told("tomada_requests_failed_total", type="Echo") == 0
                assert told("tomada_connections_opened_total") == told("tomada_callers_accepted_total") == 1
                assert told("tomada_build_info", version="0.1.0", python=told_python()) == 1
                assert told("tomada_cpu_seconds_total") > 0
                assert told("tomada_resident_memory_bytes") > 1 << 20

    run(main())


def told_python() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def test_buckets_only_grow(run: Run) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server:
            with Metrics(server) as metrics:
                async with tomada.connect(server.addresses[0]) as client:
                    await client.ask(Echo(b"data"))
                samples = read(metrics).families["tomada_request_duration_seconds"].samples
        samples = [sample for sample in samples if sample.labels["type"] == "Echo"]
        buckets = [sample.value for sample in samples if sample.name.endswith("_bucket")]
        assert all(upper >= lower for lower, upper in pairwise(buckets))
        assert buckets[-1] == 1
        assert [sample.labels["le"] for sample in samples if "le" in sample.labels][-1] == "+Inf"

    run(main())


def test_events_are_counted_until_it_is_closed(run: Run) -> None:
    told: list[telemetry.Event] = [
        telemetry.AcceptFailed(address="a", reason="r"),
        telemetry.LimitStruck(limit="connections", allowed=1, outcome=Outcome.REFUSED, where="x"),
        telemetry.LimitStruck(limit="connections", allowed=1, outcome=Outcome.REFUSED, where="y"),
        telemetry.DeadlineStruck(deadline="idle", seconds=1, peer="x"),
        telemetry.LoopBlocked(handler="h", place="p", seconds=0.5, is_over=False),
        telemetry.LoopBlocked(handler="h", place="p", seconds=1.5, is_over=True, unreported=2),
        telemetry.SessionEvicted(store="s", reason="most", sessions=7),
        telemetry.SessionRefused(peer="x", reason="r"),
        telemetry.SessionEnded(peer="x", reason="r", undelivered=1),
        telemetry.CommitFailed(store="s", reason="r", waiting_bytes=1),
        telemetry.ChildEnded(pid=1, seconds=1, reason="r", is_wrong=True, connections=1),
        telemetry.HandshakeEnded(address="a", peer="x", seconds=1, reason="r", is_wrong=True),
        telemetry.HandshakeEnded(address="a", peer="x", seconds=1, reason="r"),
    ]

    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server:
            metrics = Metrics(server)
            before = read(metrics)
            assert before("tomada_accept_failures_total") == 0
            assert 'tomada_handshakes_total{outcome="failed"} 0.0' in before.text, "a rate needs the beginning"
            for event in told:
                emit(event)
            metrics.close()
            for event in told:
                emit(event)
            after = read(metrics)
        assert after("tomada_accept_failures_total") == 1
        assert after("tomada_limits_struck_total", limit="connections", outcome="refused") == 2
        assert after("tomada_deadlines_struck_total", deadline="idle") == 1
        assert after("tomada_loop_blocked_total") == 3
        assert after("tomada_loop_blocked_seconds_total") == 1.5
        assert after("tomada_sessions_evicted_total", reason="most") == 7
        assert after("tomada_sessions_refused_total") == after("tomada_sessions_lost_total") == 1
        assert after("tomada_commit_failures_total") == 1
        assert after("tomada_children_ended_total", outcome="failed") == 1
        assert after("tomada_handshakes_total", outcome="failed") == 1
        assert after("tomada_handshakes_total", outcome="abandoned") == 1
        assert after("tomada_handshake_duration_seconds_count") == 0

    run(main())


def test_a_lost_session_that_goes_on_is_counted_once(run: Run) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, tomada.connect(server.addresses[0]) as client:
            with Metrics(server) as metrics:
                await client.ask(Echo(b"before"))
                before = read(metrics)
                transport = client._link.transport
                assert transport is not None
                transport.abort()
                await turns_until(lambda: client.statistics().resumed == 1 and client._link.transport is not None)
                await client.ask(Echo(b"after"))
                after = read(metrics)
        # Events are the process's, and here both ends are in one.
        assert after("tomada_sessions_resumed_total") == after("tomada_connections_interrupted_total") == 2
        assert after("tomada_received_messages_total") - before("tomada_received_messages_total") == 1
        assert after("tomada_sessions", state="waiting") == 0

    run(main())


def test_byte_streams_and_datagrams(run: Run) -> None:
    app = tomada.App("bytes")

    @app.stream("tcp://127.0.0.1:0")
    async def echo(stream: Stream) -> None:
        async for data in stream:
            await stream.send(data)

    @app.datagram("udp://127.0.0.1:0")
    async def back(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        peer.reply(datagram)

    async def main() -> None:
        async with tomada.serve(app) as server:
            with Metrics(server) as metrics:
                streams, datagrams = (
                    next(address for address in server.addresses if address.scheme == scheme)
                    for scheme in ("tcp", "udp")
                )
                reader, writer = await asyncio.open_connection(streams.host, streams.port)
                writer.write(b"12345")
                assert await reader.readexactly(5) == b"12345"
                async with tomada.bind("udp://127.0.0.1:0", peer=datagrams) as own:
                    await own.send(b"123")
                    assert (await own.receive()).data == b"123"
                told = read(metrics)
                assert told("tomada_connections", kind="stream") == 1
                (handled,) = (
                    sample.labels["type"]
                    for sample in told.families["tomada_request_duration_seconds"].samples
                    if sample.name.endswith("_count")
                )
                assert handled.endswith("back"), "not where it stands"
                assert told("tomada_request_duration_seconds_count", type=handled) == 1
                writer.close()
                await writer.wait_closed()
                await turns_until(lambda: server.statistics().streams == 0)
                after = read(metrics)
        for each in (told, after):
            assert each("tomada_received_bytes_total") == each("tomada_sent_bytes_total") == 5
            assert each("tomada_received_messages_total") == 0
            assert each("tomada_datagrams_received_total", address=str(datagrams)) == 1
            assert each("tomada_datagrams_lost_total", address=str(datagrams), reason="truncated") == 0

    run(main())


def test_nothing_that_ends_while_it_is_read_is_lost_or_counted_twice(run: Run) -> None:
    """Connections come and go between the portions of a reading."""

    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server:
            endpoint = server.endpoints[0]
            clients = [await tomada.connect(server.addresses[0]) for _ in range(8)]
            for client in clients:
                await client.ask(Echo(b"x"))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("tomada.metrics.traffic.PORTION", 1)
                sums = []
                traffic = Traffic(endpoint)
                for _ in traffic.portions():
                    if clients:
                        await clients.pop().close()
                sums.append(messages(traffic))
                await turns_until(lambda: not endpoint.connections)
                last = Traffic(endpoint)
                assert list(last.portions()) == []
                sums.append(messages(last))
            assert sums == [8, 8]

    run(main())


def messages(traffic: Traffic) -> float:
    return next(number.value for number in traffic.numbers() if number.name == "tomada_received_messages_total")


def test_a_handshake_that_is_going_on_is_not_counted_yet(run: Run) -> None:
    """Else its bytes would be gone again where it fails."""

    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server:
            with Metrics(server) as metrics:
                async with wire(server) as peer:
                    peer.say(b"\x00")
                    await turns_until(lambda: server.statistics().handshakes == 1)
                    assert read(metrics)("tomada_received_bytes_total") == 0
                    assert read(metrics)("tomada_handshakes_in_progress") == 1
                await turns_until(lambda: server.statistics().handshakes == 0)
                assert read(metrics)("tomada_received_bytes_total") == 0

    run(main())


def test_a_registry_in_another_thread_asks_the_loop(run: Run) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, tomada.connect(server.addresses[0]) as client:
            with Metrics(server) as metrics:
                await client.ask(Echo(b"x"))
                told = await asyncio.to_thread(read, metrics)
                assert told("tomada_received_messages_total") == 1

    run(main())


def test_it_can_be_read_when_all_is_over() -> None:
    kept: list[Metrics] = []

    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, tomada.connect(server.addresses[0]) as client:
            kept.append(Metrics(server))
            await client.ask(Echo(b"x"))

    asyncio.run(main())
    with kept[0] as metrics:
        assert read(metrics)("tomada_received_messages_total") == 1


def received(own: socket.socket) -> bytes:
    """What comes until the end, be it a reset."""
    data = b""
    with suppress(ConnectionError):
        while more := own.recv(65_536):
            data += more
    return data


class TestThePage:
    def test_it_is_served_beside_the_server(self, run: Run) -> None:
        async def main() -> None:
            async with (
                tomada.serve(house(Stage()), HERE) as server,
                tomada.connect(server.addresses[0]) as client,
                MetricsPage(server, ":0") as page,
            ):
                assert page.url.startswith("http://127.0.0.1:")
                await client.ask(Echo(b"x"))
                told = await asyncio.to_thread(scrape, page.url)
                assert told("tomada_received_messages_total") == 1
                status, kind, text = await asyncio.to_thread(fetch, page.url, "application/openmetrics-text")
                assert (status, kind.partition(";")[0]) == (200, "application/openmetrics-text")
                assert text.endswith("# EOF\n")

        run(main())

    @pytest.mark.parametrize(
        ("path", "method", "status"),
        [("/", "GET", 200), ("/elsewhere", "GET", 404), ("/metrics", "POST", 405), ("/metrics?x=1", "HEAD", 200)],
    )
    def test_anything_else_is_told_apart(self, run: Run, path: str, method: str, status: int) -> None:
        async def main() -> None:
            async with tomada.serve(house(Stage()), HERE) as server, MetricsPage(server, ":0") as page:
                url = page.url.removesuffix("/metrics") + path
                found, _, text = await asyncio.to_thread(fetch, url, "", method)
                assert found == status
                assert bool(text) is (method != "HEAD")

        run(main())

    def test_an_address_that_is_taken_is_told(self, run: Run) -> None:
        async def main() -> None:
            async with tomada.serve(house(Stage()), HERE) as server:
                with pytest.raises(tomada.AddressInUse):
                    MetricsPage(server, str(server.addresses[0]))
                with pytest.raises(tomada.AddressError):
                    MetricsPage(server, "no address at all")

        run(main())

    def test_one_that_is_taken_in_the_last_moment_is_told_too(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        async def taken(*_: object, **__: object) -> None:
            raise OSError(98, "Address already in use")

        async def main() -> None:
            async with tomada.serve(house(Stage()), HERE) as server:
                monkeypatch.setattr("tomada.metrics.page.asyncio.start_server", taken)
                with pytest.raises(tomada.ListenFailed, match="Address already in use"):
                    MetricsPage(server, ":0")
                monkeypatch.undo()
                assert not telemetry.SessionEvicted.subscribers[1:], "but for the log nobody is left"

        run(main())

    def test_who_says_too_much_or_nothing_keeps_nobody_else_waiting(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tomada.metrics.page._PATIENCE", 0.2)

        async def main() -> None:
            async with tomada.serve(house(Stage()), HERE) as server, MetricsPage(server, ":0") as page:
                port = int(page.url.removesuffix("/metrics").rpartition(":")[2])

                def attack() -> None:
                    with socket.create_connection(("127.0.0.1", port)) as silent:
                        with socket.create_connection(("127.0.0.1", port)) as loud:
                            loud.sendall(b"GET /metrics HTTP/1.1\r\n" + b"x" * 20_000)
                            loud.settimeout(20)
                            assert not received(loud).startswith(b"HTTP/1.1 200")
                        assert scrape(page.url)("tomada_workers") == 1
                        silent.settimeout(20)
                        assert received(silent) == b""

                await asyncio.to_thread(attack)

        run(main())

    def test_more_callers_than_there_may_be_are_dropped(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tomada.metrics.page._MOST_CALLERS", 1)

        async def main() -> None:
            async with tomada.serve(house(Stage()), HERE) as server, MetricsPage(server, ":0") as page:
                port = int(page.url.removesuffix("/metrics").rpartition(":")[2])

                def attack() -> None:
                    with (
                        socket.create_connection(("127.0.0.1", port)),
                        socket.create_connection(("127.0.0.1", port)) as second,
                    ):
                        second.settimeout(20)
                        assert received(second) == b""

                await asyncio.to_thread(attack)

        run(main())

    def test_a_server_whose_loop_is_kept_does_not_keep_the_page(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tomada.metrics.page._READING", 0.05)

        async def main() -> None:
            async with tomada.serve(house(Stage()), HERE) as server, MetricsPage(server, ":0") as page:
                told: list[Any] = []
                asking = asyncio.get_running_loop().run_in_executor(None, lambda: told.append(fetch(page.url)))
                while not told:  # without a turn for the loop
                    pass
                await asking
                status, _, text = told[0]
                assert (status, "did not answer" in text) == (503, True)

        run(main())

    def test_a_fault_of_ours_is_told_to_the_log(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def main() -> None:
            async with tomada.serve(house(Stage()), HERE) as server, MetricsPage(server, ":0") as page:
                monkeypatch.setattr(type(server), "statistics", lambda _: 1 / 0)
                status, _, _ = await asyncio.to_thread(fetch, page.url)
                assert status == 500
                monkeypatch.undo()

        run(main())
        assert "ZeroDivisionError" in caplog.text


def test_a_portion_is_small() -> None:
    assert PORTION <= 512, "the loop has its turn between two of them"
