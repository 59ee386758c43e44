from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import bank
import pytest
from audit import audit
from bank_books import Books
from bank_draft import Order
from bank_ledger import Ledger
from bank_messages import (
    Account,
    AccountExists,
    Balance,
    BooksUnavailable,
    InsufficientFunds,
    KeyReused,
    NonPositiveAmount,
    OpenAccount,
    Receipt,
    SameAccount,
    Statement,
    Transfer,
    UnknownAccount,
)

import tomada

OPENINGS = [OpenAccount("ana", 1000), OpenAccount("rui", 500)]
RENT = Transfer("ana", "rui", 300)
Request = OpenAccount | Transfer | Balance | Statement


def orders(*requests: Request | tuple[Request, str]) -> list[Order]:
    """Requests as orders; the rent has a key of its own."""
    pairs = [request if isinstance(request, tuple) else (request, "rent" * (request == RENT)) for request in requests]
    return [Order(*pair) for pair in pairs]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bank.db"


@pytest.fixture
def books(path: Path) -> Iterator[Books]:
    with closing(Books(path)) as books:
        books.execute(orders(*OPENINGS))
        yield books


def postings(path: Path) -> list[tuple[int, str, int, int]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT transfer, account, cents, balance FROM postings ORDER BY 1, 3").fetchall()


def with_ledger(path: Path, use: Callable[[Ledger], Awaitable[None]]) -> None:
    async def main() -> None:
        ledger = await Ledger.open(path)
        try:
            await use(ledger)
        finally:
            await ledger.close()

    asyncio.run(main())


def test_a_transfer_is_two_postings_that_sum_to_0(books: Books, path: Path) -> None:
    assert books.execute(orders(RENT)) == [Receipt(3, 700)]
    assert postings(path)[-2:] == [(3, "ana", -300, 700), (3, "rui", 300, 800)]
    assert str(audit(path)) == "1 transfers, 0 lost, 0 duplicated, books balance"


def test_opening_deposits_come_from_equity(books: Books, path: Path) -> None:
    assert books.execute(orders(OpenAccount("eva", 7), Balance("equity"))) == [Account("eva", 7), -1507]
    assert postings(path)[-2:] == [(3, "equity", -7, -1507), (3, "eva", 7, 7)]


def test_a_repeated_transfer_gets_the_same_receipt_and_moves_nothing(books: Books) -> None:
    (receipt,) = books.execute(orders(RENT))
    books.execute(orders((Transfer("rui", "ana", 800), "all of it")))
    assert books.execute(orders(RENT)) == [receipt]
    assert books.execute(orders(Balance("ana"), Balance("rui"))) == [1500, 0]


def test_a_transfer_repeated_in_one_batch_is_executed_once(books: Books) -> None:
    assert books.execute(orders(*[RENT] * 5, Balance("ana"))) == [Receipt(3, 700)] * 5 + [700]


def test_a_repeat_is_answered_after_the_books_were_closed_and_opened(path: Path, books: Books) -> None:
    (receipt,) = books.execute(orders(RENT))
    with closing(Books(path)) as others:
        assert others.execute(orders(RENT, Balance("ana"))) == [receipt, 700]


@pytest.mark.parametrize(
    ("order", "error", "fields"),
    [
        (Transfer("ana", "eva", 1), UnknownAccount, {"account": "eva"}),
        (Transfer("eva", "ana", 1), UnknownAccount, {"account": "eva"}),
        (Transfer("equity", "ana", 1), UnknownAccount, {"account": "equity"}),
        (Transfer("ana", "equity", 1), UnknownAccount, {"account": "equity"}),
        (Transfer("ana", "rui", 1001), InsufficientFunds, {"account": "ana", "balance": 1000}),
        (Transfer("ana", "rui", 0), NonPositiveAmount, {"cents": 0}),
        (Transfer("ana", "rui", -1), NonPositiveAmount, {"cents": -1}),
        (Transfer("ana", "ana", 1), SameAccount, {"account": "ana"}),
        (OpenAccount("ana", 1), AccountExists, {"account": "ana"}),
        (OpenAccount("equity", 1), AccountExists, {"account": "equity"}),
        (OpenAccount("eva", 0), NonPositiveAmount, {"cents": 0}),
        (Balance("eva"), UnknownAccount, {"account": "eva"}),
        (Statement("eva"), UnknownAccount, {"account": "eva"}),
    ],
)
def test_a_refused_order_changes_nothing_and_spoils_nothing(
    books: Books, path: Path, order: OpenAccount | Transfer, error: type[tomada.RemoteError], fields: dict[str, object]
) -> None:
    refusal, receipt = books.execute(orders((order, "k"), RENT))
    assert isinstance(refusal, error)
    assert {name: getattr(refusal, name) for name in fields} == fields
    assert receipt == Receipt(3, 700)
    assert len(postings(path)) == 6


def test_a_key_is_for_one_transfer(books: Books) -> None:
    books.execute(orders(RENT))
    others = [Transfer("ana", "rui", 301), Transfer("rui", "ana", 300)]
    for refusal in books.execute(orders(*[(other, "rent") for other in others])):
        assert isinstance(refusal, KeyReused)
        assert (refusal.key, refusal.number) == ("rent", 3)


def test_the_key_of_a_refused_transfer_is_free(books: Books) -> None:
    dear = Transfer("ana", "rui", 1300), "k"
    outcomes = books.execute(orders(dear, (Transfer("rui", "ana", 300), "gift"), dear))
    assert isinstance(outcomes[0], InsufficientFunds)
    assert outcomes[2] == Receipt(4, 0)


def test_a_statement_tells_the_latest_first(books: Books) -> None:
    books.execute(orders(RENT, (Transfer("rui", "ana", 50), "change")))
    (lines,) = books.execute(orders(Statement("ana", 2)))
    assert isinstance(lines, list)
    assert [(line.number, line.other, line.cents, line.balance) for line in lines] == [
        (4, "rui", 50, 750),
        (3, "rui", -300, 700),
    ]
    assert all(line.at.tzinfo is not None for line in lines)


def test_orders_that_wait_share_a_transaction(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    execute = Books.execute

    def counted(books: Books, orders: list[Order]) -> object:
        sizes.append(len(orders))
        return execute(books, orders)

    monkeypatch.setattr(Books, "execute", counted)

    async def use(ledger: Ledger) -> None:
        await asyncio.gather(*[ledger.execute(order) for order in OPENINGS])
        receipts = await asyncio.gather(*[ledger.execute(RENT, "rent") for _ in range(50)])
        assert receipts == [Receipt(3, 700)] * 50

    with_ledger(path, use)
    assert sizes == [2, 50]


def test_an_order_whose_caller_has_gone_is_not_executed(path: Path) -> None:
    async def use(ledger: Ledger) -> None:
        await asyncio.gather(*[ledger.execute(order) for order in OPENINGS])
        gone = asyncio.create_task(ledger.execute(RENT, "rent"))
        await asyncio.sleep(0)
        gone.cancel()
        assert await ledger.execute(Balance("ana")) == 1000

    with_ledger(path, use)


def test_books_that_cannot_be_written_are_a_typed_error(path: Path) -> None:
    async def use(ledger: Ledger) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute("DROP TABLE postings")
        with pytest.raises(BooksUnavailable, match="postings"):
            await ledger.execute(OPENINGS[0])
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("SELECT count(*) FROM accounts").fetchone() == (1,)

    with_ledger(path, use)


def test_the_bank_serves_tcp_and_unix_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_DATABASE", str(path))

    async def use(server: tomada.Server) -> None:
        async with tomada.connect(server.addresses[0]) as left, tomada.connect(server.addresses[-1]) as right:
            await asyncio.gather(*[left.ask(order) for order in OPENINGS])
            receipts = await asyncio.gather(*[end.ask(RENT, key="rent") for end in (left, right) * 20])
            assert receipts == [Receipt(3, 700)] * 40
            assert await right.ask(Balance("rui")) == 800
            lines = await right.ask(Statement("rui"))
            assert [line.cents for line in lines] == [300, 500]
            with pytest.raises(InsufficientFunds) as refusal:
                await right.ask(Transfer("ana", "rui", 701))
            assert refusal.value.balance == 700
            unkeyed = [await left.ask(RENT) for _ in range(2)]
            assert len({receipt.number for receipt in unkeyed}) == 2, "each has a key of its own"
            with pytest.raises(tomada.InvalidMessage, match="cents"):
                await left.ask(OpenAccount("eva", 10**13))

    async def main(*addresses: str) -> None:
        async with tomada.serve(bank.app, *addresses) as server:
            await use(server)

    # A socket's path has room for about 100 bytes, and pytest's own places are long.
    with tempfile.TemporaryDirectory(prefix="tomada-") as name:
        local = [f"unix://{name}/bank.sock"] if os.name == "posix" else []
        asyncio.run(main("tcp://127.0.0.1:0", *local))
    assert not audit(path).differences
