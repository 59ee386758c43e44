"""A bank: accounts and transfers, double entry, every receipt on disk before it is sent.

Serve it with ``tomada serve bank.py``; its books are in ``bank.db``, or where the environment's ``BANK_DATABASE`` says.
"""

import os
from pathlib import Path

from bank_ledger import Ledger
from bank_messages import Account, Balance, Line, OpenAccount, Receipt, Statement, Transfer

import tomada

app = tomada.App("bank")


@app.on_start
async def open_ledger() -> Ledger:
    """Open the books, which handlers then get by type."""
    return await Ledger.open(Path(os.environ.get("BANK_DATABASE", "bank.db")))


@app.on_stop
async def close_ledger(ledger: Ledger) -> None:
    """Close the books; by now every request has been answered."""
    await ledger.close()


@app.on
async def open_account(request: OpenAccount, ledger: Ledger) -> Account:
    """Open an account; its deposit is booked from the bank's equity."""
    return await ledger.execute(request)


@app.on
async def transfer(request: Transfer, ledger: Ledger) -> Receipt:
    """Move money, once per key: the books record it in the same transaction as the postings."""
    return await ledger.execute(request, request.key)


@app.on
async def balance(request: Balance, ledger: Ledger) -> int:
    """Tell what is in an account."""
    return await ledger.execute(request)


@app.on
async def statement(request: Statement, ledger: Ledger) -> list[Line]:
    """Tell what happened to an account."""
    return await ledger.execute(request)
