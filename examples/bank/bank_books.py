"""The books: accounts, transfers and postings in SQLite. Blocking, and for one thread."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bank_draft import EQUITY, Draft, Order
from bank_messages import Account, Balance, Line, OpenAccount, Receipt, Statement, Transfer, UnknownAccount

import tomada

Write = tuple[OpenAccount | Transfer, str]
Outcome = Account | Receipt | int | list[Line] | tomada.RemoteError

SCHEMA = """
BEGIN;
CREATE TABLE IF NOT EXISTS accounts (
    name TEXT PRIMARY KEY,
    balance INTEGER NOT NULL CHECK (balance >= 0 OR name = 'equity')
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transfers (
    number INTEGER PRIMARY KEY,
    key TEXT UNIQUE, -- of the request; an opening deposit has none
    source TEXT NOT NULL REFERENCES accounts (name),
    target TEXT NOT NULL REFERENCES accounts (name),
    cents INTEGER NOT NULL CHECK (cents > 0),
    at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS postings (
    account TEXT NOT NULL REFERENCES accounts (name),
    transfer INTEGER NOT NULL REFERENCES transfers (number),
    cents INTEGER NOT NULL,
    balance INTEGER NOT NULL, -- of the account, after this posting
    PRIMARY KEY (account, transfer)
) WITHOUT ROWID;
INSERT OR IGNORE INTO accounts VALUES ('equity', 0);
COMMIT;
"""


class Books:
    """The books in the database at `path`, which is made if it is not there."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        # A commit returns when its log is on disk: a receipt survives a power cut. A batch shares that one wait: with
        # hundreds of transfers in flight NORMAL is no faster. NORMAL would survive the death of this process, but lose
        # the last moments' receipts when the power fails.
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("PRAGMA foreign_keys = ON")
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def execute(self, orders: Sequence[Order]) -> list[Outcome]:
        """The outcome of each order, all writes in one transaction; reads see the books after it."""
        writes = [(order.request, order.key) for order in orders if isinstance(order.request, OpenAccount | Transfer)]
        written = iter(self._write(writes) if writes else ())
        return [
            next(written) if isinstance(request, OpenAccount | Transfer) else self._read(request)
            for request, _ in orders
        ]

    def _write(self, orders: Sequence[Write]) -> list[Outcome]:
        with self._transaction():
            draft = self._draft(orders)
            outcomes = [_outcome(draft, *order) for order in orders]
            self._save(draft)
        return outcomes

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # IMMEDIATE: between what the draft reads and what it writes nobody else writes, no other server either.
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _draft(self, orders: Sequence[Write]) -> Draft:
        """Read all that the orders can touch, in three queries however many they are."""
        names = {EQUITY}
        keys = []
        for request, key in orders:
            if isinstance(request, Transfer):
                names |= {request.source, request.target}
                keys.append(key)
            else:
                names.add(request.name)
        balances = self._database.execute(
            "SELECT name, balance FROM accounts WHERE name IN (SELECT value FROM json_each(?))", (json.dumps([*names]),)
        )
        done = self._database.execute(
            "SELECT key, source, target, transfers.cents, number, balance FROM transfers"
            " JOIN postings ON account = source AND transfer = number WHERE key IN (SELECT value FROM json_each(?))",
            (json.dumps(keys),),
        )
        (latest,) = self._database.execute("SELECT coalesce(max(number), 0) FROM transfers").fetchone()
        receipts = {
            key: (Transfer(source, target, cents), Receipt(number, balance))
            for key, source, target, cents, number, balance in done
        }
        return Draft(dict(balances), receipts, latest)

    def _save(self, draft: Draft) -> None:
        many = self._database.executemany
        many("INSERT INTO accounts VALUES (?, 0)", [(name,) for name in draft.opened])
        many("INSERT INTO transfers (number, key, source, target, cents) VALUES (?, ?, ?, ?, ?)", draft.transfers)
        many("INSERT INTO postings VALUES (?, ?, ?, ?)", draft.postings)
        many("UPDATE accounts SET balance = ? WHERE name = ?", [(draft.balances[name], name) for name in draft.changed])

    def _read(self, request: Balance | Statement) -> Outcome:
        row = self._database.execute("SELECT balance FROM accounts WHERE name = ?", (request.account,)).fetchone()
        if row is None:
            return UnknownAccount(request.account)
        if isinstance(request, Statement):
            return self._statement(request)
        return int(row[0])

    def _statement(self, request: Statement) -> list[Line]:
        rows = self._database.execute(
            "SELECT number, at, CASE account WHEN source THEN target ELSE source END, postings.cents, balance"
            " FROM postings JOIN transfers ON number = transfer WHERE account = ? ORDER BY transfer DESC LIMIT ?",
            (request.account, request.lines),
        )
        return [Line(number, datetime.fromisoformat(at).replace(tzinfo=UTC), *rest) for number, at, *rest in rows]


def _outcome(draft: Draft, request: OpenAccount | Transfer, key: str) -> Outcome:
    try:
        return draft.execute(request, key)
    except tomada.RemoteError as refusal:
        return refusal
