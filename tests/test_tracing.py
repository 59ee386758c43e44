"""Spans join who asks and who handles, over real connections; and what peers say of traces is not trusted."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import tomada
from tests.integration.conftest import Run, _loops_have_what_they_keep, folder, run
from tests.integration.house import HERE, Echo, Fail, Hold, Note, Sit, Stage, house, turns_until, wire
from tomada import tracing
from tomada.address import Address
from tomada.protocol import Kind
from tomada.protocol.frames import METADATA
from tomada.server.children import child, rehearsal
from tomada.server.children.channel import Channel, Plan, Serve, decode_from_child, decode_to_child, pair
from tomada.server.children.limits import bounds_of
from tomada.server.children.seed import Seed
from tomada.sync import connect as connect_blocking
from tomada.telemetry.tracer import Tracer, untraced
from tomada.transports import Options

__all__ = ["_loops_have_what_they_keep", "folder", "run"]

ENDLESS = -1
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Count(tomada.StreamRequest[int]):
    to: int


class Add(tomada.UploadRequest[int, int]):
    pass


class Relay(tomada.Request[bytes]):
    """Asks another server."""

    address: str


class Think(tomada.Request[str]):
    """A plain function, which makes a span of its own."""


class Mirror(tomada.Request[bytes]):
    """Asks who asks."""


app = tomada.App("arithmetic")


@app.on
async def count(request: Count) -> AsyncIterator[int]:
    if request.to == ENDLESS:
        yield 0
        await asyncio.Event().wait()
    for number in range(request.to):
        if number == 3:
            raise ValueError("three")
        yield number


@app.on
async def add(_: Add, parts: AsyncIterator[int]) -> int:
    return sum([part async for part in parts])


@app.on
async def relay(request: Relay) -> bytes:
    async with tomada.connect(request.address) as other:
        return await other.ask(Echo(b"relayed"))


@app.on
def think(_: Think) -> str:
    with trace.get_tracer("test").start_as_current_span("thought"):
        return "so be it"


@app.on
async def mirror(_: Mirror, peer: tomada.Connection) -> bytes:
    return await peer.ask(Echo(b"mirrored"))


class Spans:
    """All that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def names(self) -> list[str]:
        return [span.name for span in self.all]

    def of(self, kind: SpanKind, name: str = "") -> ReadableSpan:
        (found,) = (span for span in self.all if span.kind is kind and name in span.name)
        return found

    async def until(self, *names: str) -> None:
        await turns_until(lambda: set(names) <= set(self.names()))


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    spans = Spans()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: spans.provider)
    tracing.enable(spans.provider)
    yield spans
    assert isinstance(Tracer.active, tracing._OpenTelemetry)
    assert Tracer.active._open == {}, "what has ended is forgotten"
    tracing.disable()
    assert Tracer.active is None


def events(span: ReadableSpan) -> list[str]:
    return [event.name for event in span.events]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    mine, its = child.parent, parent.get_span_context()
    return mine is not None and its is not None and (mine.trace_id, mine.span_id) == (its.trace_id, its.span_id)


def test_a_handler_belongs_to_its_caller(run: Run, spans: Spans) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, tomada.connect(server.addresses[0]) as client:
            with spans.provider.get_tracer("test").start_as_current_span("request of a page"):
                assert await client.ask(Echo(b"x")) == b"x"
            port = server.addresses[0].port
        page, call, handler = spans.of(SpanKind.INTERNAL), spans.of(SpanKind.CLIENT), spans.of(SpanKind.SERVER)
        assert is_child(call, page)
        assert is_child(handler, call)
        assert handler.parent is not None
        assert handler.parent.is_remote
        assert (call.name, handler.name) == ("Echo", "house/Echo")
        told = {"rpc.system": "tomada", "rpc.method": "Echo", "network.transport": "tcp"}
        assert attributes(call) == told | {"server.address": "127.0.0.1", "server.port": port}
        about = attributes(handler)
        assert about.pop("network.peer.port") != port
        assert about == told | {"rpc.service": "house", "network.peer.address": "127.0.0.1"}
        assert (call.status.status_code, handler.status.status_code) == (StatusCode.UNSET, StatusCode.UNSET)

    run(main())


def test_without_a_caller_s_span_a_call_begins_a_trace_and_calls_at_once_do_not_mix(run: Run, spans: Spans) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, tomada.connect(server.addresses[0]) as client:
            await asyncio.gather(*(client.ask(Echo(b"%d" % number), timeout=9) for number in range(20)))
        calls = [span for span in spans.all if span.kind is SpanKind.CLIENT]
        handlers = [span for span in spans.all if span.kind is SpanKind.SERVER]
        assert all(call.parent is None for call in calls)
        assert sorted(sum(is_child(handler, call) for handler in handlers) for call in calls) == [1] * 20

    run(main())


