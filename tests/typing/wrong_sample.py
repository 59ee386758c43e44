"""What type checkers must refuse: each line that ends with a code in brackets, with that error and nothing else.

mypy passes over this file, but for `test_typing.py`.
"""

# mypy: ignore-errors

from __future__ import annotations

import tomada
from tests.typing.sample import Closed, Count, Insufficient, Note, Receipt, Transfer, app
from tomada import sync


async def use(bank: tomada.Connection) -> None:
    Transfer("ana", "rui")  # [call-arg]
    Transfer("ana", "rui", "500")  # [arg-type]
    Note("rent", start=3)  # [call-arg]
    text: str = await bank.ask(Count())  # [assignment]
    receipt: Receipt = await bank.ask(Count())  # [assignment]
    await bank.ask(Note("rent"))  # [arg-type]
    await bank.ask("text")  # [arg-type]
    await bank.send("text")  # [arg-type]
    await bank.ask(Count(), timeout="1")  # [arg-type]
    (await bank.ask(Count())).number  # [attr-defined]
    (await bank.receive()).text  # [attr-defined]
    bank.peer = "x"  # [misc]
    print(text, receipt)


def use_without_a_loop(bank: sync.Connection) -> None:
    number: str = bank.ask(Count())  # [assignment]
    bank.ask(Note("rent"))  # [arg-type]
    bank.send(3)  # [arg-type]
    print(number)


def errors() -> None:
    Insufficient()  # [call-arg]
    Insufficient("much")  # [arg-type]
    Insufficient(5, reason="x")  # [call-arg]
    Insufficient(5).reason  # [attr-defined]
    Closed(5)  # [arg-type]
    tomada.Limits(5)  # [call-arg]
    tomada.Limits(request=5)  # [call-arg]
    tomada.Limits().requests = 5  # [misc]


@app.on  # [type-var]
class NoFunction: ...


app.on(5)  # [type-var]
