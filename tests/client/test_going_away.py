"""Servers that take a connection and drop it without a word, as one does that is being stopped."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import tomada
import tomada.sync


class Add(tomada.Request[int]):
    number: int


app = tomada.App()


@app.on
async def add(request: Add) -> int:
    return request.number + 1


@contextmanager
def dropping(times: int, *, then: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """Accept as many connections, drop each when it has said its hello, and go on to what comes next."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"

    def drop() -> None:
        with listener:
            for _ in range(times):
                with listener.accept()[0] as accepted:
                    accepted.recv(65_536)
        then(address)

    thread = threading.Thread(target=drop)
    thread.start()
    try:
        yield address
    finally:
        thread.join(30)


def ask(address: str, wait: float) -> int:
    with tomada.sync.connect(address, wait=wait) as connection:
        return connection.ask(Add(1), timeout=30)


def ask_on_a_loop(address: str, wait: float) -> int:
    async def main() -> int:
        async with tomada.connect(address, wait=wait) as connection:
            return await connection.ask(Add(1), timeout=30)

    return asyncio.run(main())


FACES = pytest.mark.parametrize("face", [ask, ask_on_a_loop])


@FACES
def test_it_is_told_apart_from_a_stranger(face: Callable[[str, float], int]) -> None:
    with (
        dropping(1) as address,
        pytest.raises(tomada.ConnectFailed, match=rf"{address} was reached, but did not complete the handshake: "),
    ):
        face(address, 0)


@FACES
def test_who_waits_tries_again_until_the_next_server_is_up(face: Callable[[str, float], int]) -> None:
    answered = threading.Event()

    def serve(address: str) -> None:
        async def main() -> None:
            async with tomada.serve(app, address):
                await asyncio.to_thread(answered.wait, 30)

        asyncio.run(main())

    with dropping(2, then=serve) as address:
        try:
            assert face(address, 30) == 2
        finally:
            answered.set()


class Never(tomada.Request[int]):
    pass


@pytest.mark.parametrize("blocking", [False, True], ids=["asyncio", "blocking"])
def test_what_a_server_that_ended_in_order_did_not_answer_is_not_waited_for_as_long_as_a_session(
    *, blocking: bool
) -> None:
    stubborn = tomada.App()

    @stubborn.on
    async def never(_: Never) -> int:
        await asyncio.sleep(1_000)
        return 0

    short = tomada.Deadlines(drain=0.3)

    def ask_it(address: str) -> None:
        with tomada.sync.connect(address, deadlines=short) as connection:
            connection.ask(Never())

    async def main() -> None:
        server = await tomada.serve(stubborn, "tcp://127.0.0.1:0", deadlines=short)
        address = str(server.addresses[0])
        client = None if blocking else await tomada.connect(address, deadlines=short)
        asked = asyncio.create_task(asyncio.to_thread(ask_it, address) if client is None else client.ask(Never()))  # type: ignore[arg-type] # either is a coroutine
        while not any(one.statistics().handlers for one in server.connections):  # noqa: ASYNC110 - for as long as it takes
            await asyncio.sleep(0.01)
        await server.close()
        with pytest.raises(tomada.OutcomeUnknown, match=r"the server stops|could not be made again within 0\.3 s"):
            await asyncio.wait_for(asked, 30)
        if client is not None:
            assert len(client.undelivered()) == 1

    asyncio.run(main())
