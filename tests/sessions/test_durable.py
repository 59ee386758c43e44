"""A link whose session is stored: what is stored is never ahead of what has been handled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

import tomada
from tomada.protocol.durability import _head
from tomada.protocol.frames import ERROR, HEADER, NORMAL, REPLY, URGENT
from tomada.protocol.lanes import split_frames
from tomada.sessions import Change
from tomada.sessions.memory import MemoryStore


class Count(tomada.Message):
    number: int


class Large(tomada.Message):
    data: bytes


class Fetch(tomada.Request[bytes]):
    waits: bool
    size: int


class Watched(MemoryStore):
    """Keeps all heads that were committed, each with the requests that had been answered in what was."""

    is_durable = True

    def __init__(self) -> None:
        super().__init__(tomada.Sessions())
        self.heads: list[bytes] = []
        self.answered: list[set[int]] = []

    async def commit(self, changes: Sequence[Change]) -> None:
        self.heads += [change.head for change in changes if change.head is not None]
        for change in changes:
            answered = set(self.answered[-1]) if self.answered else set()
            for chunk in [chunk for chunk in change.added if chunk.lane in (URGENT, NORMAL)]:
                for _, frame in split_frames(chunk.data):
                    _, kind, _, _, id_, _ = HEADER.unpack_from(frame)
                    answered |= {id_} if kind in (REPLY, ERROR) else set()
            self.answered += [answered] * (change.head is not None)
        await super().commit(changes)


def test_messages_that_wait_in_the_middle_of_a_read_are_not_stored_as_handled() -> None:
    """The first handler sends so much that it is written at once, while the rest of what was read waits behind it."""

    async def main() -> None:
        app = tomada.App()
        begun, gate = asyncio.Event(), asyncio.Event()

        @app.on
        async def count(message: Count, connection: tomada.Connection) -> None:
            if message.number == 1:
                for _ in range(3):
                    await connection.send(Large(bytes(2_000)))
            else:
                begun.set()
                await gate.wait()

        store = Watched()
        async with tomada.serve(app, "tcp://127.0.0.1:0", store=store) as server:
            client = await tomada.connect(server.addresses[0])
            for number in (1, 2, 3):
                client.send_nowait(Count(number))
            await begun.wait()
            for _ in range(3):
                await client.receive(timeout=5)
            heads = [_head(head).normal_in for head in store.heads]
            assert [head for head in heads if head.up_to >= 3] != []
            assert [head for head in heads if head.up_to >= 2 and 2 not in head.missing] == []
            gate.set()
            await client.close()

    asyncio.run(main())


@pytest.mark.parametrize("sizes", [(3_000, 1), (1, 3_000)])
def test_what_is_stored_with_its_answer_is_stored_as_handled(sizes: tuple[int, int]) -> None:
    """One handler waits; the other has to wait for it, and answers at once. A long answer is written at once."""

    async def main() -> None:
        app = tomada.App()
        gate = asyncio.Event()

        @app.on
        async def fetch(request: Fetch) -> bytes:
            if request.waits:
                await gate.wait()
            return bytes(request.size)

        store = Watched()
        limits = tomada.Limits(handlers=1)
        async with (
            tomada.serve(app, "tcp://127.0.0.1:0", store=store, limits=limits) as server,
            tomada.connect(server.addresses[0]) as client,
        ):
            asked = [asyncio.create_task(client.ask(Fetch(*each))) for each in zip((True, False), sizes, strict=True)]
            while not any(one.statistics().peer_requests == 2 for one in server.connections):  # noqa: ASYNC110 - soon
                await asyncio.sleep(0.01)
            gate.set()
            assert [len(answer) for answer in await asyncio.gather(*asked)] == list(sizes)
            known = list(zip(store.heads, store.answered, strict=True))
            assert {1, 3} in store.answered
            for head, answered in known:
                missing = _head(head).normal_in.missing
                assert {id_ for id_ in answered if (id_ + 1) // 2 in missing} == set()

    asyncio.run(main())


def test_a_thread_that_is_given_up_is_stored_as_handled_with_its_answer() -> None:
    async def main() -> None:
        app = tomada.App()
        gate = threading.Event()

        @app.on
        def fetch(request: Fetch) -> bytes:
            gate.wait(10)
            return bytes(request.size)

        store = Watched()
        async with (
            tomada.serve(app, "tcp://127.0.0.1:0", store=store) as server,
            tomada.connect(server.addresses[0]) as client,
        ):
            with pytest.raises((tomada.TimedOut, tomada.RemoteError)):
                await client.ask(Fetch(waits=True, size=1), timeout=0.2)
            while 1 not in store.answered[-1]:  # noqa: ASYNC110 - a commit or two
                await asyncio.sleep(0.01)
            heads = [_head(head).normal_in for head in store.heads]
            assert not any(1 in head.missing for head, ids in zip(heads, store.answered, strict=True) if 1 in ids)
            gate.set()

    asyncio.run(main())
