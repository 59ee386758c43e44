"""Streams of items on the blocking face."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

import tomada
import tomada.sync
from tests.client.conftest import LONGEST, Home, answering, tidy, together
from tests.client.test_blocking_sessions import Shaky, wait_until
from tests.integration.house import Echo, Stage
from tests.integration.house import house as bare_house
from tomada.errors import OutcomeUnknown


class Count(tomada.StreamRequest[int]):
    """The numbers below `to`, or without an end."""

    to: int


class Chunks(tomada.StreamRequest[bytes]):
    count: int
    size: int


class Sour(tomada.StreamRequest[int]):
    """One item, then an error."""


class Sum(tomada.UploadRequest[int, int]):
    most: int = 1_000_000


class Weigh(tomada.UploadRequest[bytes, int]):
    """How many bytes there were."""


class Double(tomada.DuplexRequest[int, int]):
    """Each part twice."""


def house(stage: Stage) -> tomada.App:  # noqa: C901 - one handler after the other
    app = bare_house(stage)

    @app.on
    async def count(request: Count) -> AsyncIterator[int]:
        stage.mark("counts")
        try:
            number = 0
            while number != request.to:
                yield number
                number += 1
        finally:
            stage.mark("counted")

    @app.on
    async def chunks(request: Chunks) -> AsyncIterator[bytes]:
        for number in range(request.count):
            stage.now = number
            yield bytes([number % 256]) * request.size

    @app.on
    async def sour(_: Sour) -> AsyncIterator[int]:
        yield 1
        raise ValueError("it was sour")

    @app.on
    async def sum_up(request: Sum, parts: AsyncIterator[int]) -> int:
        total = 0
        try:
            async for part in parts:
                total += part
                if total > request.most:
                    return total
        except (asyncio.CancelledError, tomada.ConnectionLost):
            stage.mark("cancelled sum")
            raise
        return total

    @app.on
    async def weigh(_: Weigh, parts: AsyncIterator[bytes]) -> int:
        return sum([len(part) async for part in parts])

    @app.on
    async def double(_: Double, parts: AsyncIterator[int]) -> AsyncIterator[int]:
        async for part in parts:
            yield part * 2

    return app


@pytest.fixture
def home() -> Iterator[Home]:
    with tidy(), Home(app=house) as home:
        yield home


def test_items_come_in_order_to_their_end(home: Home) -> None:
    with tomada.sync.connect(home.address) as client:
        assert list(client.stream(Count(1_000))) == list(range(1_000))
        assert list(client.stream(Count(0))) == []
        assert list(client.stream(Count(3), urgent=True)) == [0, 1, 2]
        with client.stream(Count(2)) as items:
            assert [*items] == [0, 1]
            with pytest.raises(StopIteration):
                next(items)
        assert client.ask(Echo(b"on")) == b"on"
        assert client.statistics().streams == 0


def test_leaving_the_loop_cancels_the_generator(home: Home) -> None:
    with tomada.sync.connect(home.address) as client:
        for item in client.stream(Count(-1)):
            if item == 10:
                break
        gc.collect()
        home.until("counted")
        with client.stream(Count(-1)) as items:
            home.do(home.stage.until_true(lambda: home.stage.count("counts") == 2))
            assert next(items) == 0
        home.do(home.stage.until_true(lambda: home.stage.count("counted") == 2))
        assert list(items) == []
        never = client.stream(Count(-1))
        never.close()
        assert list(never) == []
        wait_until(lambda: client.statistics().own_requests == 0)
        assert home.stage.count("counts") == 2


def test_a_slow_loop_makes_the_handler_slow(home: Home) -> None:
    with tomada.sync.connect(home.address, limits=tomada.Limits(stream_bytes=8_192)) as client:
        items = client.stream(Chunks(1_000, 1_000))
        assert next(items) == b"\0" * 1_000
        assert client.ask(Echo(b"meanwhile")) == b"meanwhile"
        wait_until(lambda: client.statistics().stream_bytes > 6_000)
        assert client.statistics().stream_bytes <= 8_192 + 1_016
        assert home.call(lambda: home.stage.now) < 20
        assert sum(map(len, items)) == 999_000


def test_errors_come_behind_the_items(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    with tomada.sync.connect(home.address) as client:
        items = client.stream(Sour())
        assert next(items) == 1
        with pytest.raises(tomada.RemoteError, match="it was sour"):
            next(items)
        assert list(items) == []
        with pytest.raises(TypeError, match="is no tomada"):
            client.stream(Sum())  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="stream"):
            client.ask(Sour())  # type: ignore[call-overload]
    assert "it was sour" in caplog.text


def test_many_streams_and_calls_share_a_connection(home: Home) -> None:
    with tomada.sync.connect(home.address) as client:

        def stream() -> bool:
            return list(client.stream(Count(2_000))) == list(range(2_000))

        def heavy() -> bool:
            return sum(map(len, client.stream(Chunks(100, 50_000)))) == 5_000_000

        def ask() -> bool:
            return all(client.ask(Echo(b"x")) == b"x" for _ in range(100))

        def upload() -> bool:
            return client.ask(Weigh(), upload=[b"x" * 10_000] * 200) == 2_000_000

        assert together(stream, stream, heavy, heavy, ask, ask, upload, upload) == [True] * 8


def test_uploads(home: Home) -> None:
    with tomada.sync.connect(home.address) as client:
        assert client.ask(Sum(), upload=range(1_000)) == 499_500
        assert client.ask(Sum(), upload=[], timeout=LONGEST, urgent=True) == 0
        assert client.ask(Weigh(), upload=(bytes(60_000) for _ in range(100))) == 6_000_000
        with pytest.raises(tomada.InvalidMessage, match="a part does not fit"):
            client.ask(Sum(), upload=["text"])  # type: ignore[misc]
        with pytest.raises(TypeError, match="is no tomada"):
            client.ask(Echo(b""), upload=[1])  # type: ignore[call-overload]
        assert client.ask(Echo(b"on")) == b"on"


def test_an_upload_that_is_answered_early_goes_no_further_and_one_that_raises_is_given_up(home: Home) -> None:
    asked, closed = [], []

    def endless() -> Iterator[int]:
        try:
            while True:
                asked.append(1)
                yield 1
        finally:
            closed.append(True)

    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("it cannot go on")

    with tomada.sync.connect(home.address) as client:
        assert client.ask(Sum(100), upload=endless()) == 101
        assert closed == [True]
        with pytest.raises(KeyError):
            client.ask(Sum(), upload=broken())
        home.until("cancelled sum")
        with pytest.raises(tomada.TimedOut):
            client.ask(Sum(10**9), upload=endless(), timeout=0.2)
        assert closed == [True] * 2
        assert client.ask(Echo(b"on")) == b"on"


def test_both_at_once(home: Home) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("it cannot go on")

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    closed = threading.Event()
    with tomada.sync.connect(home.address) as client:
        assert list(client.stream(Double(), upload=range(5_000))) == list(range(0, 10_000, 2))
        items = client.stream(Double(), upload=broken())
        with pytest.raises(KeyError):
            list(items)
        with client.stream(Double(), upload=endless()) as both:
            assert [next(both) for _ in range(1_000)] == [2] * 1_000
        assert closed.wait(LONGEST)
        assert client.ask(Echo(b"on")) == b"on"


def test_streams_go_on_over_another_connection() -> None:
    with tidy(), Shaky(app=house) as shaky, tomada.sync.connect(shaky.address) as client:
        done = threading.Event()

        def numbers() -> bool:
            return list(client.stream(Count(60_000))) == list(range(60_000))

        def upload() -> bool:
            return client.ask(Sum(10**12), upload=range(20_000)) == sum(range(20_000))

        def both() -> bool:
            return list(client.stream(Double(), upload=range(20_000))) == list(range(0, 40_000, 2))

        def cut() -> None:
            # So often at the most: on a slow machine a connection must last for longer, to get anywhere.
            for number in range(30):
                if done.wait(0.05 + number / 100):
                    return
                shaky.cut()

        def work() -> bool:
            try:
                assert together(numbers, upload, both) == [True] * 3
            finally:
                done.set()
            return True

        assert together(work, cut) == [True, None]
        assert client.statistics().resumed > 0


def test_a_stream_whose_session_ends_says_so() -> None:
    with tidy(), Shaky(keep=0.2, app=house) as shaky:
        client = tomada.sync.connect(shaky.address, app=answering())
        items = client.stream(Count(-1))
        assert next(items) == 0
        shaky.do(shaky.proxy.refuse())
        shaky.cut()
        with pytest.raises(OutcomeUnknown):
            list(items)
        client.close()