def test_a_chain_of_servers_is_one_trace_through_threads_too(run: Run, spans: Spans) -> None:
    async def main() -> None:
        async with (
            tomada.serve(house(Stage()), HERE) as far,
            tomada.serve(app, HERE) as near,
            tomada.connect(near.addresses[0]) as client,
        ):
            await client.ask(Relay(str(far.addresses[0])))
            await client.ask(Think())
        chain = [spans.of(SpanKind.CLIENT, "Relay"), spans.of(SpanKind.SERVER, "arithmetic/Relay")]
        chain += [spans.of(SpanKind.CLIENT, "Echo"), spans.of(SpanKind.SERVER, "house/Echo")]
        assert all(is_child(lower, upper) for upper, lower in pairwise(chain))
        assert is_child(spans.of(SpanKind.INTERNAL, "thought"), spans.of(SpanKind.SERVER, "arithmetic/Think"))

    run(main())


def test_a_server_started_inside_of_a_span_does_not_belong_to_it(run: Run, spans: Spans) -> None:
    async def main() -> None:
        with spans.provider.get_tracer("test").start_as_current_span("start"):
            server = await tomada.serve(house(Stage()), HERE)
        async with server, wire(server) as peer:
            await peer.hello()
            peer.say(peer.ask(Echo(b"x"), 1))
            await peer.hear()
        assert spans.of(SpanKind.SERVER).parent is None

    run(main())


@pytest.mark.parametrize(
    ("how", "name", "is_fault"),
    [
        ("typed", "Broke", False),
        ("remote", "Sour", False),
        ("sour", "ValueError", True),
        ("later sour", "ValueError", True),
    ],
)
def test_how_it_ended(run: Run, spans: Spans, how: str, name: str, *, is_fault: bool) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, tomada.connect(server.addresses[0]) as client:
            with pytest.raises(tomada.RemoteError):
                await client.ask(Fail(how))
        call, handler = spans.of(SpanKind.CLIENT), spans.of(SpanKind.SERVER)
        assert call.status.status_code is StatusCode.ERROR
        assert attributes(call)["error.type"] == attributes(handler)["error.type"] == name
        assert events(call) == [name]
        assert handler.status.status_code is (StatusCode.ERROR if is_fault else StatusCode.UNSET)
        assert events(handler) == ["exception" if is_fault else name]

    run(main())


def test_an_error_without_words_is_told_and_costs_nothing(run: Run, spans: Spans) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, tomada.connect(server.addresses[0]) as client:
            with pytest.raises(tomada.RemoteError):
                await client.ask(Fail("unspeakable"))
        assert attributes(spans.of(SpanKind.SERVER))["error.type"] == "Unspeakable"

    run(main())


def test_a_call_that_is_late_and_one_that_is_cancelled(run: Run, spans: Spans) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server, tomada.connect(server.addresses[0]) as client:
            with pytest.raises(tomada.TimedOut):
                await client.ask(Hold("late"), timeout=0.05)
            call = asyncio.create_task(client.ask(Hold("cancelled")))
            await stage.until("began cancelled")
            call.cancel()
            with suppress(asyncio.CancelledError):
                await call
            await stage.until("cancelled late", "cancelled cancelled")
        late, cancelled = (span for span in spans.all if span.kind is SpanKind.CLIENT)
        assert (attributes(late)["error.type"], late.status.status_code) == ("TimedOut", StatusCode.ERROR)
        assert (events(cancelled), cancelled.status.status_code) == (["cancelled"], StatusCode.UNSET)
        handlers = [span for span in spans.all if span.kind is SpanKind.SERVER]
        assert [events(handler) for handler in handlers] == [["cancelled"], ["cancelled"]]

    run(main())


def test_one_way_messages(run: Run, spans: Spans) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server, tomada.connect(server.addresses[0]) as client:
            await client.send(Note("hello"))
            await stage.until("note hello")
        assert is_child(spans.of(SpanKind.CONSUMER, "house/Note"), spans.of(SpanKind.PRODUCER, "Note"))

    run(main())


