"""What a blocking stream says to those who use it where it cannot work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

import tomada
from tests.integration.conftest import Run
from tests.streams.pairs import echoing
from tomada import ConnectionLost, StreamBusy, sync

Uses = list[Callable[[], object]]


def uses_of(stream: sync.Stream) -> Uses:
    return [stream.receive, lambda: stream.send(b"x"), lambda: next(stream.lines()), stream.frames().receive]


def with_a_stream(run: Run, use: Callable[[tomada.Address], None]) -> None:
    """In a thread of its own, beside a server."""

    async def main() -> None:
        async with echoing() as address:
            await asyncio.to_thread(use, address)

    run(main())


def test_in_a_running_loop(run: Run) -> None:
    def use(address: tomada.Address) -> None:
        stream = sync.connect_stream(address)

        async def misuse() -> None:
            uses = uses_of(stream)
            uses.append(lambda: sync.connect_stream(address))
            for call in uses:
                with pytest.raises(RuntimeError, match=r"use tomada\.connect_stream"):
                    call()

        asyncio.run(misuse())
        stream.close()

    with_a_stream(run, use)


def test_after_its_end(run: Run) -> None:
    def use(address: tomada.Address) -> None:
        stream = sync.connect_stream(address)
        stream.close()
        for call in uses_of(stream):
            with pytest.raises(ConnectionLost, match="closed at this end"):
                call()
        stream.abort()
        stream.close()

    with_a_stream(run, use)


def test_from_two_threads(run: Run) -> None:
    def use(address: tomada.Address) -> None:
        stream = sync.connect_stream(address)
        got: list[bytes] = []
        other = threading.Thread(target=lambda: got.append(stream.receive()))
        stream.send(b"here")
        stream._inner.flow.deafen()  # so that the other thread waits for as long as the test needs
        stream._inner.flow.is_ended = False
        other.start()

        def use_it_too() -> None:
            while True:
                stream.receive_exactly(0)

        with pytest.raises(StreamBusy, match="another thread uses this stream"):
            use_it_too()
        loop = stream._inner.flow.loop
        loop.call_soon_threadsafe(stream._inner.flow.deafen)
        other.join()
        assert got == [b""]
        stream.close()

    with_a_stream(run, use)
