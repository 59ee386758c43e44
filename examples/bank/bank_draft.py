"""What one transaction is going to write, decided in memory before its first write."""

from dataclasses import dataclass, field
from typing import NamedTuple

from bank_messages import (
    Account,
    AccountExists,
    Balance,
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

EQUITY = "equity"
"""The bank's own account, which opening deposits are booked from; the only one that may be negative."""


class Order(NamedTuple):
    """A request, and the key that it came with."""

    request: OpenAccount | Transfer | Balance | Statement
    key: str = ""


@dataclass
class Draft:
    """Requests checked and executed one after the other, each seeing what those before it did.

    A request that is refused raises and leaves nothing behind, so that it does not spoil the rest of its transaction.
    """

    balances: dict[str, int]
    """Of the accounts that the requests name, and of equity."""
    done: dict[str, tuple[Transfer, Receipt]]
    """The transfers that have been executed before, by key."""
    number: int
    """Of the latest transfer."""
    opened: list[str] = field(default_factory=list)
    transfers: list[tuple[int, str | None, str, str, int]] = field(default_factory=list)
    postings: list[tuple[str, int, int, int]] = field(default_factory=list)

    def execute(self, request: OpenAccount | Transfer, key: str) -> Account | Receipt:
        """Check `request`, book it and return its reply."""
        return self._open(request) if isinstance(request, OpenAccount) else self._transfer(request, key)

    @property
    def changed(self) -> set[str]:
        """The accounts whose balance is another one now."""
        return {account for account, *_ in self.postings}

    def _open(self, request: OpenAccount) -> Account:
        if request.name in self.balances:
            raise AccountExists(request.name)
        if request.cents <= 0:
            raise NonPositiveAmount(request.cents)
        self.balances[request.name] = 0
        self.opened.append(request.name)
        self._book(None, EQUITY, request.name, request.cents)
        return Account(request.name, request.cents)

    def _transfer(self, request: Transfer, key: str) -> Receipt:
        if key in self.done:
            return self._repeat(request, key)
        self._check(request)
        receipt = self._book(key, request.source, request.target, request.cents)
        self.done[key] = (request, receipt)
        return receipt

    def _repeat(self, request: Transfer, key: str) -> Receipt:
        first, receipt = self.done[key]
        if request != first:
            raise KeyReused(key, receipt.number)
        return receipt

    def _check(self, request: Transfer) -> None:
        if request.cents <= 0:
            raise NonPositiveAmount(request.cents)
        for account in (request.source, request.target):
            if account not in self.balances or account == EQUITY:
                raise UnknownAccount(account)
        if request.source == request.target:
            raise SameAccount(request.source)
        if self.balances[request.source] < request.cents:
            raise InsufficientFunds(request.source, self.balances[request.source])

    def _book(self, key: str | None, source: str, target: str, cents: int) -> Receipt:
        """Double entry: what leaves one account arrives in another, in two postings that sum to 0."""
        self.number += 1
        self.transfers.append((self.number, key, source, target, cents))
        for account, change in ((source, -cents), (target, cents)):
            self.balances[account] += change
            self.postings.append((account, self.number, change, self.balances[account]))
        return Receipt(self.number, self.balances[source])
