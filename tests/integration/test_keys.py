"""`request.key`: by which a handler recognises a request, however often it comes."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

import tomada
from tests.integration.conftest import Run
from tomada.testing import FaultProxy

HERE = "tcp://127.0.0.1:0"
MADE = re.compile(r"[0-9a-f]{32}\.[0-9]+")


class Which(tomada.Request[str]):
    """Answered with its key."""


class Threaded(tomada.Request[str]):
    """The same, in a thread."""


class Frozen(tomada.Request[str], frozen=True):  # type: ignore[misc] # msgspec allows it
    """The same, of a class whose fields cannot be assigned."""

    number: int = 0


class Fetch(tomada.Request[list[str]]):
    """Has a field of that name: both are told."""

    key: str


class Late(tomada.Request[str]):
    """Answered when the test lets it."""


class Back(tomada.Request[list[str]]):
    """Asks its caller, and tells both keys."""


class House:
    """An application, and the requests that its handlers have kept."""

    def __init__(self) -> None:
        self.app = tomada.App("keys")
        self.kept: list[Any] = []
        self.keys: list[str] = []
        self.go = asyncio.Event()
        self.threads: set[int] = set()
        for handler in (self.which, self.threaded, self.frozen, self.fetch, self.late, self.back):
            self.app.on(handler)

    async def which(self, request: Which) -> str:
        self.kept.append(request)
        return str(request.key)

    def threaded(self, request: Threaded) -> str:
        self.threads.add(threading.get_ident())
        return str(request.key)

    async def frozen(self, request: Frozen) -> str:
        return str(request.key)

    async def fetch(self, request: Fetch) -> list[str]:
        return [request.key, tomada.key_of(request)]

    async def late(self, request: Late) -> str:
        self.keys.append(request.key)
        await self.go.wait()
        return str(request.key)

    async def back(self, request: Back, peer: tomada.Connection) -> list[str]:
        return [request.key, await peer.ask(Which())]


async def served(use: Callable[[House, tomada.Connection], Awaitable[None]], **options: Any) -> None:
    house, caller = House(), House()
    async with (
        tomada.serve(house.app, HERE) as server,
        tomada.connect(server.addresses[0], app=caller.app, **options) as client,
    ):
        await use(house, client)


def test_each_request_has_a_key_of_its_own(run: Run) -> None:
    async def use(house: House, client: tomada.Connection) -> None:
        keys = [await client.ask(Which()) for _ in range(3)]
        keys += await asyncio.gather(*[client.ask(Threaded()) for _ in range(3)])
        keys.append(await client.ask(Frozen()))
        keys.append(await client.ask(Which(), urgent=True))
        assert len(set(keys)) == 8
        assert all(MADE.fullmatch(key) for key in keys[:-1])
        assert re.fullmatch(r"[0-9a-f]{32}\.u[0-9]+", keys[-1])
        assert len({key.partition(".")[0] for key in keys}) == 1, "all begin with the session"
        assert threading.get_ident() not in house.threads

    run(served(use))


def test_the_callers_own_key_is_what_the_handler_reads(run: Run) -> None:
    async def use(_: House, client: tomada.Connection) -> None:
        requests: tuple[tomada.Request[str], ...] = (Which(), Threaded(), Frozen())
        for request in requests:
            assert await client.ask(request, key="rent-may") == "rent-may"
            assert request.key == "rent-may"
            assert await client.ask(request, key="ü" * 200, timeout=5, urgent=True) == "ü" * 200

    run(served(use))


def test_a_field_of_that_name_is_the_field(run: Run) -> None:
    async def use(_: House, client: tomada.Connection) -> None:
        field, key = await client.ask(Fetch("shoe"))
        assert field == "shoe"
        assert MADE.fullmatch(key)
        asked = Fetch("shoe")
        assert await client.ask(asked, key="mine") == ["shoe", "mine"]
        assert (asked.key, tomada.key_of(asked)) == ("shoe", "mine")

    run(served(use))


def test_a_request_that_nobody_gave_a_key_has_none(run: Run) -> None:
    async def use(_: House, client: tomada.Connection) -> None:
        request = Which()
        await client.ask(request)
        with pytest.raises(AttributeError, match="this Which has no key: only a handler's request has one"):
            _ = request.key

    run(served(use))


@pytest.mark.parametrize("key", ["", "x" * 201, "\ud800", 5])
def test_a_wrong_key_is_refused_before_anything_is_sent(run: Run, key: Any) -> None:
    async def use(house: House, client: tomada.Connection) -> None:
        with pytest.raises(tomada.InvalidMessage, match="it must be a text of 1 to 200 characters"):
            await client.ask(Which(), key=key)
        assert not house.kept
        assert await client.ask(Which())

    run(served(use))


def test_without_a_session_each_request_has_a_key_all_the_same(run: Run) -> None:
    async def use(_: House, client: tomada.Connection) -> None:
        keys = [await client.ask(Which()), await client.ask(Threaded())]
        assert await client.ask(Which(), key="mine") == "mine"
        async with tomada.connect(client.peer, sessions=False) as other:
            keys += [await other.ask(Which()), await other.ask(Threaded())]
        assert len(set(keys)) == 4
        assert all(MADE.fullmatch(key) for key in keys)

    run(served(use, sessions=False))


def test_in_datagrams_too(run: Run) -> None:
    async def main() -> None:
        house = House()
        async with (
            tomada.serve(house.app, "udp://127.0.0.1:0") as server,
            tomada.connect_datagram(server.addresses[0]) as client,
        ):
            keys = [await client.ask(Which(), timeout=5), await client.ask(Threaded(), timeout=5)]
        assert len(set(keys)) == 2
        assert all(re.fullmatch(r"[0-9a-f]{16}\.[0-9]+", key) for key in keys)

    run(main())


def test_both_ends_may_ask(run: Run) -> None:
    async def use(_: House, client: tomada.Connection) -> None:
        there, here = await client.ask(Back())
        assert MADE.fullmatch(there)
        session, _dot, number = here.partition(".")
        assert session == there.partition(".")[0]
        assert number == "s1", "the same number as the other way, another key"

    run(served(use))


def test_a_handler_may_keep_the_request_beyond_the_connection(run: Run) -> None:
    async def main() -> None:
        house = House()
        async with tomada.serve(house.app, HERE) as server, tomada.connect(server.addresses[0]) as client:
            first, second = await client.ask(Which()), await client.ask(Which())
        assert [request.key for request in house.kept] == [first, second]

    run(main())


def test_a_key_is_stable_over_a_resume_and_that_of_the_undelivered(run: Run) -> None:
    async def main() -> None:
        house = House()
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(tomada.serve(house.app, HERE))
            proxy = await stack.enter_async_context(FaultProxy(HERE, to=server.addresses[0]))
            client = await tomada.connect(proxy.address)
            bystander = await stack.enter_async_context(tomada.connect(server.addresses[0]))
            first = await client.ask(Which())
            assert first.endswith(".1")

            proxy.stall("to_server")
            lost = asyncio.create_task(client.ask(Which()))
            await asyncio.sleep(0)
            await proxy.reset()  # it has gone, and nobody has got it: it is sent again
            proxy.go_on("to_server")
            assert await lost == f"{first[:-1]}2"

            waiting = asyncio.create_task(client.ask(Late()))
            while not house.keys:
                await bystander.ping()
            await proxy.reset()  # it was received, and is not handled: it goes on
            house.go.set()
            assert await waiting == house.keys[0] == f"{first[:-1]}3"

            house.go.clear()
            unknown = asyncio.create_task(client.ask(Late()))
            while len(house.keys) < 2:
                await bystander.ping()
            await proxy.refuse()
            client._link.end("the test ends the session")
            with pytest.raises(tomada.OutcomeUnknown):
                await unknown
            assert client.undelivered() == {house.keys[1]: Late()}
            house.go.set()
            assert await bystander.ask(Which())

    run(main())