def test_a_stream_lasts_until_its_end(run: Run, spans: Spans) -> None:
    async def main() -> None:
        async with tomada.serve(app, HERE) as server, tomada.connect(server.addresses[0]) as client:
            seen = 0
            async for _ in client.stream(Count(2)):
                assert not trace.get_current_span().get_span_context().is_valid, "the loop's body is the caller's"
                seen += 1
            assert seen == 2
            call, handler = spans.of(SpanKind.CLIENT), spans.of(SpanKind.SERVER)
            assert is_child(handler, call)
            assert call.start_time is not None
            assert handler.end_time is not None
            assert call.end_time is not None
            assert call.start_time < handler.end_time < call.end_time

    run(main())


def test_a_stream_that_breaks_and_one_that_is_left(run: Run, spans: Spans) -> None:
    async def main() -> None:
        async with tomada.serve(app, HERE) as server, tomada.connect(server.addresses[0]) as client:
            with pytest.raises(tomada.RemoteError, match="three"):
                [number async for number in client.stream(Count(9))]
            async with client.stream(Count(ENDLESS)) as left:
                await anext(left)
        broken, given_up = (span for span in spans.all if span.kind is SpanKind.CLIENT)
        assert (events(broken), broken.status.status_code) == (["ValueError"], StatusCode.ERROR)
        assert (events(given_up), given_up.status.status_code) == (["cancelled"], StatusCode.UNSET)

    run(main())


def test_an_upload_is_one_span(run: Run, spans: Spans) -> None:
    async def main() -> None:
        async with tomada.serve(app, HERE) as server, tomada.connect(server.addresses[0]) as client:
            assert await client.ask(Add(), upload=[1, 2, 3]) == 6
        assert is_child(spans.of(SpanKind.SERVER), spans.of(SpanKind.CLIENT))

    run(main())


def test_the_server_asks_and_the_client_handles(run: Run, spans: Spans) -> None:
    async def main() -> None:
        async with (
            tomada.serve(app, HERE) as server,
            tomada.connect(server.addresses[0], app=house(Stage())) as client,
        ):
            assert await client.ask(Mirror()) == b"mirrored"
        assert is_child(spans.of(SpanKind.SERVER, "house/Echo"), spans.of(SpanKind.CLIENT, "Echo"))
        assert is_child(spans.of(SpanKind.CLIENT, "Echo"), spans.of(SpanKind.SERVER, "arithmetic/Mirror"))

    run(main())


def test_a_session_that_goes_on_keeps_one_span_for_each_call(run: Run, spans: Spans) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server, tomada.connect(server.addresses[0]) as client:
            call = asyncio.create_task(client.ask(Hold("on")))
            await stage.until("began on")
            transport = client._link.transport
            assert transport is not None
            transport.abort()
            await turns_until(lambda: client.statistics().resumed == 1 and client._link.transport is not None)
            stage.open("on")
            assert await call == "on"
        assert events(spans.of(SpanKind.CLIENT)) == ["resumed"]
        assert events(spans.of(SpanKind.SERVER)) == ["resumed"]

    run(main())


def house_for_threads() -> tomada.App:
    handling = tomada.App("threads")

    @handling.on
    def echo(request: Echo) -> bytes:
        return request.data

    return handling


def serve_and_use(application: tomada.App, use: Callable[[Any], None]) -> None:
    """Let `use` have a blocking connection to a server of `application`, in a thread."""

    async def main() -> None:
        async with tomada.serve(application, HERE) as server:

            def connected() -> None:
                with connect_blocking(server.addresses[0], app=house_for_threads()) as client:
                    use(client)

            await asyncio.to_thread(connected)

    asyncio.run(main())


def test_a_blocking_client(spans: Spans) -> None:
    def use(client: Any) -> None:
        assert client.ask(Mirror(), timeout=30) == b"mirrored"
        assert list(client.stream(Count(2))) == [0, 1]
        assert client.ask(Add(), upload=[1, 2]) == 3

    serve_and_use(app, use)
    assert is_child(spans.of(SpanKind.SERVER, "arithmetic/Mirror"), spans.of(SpanKind.CLIENT, "Mirror"))
    assert is_child(spans.of(SpanKind.SERVER, "threads/Echo"), spans.of(SpanKind.CLIENT, "Echo"))
    assert is_child(spans.of(SpanKind.SERVER, "arithmetic/Count"), spans.of(SpanKind.CLIENT, "Count"))
    assert is_child(spans.of(SpanKind.SERVER, "arithmetic/Add"), spans.of(SpanKind.CLIENT, "Add"))


