"""What type checkers understand of a program that uses tomada; `test_typing.py` runs mypy on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import assert_type

import tomada
from tomada import sync


class Receipt(tomada.Message):
    number: int
    balance: int = 0


class Transfer(tomada.Request[Receipt]):
    source: str
    target: str
    cents: int


class Count(tomada.Request[int]):
    pass


class Find(tomada.Request[list[Receipt] | None]):
    number: int


class Stop(tomada.Request[None]):
    pass


class Watch(tomada.StreamRequest[Receipt]):
    account: str


class Store(tomada.UploadRequest[bytes, Receipt]):
    name: str


class Talk(tomada.DuplexRequest[str, int | None]):
    pass


class Note(tomada.Message):
    text: str
    stars: int = 0


class Insufficient(tomada.RemoteError):
    balance: int
    note: str = ""


class Closed(tomada.RemoteError):
    pass


class Ledger:
    balance = 2


app = tomada.App("bank")


@app.on_start
async def ledger() -> Ledger:
    return Ledger()


@app.on
async def transfer(request: Transfer, peer: tomada.Connection, ledger: Ledger) -> Receipt:
    if request.cents > 5:
        raise Insufficient(balance=5)
    await peer.send(Note(request.source, stars=2))
    return Receipt(1, balance=ledger.balance)


@app.on
def note(message: Note) -> None:
    assert_type(message.text, str)


@app.on
async def watch(request: Watch, ledger: Ledger) -> AsyncIterator[Receipt]:
    assert_type(request.account, str)
    yield Receipt(1, balance=ledger.balance)


@app.on
async def store(_: Store, parts: AsyncIterator[bytes]) -> Receipt:
    return Receipt(sum([len(part) async for part in parts]))


@app.on
async def talk(_: Talk, parts: AsyncIterator[str]) -> AsyncIterator[int | None]:
    async for text in parts:
        yield len(text) or None


async def lines() -> AsyncIterator[str]:
    yield "tea"


async def use_streams(caller: tomada.Connection) -> None:
    assert_type(Store("x").name, str)
    assert_type(await caller.ask(Count()), int)
    assert_type(await caller.ask(Store("x"), upload=[b"a", b"b"]), Receipt)
    async for receipt in caller.stream(Watch("ana")):
        assert_type(receipt, Receipt)
    async for number in caller.stream(Talk(), upload=lines()):
        assert_type(number, int | None)
    async with caller.stream(Watch("ana"), urgent=True, key="mine") as receipts:
        assert_type(receipts, tomada.ItemStream[Receipt])
        assert_type(await anext(receipts), Receipt)


async def use(address: str) -> None:
    async with tomada.serve(app, "tcp://127.0.0.1:0") as server:
        assert_type(server, tomada.Server)
        assert_type(server.addresses, tuple[tomada.Address, ...])
    async with tomada.connect(address, limits=tomada.Limits(requests=5)) as bank:
        assert_type(bank, tomada.Connection)
        assert_type(await bank.ask(Transfer("ana", "rui", 500)), Receipt)
        assert_type(await bank.ask(Count(), timeout=1.5), int)
        assert_type(await bank.ask(Find(number=3)), list[Receipt] | None)
        await bank.ask(Stop())
        await bank.send(Note("rent"))
        assert_type(await bank.receive(), tomada.Message)
        async for message in bank:
            assert_type(message, tomada.Message)
        assert_type(await bank.ping(), float)
    assert_type(await transfer(Transfer("ana", "rui", cents=5), bank, Ledger()), Receipt)


def use_without_a_loop(address: str) -> None:
    with sync.connect(address) as bank:
        assert_type(bank, sync.Connection)
        assert_type(bank.ask(Transfer("ana", "rui", 500)), Receipt)
        assert_type(bank.ask(Find(3)), list[Receipt] | None)
        bank.send(Note("rent"))
        for message in bank:
            assert_type(message, tomada.Message)


def errors() -> None:
    assert_type(Insufficient(5).balance, int)
    assert_type(Insufficient(5, note="x").name, str)
    assert_type(Closed().message, str)
    assert_type(tomada.RemoteError("Boom", "text").message, str)
