from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import tomada
import tomada.sync
from tests.integration.conftest import Run
from tests.streams.pairs import HERE, paired, until
from tomada import ConnectionLost, Limits, ListenFailed, Stream, StreamEnded, StreamListener, TimedOut


@pytest.fixture(params=["tcp", "unix", "memory"])
def address(request: pytest.FixtureRequest, folder: Path) -> str:
    return {"tcp": HERE, "unix": f"unix://{folder}/app.sock", "memory": "memory://here"}[request.param]


def test_streams_are_accepted_one_after_the_other(run: Run, address: str) -> None:
    async def main() -> None:
        async with tomada.listen_stream(address) as listener:
            assert listener.addresses == (listener.address,)
            assert listener.address.port != 0
            assert repr(listener) == f"<StreamListener at {listener.address}: open>"
            for word in (b"one", b"two"):
                async with tomada.connect_stream(listener.address) as near, await listener.accept() as far:
                    await far.send(word)
                    assert await near.receive() == word
                    near.abort()

    run(main())


def test_what_came_before_it_was_accepted_is_there(run: Run, address: str) -> None:
    async def main() -> None:
        async with tomada.listen_stream(address) as listener, tomada.connect_stream(listener.address) as near:
            await near.send(b"early")
            await near.shutdown()
            async with await listener.accept() as far:
                assert await far.receive_exactly(5) == b"early"
                assert await far.receive() == b""

    run(main())


def test_a_call_that_is_late_or_cancelled_takes_none(run: Run, address: str) -> None:
    async def main() -> None:
        async with tomada.listen_stream(address) as listener:
            with pytest.raises(TimedOut, match=r"nobody connected to .* within 0.01 s"):
                await listener.accept(timeout=0.01)
            waiting = asyncio.create_task(listener.accept())
            await asyncio.sleep(0)
            waiting.cancel()
            async with tomada.connect_stream(listener.address) as near, await listener.accept(timeout=5) as far:
                assert far.is_open
                near.abort()

    run(main())


def test_several_tasks_may_accept(run: Run, address: str) -> None:
    async def main() -> None:
        async with tomada.listen_stream(address) as listener:
            tasks = [asyncio.create_task(listener.accept()) for _ in range(3)]
            ends = [await tomada.connect_stream(listener.address) for _ in range(3)]
            streams = await asyncio.gather(*tasks)
            assert len({id(stream.flow) for stream in streams}) == 3
            for stream in (*ends, *streams):
                stream.abort()
                await stream.close()

    run(main())


def test_it_can_be_iterated_over_until_it_is_closed(run: Run, address: str) -> None:
    async def main() -> None:
        async with tomada.listen_stream(address) as listener:
            served = 0

            async def serve() -> None:
                nonlocal served
                async for stream in listener:
                    served += 1
                    await stream.close()

            serving = asyncio.create_task(serve())
            for _ in range(2):
                async with tomada.connect_stream(listener.address) as stream:
                    assert await stream.receive() == b""
            await listener.close()
            await listener.close()
            await serving
            assert served == 2
            assert [stream async for stream in listener] == []
            with pytest.raises(ListenFailed, match="the listener was closed at this end"):
                await listener.accept()
            assert repr(listener).endswith("closed>")

    run(main())


async def opened(listener: StreamListener, count: int) -> list[Stream]:
    return [await tomada.connect_stream(listener.address) for _ in range(count)]


def test_what_is_accepted_goes_on_when_it_closes_and_what_waits_is_cut(run: Run, address: str) -> None:
    async def main() -> None:
        listener = await tomada.listen_stream(address)
        near, left = await opened(listener, 2)
        far = await listener.accept()
        await until(lambda: listener._waiting)
        await listener.close()
        await far.send(b"still here")
        assert await near.receive() == b"still here"
        with pytest.raises((ConnectionLost, StreamEnded)):  # a Unix socket knows no reset
            await left.receive_exactly(1)
        for stream in (near, far, left):
            stream.abort()
            await stream.close()

    run(main())


def test_streams_that_nobody_accepts_are_bounded(run: Run) -> None:
    async def main() -> None:
        async with tomada.listen_stream(HERE, waiting=2, limits=Limits(receive_bytes=1_024)) as listener:
            gone, first, second = await opened(listener, 3)
            with pytest.raises(ConnectionLost):
                await second.receive_exactly(1)
            gone.abort()
            await until(lambda: listener._waiting[0].lost)
            (third,) = await opened(listener, 1)
            for stream, word in ((first, b"first"), (third, b"third")):
                await stream.send(word)
                async with await listener.accept(timeout=5) as far:
                    assert await far.receive() == word
                    stream.abort()

    run(main())


def test_an_address_that_cannot_be_listened_on(run: Run) -> None:
    async def main() -> None:
        async with tomada.listen_stream(HERE) as listener:
            with pytest.raises(tomada.AddressInUse):
                await tomada.listen_stream(listener.address)
        with pytest.raises(tomada.AddressError):
            tomada.listen_stream("here")

    run(main())


def test_each_end_knows_its_own_address(run: Run, address: str) -> None:
    async def main() -> None:
        async with paired(address) as (near, far):
            assert far.address == near.peer
            if address == HERE:
                assert near.address == far.peer
            else:
                assert near.address == near.peer

    run(main())


def test_a_handler_whose_file_shrinks_does_not_end_in_order(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "film"
    file.touch()

    async def main() -> None:
        app = tomada.App()

        @app.stream(HERE)
        async def show(stream: Stream) -> None:
            await stream.send_file(file)

        async with tomada.serve(app, limits=Limits(buffer_bytes=1_024)) as server:
            with file.open("r+b") as opened:
                opened.truncate(50_000_000)
                async with tomada.connect_stream(server.addresses[0]) as stream:
                    await stream.receive_exactly(100_000)
                    opened.truncate(1_000)
                    with pytest.raises(ConnectionLost):
                        await stream.receive_exactly(10_000_000)

    run(main())