def test_blocking_streams_that_break_or_are_forgotten(spans: Spans) -> None:
    def use(client: Any) -> None:
        with pytest.raises(tomada.RemoteError, match="three"):
            list(client.stream(Count(9)))
        with client.stream(Count(ENDLESS)) as left:
            next(left)
        forgotten = iter(client.stream(Count(ENDLESS)))
        next(forgotten)
        del forgotten
        gc.collect()
        assert client.ask(Add(), upload=[1]) == 1  # which has the forgotten one's span end

    serve_and_use(app, use)
    calls = [span for span in spans.all if span.kind is SpanKind.CLIENT and span.name == "Count"]
    assert [events(call) for call in calls] == [["ValueError"], ["cancelled"], ["cancelled"]]


def test_blocking_errors_and_one_way_messages(spans: Spans) -> None:
    def use(client: Any) -> None:
        with pytest.raises(tomada.RemoteError):
            client.ask(Fail("typed"))
        client.send(Note("hello"))

    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server:

            def connected() -> None:
                with connect_blocking(server.addresses[0]) as client:
                    use(client)

            await asyncio.to_thread(connected)
            await stage.until("note hello")

    asyncio.run(main())
    assert attributes(spans.of(SpanKind.CLIENT))["error.type"] == "Broke"
    assert is_child(spans.of(SpanKind.CONSUMER), spans.of(SpanKind.PRODUCER))


SAID: list[tuple[dict[str, Any], bool | None]] = [
    ({"t": PARENT, "s": "vendor=x"}, False),
    ({"t": "01-" + PARENT[3:] + "-what-comes-later"}, False),
    ({"t": "ff-" + PARENT[3:]}, True),
    ({"t": PARENT + "-more"}, True),
    ({"t": PARENT.upper()}, True),
    ({"t": "00-" + "0" * 32 + "-00f067aa0ba902b7-01"}, True),
    ({"t": "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01"}, True),
    ({"t": ""}, True),
    ({"t": "x" * 5_000}, True),
    ({"t": 7, "s": [[]]}, True),
    ({"t": {"a": b"\xff"}}, True),
    ({"s": "vendor=x"}, None),
    ({}, None),
]
"""What a peer says, and whether it is to be counted as wrong; None: it says nothing of a trace."""


def test_what_a_peer_says_of_its_trace_never_costs_its_request(run: Run, spans: Spans) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, wire(server) as peer:
            await peer.hello()
            request = msgspec.msgpack.encode(Echo(b"x"))
            for number, (entries, is_ignored) in enumerate(SAID):
                before = tracing.ignored()
                around = msgspec.msgpack.encode(entries)
                whole = len(around).to_bytes(2, "big") + around + request
                peer.say(peer.message(Kind.ASK, 1, 2 * number + 1, whole, METADATA))
                assert (await peer.hear())[:2] == (Kind.REPLY, 2 * number + 1), entries
                assert tracing.ignored() - before == (is_ignored is True), entries
        assert [span.parent is not None for span in spans.all] == [is_ignored is False for _, is_ignored in SAID]
        (first, *_) = spans.all
        assert first.parent is not None
        assert first.parent.trace_state.to_header() == "vendor=x"

    run(main())


