"""What the bank and its clients say to each other."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

import tomada

Cents = Annotated[int, Meta(le=10**12)]
"""An amount of money. Sums of amounts up to this one stay far below what SQLite's integers hold."""
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class Account(tomada.Message):
    """An account as it stands."""

    name: Name
    balance: int


class OpenAccount(tomada.Request[Account]):
    """Open an account with money in it."""

    name: Name
    cents: Cents


class Receipt(tomada.Message):
    """A transfer is on disk: its number, and what it left in the source account."""

    number: int
    balance: int


class Transfer(tomada.Request[Receipt]):
    """Move money. However often it arrives with the same key (`ask(…, key=…)`), it moves once, for the same receipt."""

    source: Name
    target: Name
    cents: Cents


class Balance(tomada.Request[int]):
    """What is in an account, in cents."""

    account: Name


class Line(tomada.Message):
    """One line of a statement; `cents` is negative where money left the account."""

    number: int
    at: datetime
    other: Name
    cents: int
    balance: int


class Statement(tomada.Request[list[Line]]):
    """The latest lines of an account, newest first."""

    account: Name
    lines: Annotated[int, Meta(ge=1, le=1000)] = 20


class UnknownAccount(tomada.RemoteError):
    """There is no such account."""

    account: str


class AccountExists(tomada.RemoteError):
    """The name is taken."""

    account: str


class InsufficientFunds(tomada.RemoteError):
    """The source account holds less than the transfer asks for."""

    account: str
    balance: int


class NonPositiveAmount(tomada.RemoteError):
    """Money moves forwards: the amount must be at least one cent."""

    cents: int


class SameAccount(tomada.RemoteError):
    """Source and target are one account."""

    account: str


class KeyReused(tomada.RemoteError):
    """The key belongs to another transfer, the one of this number; a new transfer needs a new key."""

    key: str
    number: int


class BooksUnavailable(tomada.RemoteError):
    """The bank cannot read or write its books now. Ask again, with the same key."""

    reason: str
