"""What type checkers must refuse: each line that ends with a code in brackets, with that error and nothing else.

mypy passes over this file, but for `test_typing.py`.
"""

# mypy: ignore-errors

from __future__ import annotations

import tomada
from tests.typing.sample import (
    Closed,
    Count,
    Insufficient,
    Note,
    Receipt,
    Store,
    Talk,
    Transfer,
    Watch,
    app,
    lines,
)
from tomada import sync


async def use(bank: tomada.Connection) -> None:
    Transfer("ana", "rui")  # [call-arg]
    Transfer("ana", "rui", "500")  # [arg-type]
    Note("rent", start=3)  # [call-arg]
    text: str = await bank.ask(Count())  # [arg-type]
    receipt: Receipt = await bank.ask(Count())  # [arg-type]
    await bank.ask(Note("rent"))  # [call-overload]
    await bank.ask("text")  # [call-overload]
    await bank.send("text")  # [arg-type]
    await bank.ask(Count(), timeout="1")  # [call-overload]
    wrong = (await bank.ask(Count())).number  # [attr-defined]
    wrong = (await bank.receive()).text  # [attr-defined]
    bank.is_open = True  # [misc]
    del text, receipt, wrong


async def use_streams(caller: tomada.Connection) -> None:
    Watch()  # [call-arg]
    await caller.ask(Watch("ana"))  # [call-overload]
    await caller.ask(Store("x"))  # [call-overload]
    await caller.ask(Store("x"), upload=["text"])  # [misc]
    await caller.ask(Store("x"), upload=b"text")  # [misc]
    await caller.ask(Count(), upload=[b"x"])  # [call-overload]
    caller.stream(Count())  # [call-overload]
    caller.stream(Store("x"), upload=[b"x"])  # [call-overload]
    caller.stream(Talk())  # [call-overload]
    caller.stream(Watch("ana"), upload=lines())  # [call-overload]
    async for number in caller.stream(Talk(), upload=lines()):
        number.bit_length()  # [union-attr]


def use_without_a_loop(bank: sync.Connection) -> None:
    number: str = bank.ask(Count())  # [assignment]
    bank.ask(Note("rent"))  # [call-overload]
    bank.send(3)  # [arg-type]
    del number


def errors() -> None:
    Insufficient()  # [call-arg]
    Insufficient("much")  # [arg-type]
    Insufficient(5, reason="x")  # [call-arg]
    reason = Insufficient(5).reason  # [attr-defined]
    del reason
    Closed(5)  # [arg-type]
    tomada.Limits(5)  # [call-arg]
    tomada.Limits(request=5)  # [call-arg]
    tomada.Limits().requests = 5  # [misc]


app.on(5)  # [type-var]