@given(st.text(max_size=200) | st.from_regex(r"[a-z]{1,3}=[ -~]{0,9}(,[a-z]{1,3}=[ -~]{0,9}){0,40}", fullmatch=True))
def test_any_state_is_read_without_a_word_to_the_log(state: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        complaints: list[object] = []
        patch.setattr("opentelemetry.trace.span._logger.warning", lambda *words: complaints.append(words))
        known = tracing._read(PARENT, state)
        assert known is not None
        assert complaints == []


def test_where_nobody_makes_spans_nothing_travels(run: Run) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server, tomada.connect(server.addresses[0]) as client:
            engine = type(client._link.engine)
            assert Tracer.active is None
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(engine, "_message_with", lambda *_: pytest.fail("metadata would travel"))
                await client.ask(Echo(b"x"))
                await client.send(Note("x"))
            assert tracing.ignored() == 0

    run(main())


def test_no_more_are_made_once_it_is_off_and_what_is_under_way_ends(run: Run) -> None:
    async def main() -> None:
        stage, spans = Stage(), Spans()
        tracing.enable(spans.provider)
        async with tomada.serve(house(stage), HERE) as server, tomada.connect(server.addresses[0]) as client:
            call = asyncio.create_task(client.ask(Hold("on")))
            await stage.until("began on")
            tracing.disable()
            await client.ask(Echo(b"x"))
            stage.open("on")
            await call
        assert sorted(spans.names()) == ["Hold", "house/Hold"]

    run(main())


SERVER = """
import tomada
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

file = open({file!r}, "a", buffering=1)
written = ConsoleSpanExporter(out=file, formatter=lambda span: span.to_json(indent=None) + "\\n")
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(written))
trace.set_tracer_provider(provider)
app = tomada.App("far")


class Think(tomada.Request[str]):
    pass


@app.on
def think(_: Think) -> str:
    return "so be it"
"""


@pytest.mark.parametrize("how", [(), ("--workers", "1"), ("--isolation", "process"), ("--isolation", "thread")])
def test_two_processes_are_one_trace(spans: Spans, tmp_path: Path, how: tuple[str, ...]) -> None:
    (tmp_path / "far.py").write_text(SERVER.format(file=str(tmp_path / "spans")))
    command = [sys.executable, "-m", "tomada", "serve", str(tmp_path / "far.py"), "--tracing", "--json", *how]
    with subprocess.Popen([*command, "--bind", HERE], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        told = next(line for line in map(json.loads, server.stdout) if line["event"] == "listening")
        with connect_blocking(told["addresses"][0]) as client:
            assert client.ask(Think()) == "so be it"
        server.terminate()
        server.communicate(timeout=30)
    (handler,) = map(json.loads, (tmp_path / "spans").read_text().splitlines())
    context = spans.of(SpanKind.CLIENT).get_span_context()
    assert context is not None
    assert handler["name"] == "far/Think"
    assert handler["kind"] == "SpanKind.SERVER"
    assert handler["parent_id"] == f"0x{context.span_id:016x}"
    assert handler["context"]["trace_id"] == f"0x{context.trace_id:032x}"


def test_a_connection_that_comes_while_a_child_rehearses_is_traced(
    run: Run, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        began, goes_on = asyncio.Event(), asyncio.Event()

        async def rehearse() -> None:
            with rehearsal.silence(), untraced():
                began.set()
                await goes_on.wait()

        monkeypatch.setattr(child, "rehearse", rehearse)
        plan = Plan(
            addresses=(Address("unix"),),
            limits=tomada.Limits(),
            deadlines=tomada.Deadlines(),
            options=Options(),
            children=tomada.Children(),
        )
        seed = Seed(rehearsal.app, plan, -1, bounds_of(plan.children))
        server, own = pair()
        client, accepted = socket.socketpair()
        with server, own, client:
            served = child.Child(seed, Channel(own, decode_to_child), bytearray(2))
            living = asyncio.create_task(served.run())
            await began.wait()
            client.send(rehearsal.words())
            with accepted:
                Channel(server, decode_from_child).send(Serve(0), [accepted.fileno()])
            await turns_until(lambda: served._serving is not None)
            for _ in range(20):  # in which it could be served
                await asyncio.sleep(0)
            goes_on.set()
            assert await living == 0
        assert spans.names() == ["rehearsal/_Rehearsed"]

    run(main())


def test_what_is_enabled_while_a_child_rehearses_stays_so(spans: Spans) -> None:
    before = Tracer.active
    with untraced():
        assert Tracer.active is None
        tracing.enable(spans.provider)
        enabled = Tracer.active
    assert Tracer.active is enabled is not before


def test_spans_that_cannot_be_sent_in_time_are_told(spans: Spans, caplog: pytest.LogCaptureFixture) -> None:
    never, sent = threading.Event(), threading.Event()
    assert Tracer.active is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans.provider, "force_flush", sent.set)
        Tracer.active.flush(60)
        assert sent.is_set()
        assert caplog.messages == []
        patch.setattr(spans.provider, "force_flush", never.wait)
        Tracer.active.flush(0.01)
        never.set()
    assert "before its last spans were sent" in caplog.text


def test_spans_that_go_nowhere_are_told(tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text("import tomada\napp = tomada.App('bare')\n")
    command = [sys.executable, "-m", "tomada", "serve", str(tmp_path / "bare.py"), "--tracing", "--json"]
    with subprocess.Popen(
        [*command, "--bind", HERE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        server.stdout.readline()
        server.terminate()
        _, errors = server.communicate(timeout=30)
    assert "the spans go nowhere" in errors


def test_without_the_package_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['opentelemetry'] = None; import tomada.tracing"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'tomada[tracing]'" in done.stderr


def test_plain_functions_of_a_server_see_their_span(run: Run, spans: Spans) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server, tomada.connect(server.addresses[0]) as client:
            stage.open("a")
            assert await client.ask(Sit("a")) == "a none"
        assert is_child(spans.of(SpanKind.SERVER, "house/Sit"), spans.of(SpanKind.CLIENT, "Sit"))

    run(main())
