"""A link whose session is stored: what is stored is never ahead of what has been handled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import tomada
from tomada.protocol.durability import _head
from tomada.sessions import Change
from tomada.sessions.memory import MemoryStore


class Count(tomada.Message):
    number: int


class Large(tomada.Message):
    data: bytes


class Watched(MemoryStore):
    """Keeps all heads that were committed."""

    is_durable = True

    def __init__(self) -> None:
        super().__init__(tomada.Sessions())
        self.heads: list[bytes] = []

    async def commit(self, changes: Sequence[Change]) -> None:
        self.heads += [change.head for change in changes if change.head is not None]
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
