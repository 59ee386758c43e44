"""A small bank whose messages are recorded, and what tests ask of its recordings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import tomada
from tomada.diagrams import Sequence, Step
from tomada.recording.file import Reader, Record
from tomada.recording.messages import Messages


class Receipt(tomada.Message):
    number: int
    balance: int


class InsufficientFunds(tomada.RemoteError):
    balance: int


class Transfer(tomada.Request[Receipt]):
    source: str
    target: str
    cents: int


class Slow(tomada.Request[int]):
    """Answered when the bank's gate opens."""

    number: int


class Note(tomada.Message):
    text: str


class Freeze(tomada.Request[bool]):
    account: str


class Watch(tomada.StreamRequest[Receipt]):
    account: str


class Bank:
    """What happened, and what is let through."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun = 0
        self.notes: list[str] = []


def bank(state: Bank) -> tomada.App:
    app = tomada.App("bank")

    @app.on
    async def transfer(request: Transfer) -> Receipt:
        if request.cents > 1_000_000:
            raise InsufficientFunds(12)
        return Receipt(1, 100 - request.cents)

    @app.on
    async def slow(request: Slow) -> int:
        state.begun += 1
        await state.gate.wait()
        return request.number

    @app.on
    async def note(message: Note) -> None:
        state.notes.append(message.text)

    @app.on
    async def freeze(request: Freeze) -> bool:
        return bool(request.account)

    @app.on
    async def watch(request: Watch) -> AsyncIterator[Receipt]:
        for number in range(3):
            yield Receipt(number, len(request.account))

    return app


def read(*paths: Path) -> Messages:
    messages = Messages()
    for path in paths:
        with Reader(path) as reader:
            take(messages, reader.records())
    return messages


def take(messages: Messages, records: Iterable[Record]) -> Messages:
    for record in records:
        messages.add(record)
    return messages


def texts(sequence: Sequence, *, lane: int | None = None, control: bool = False) -> list[str]:
    """What the steps say, without what is about the connection."""
    return [
        step.text
        for step in sequence.steps
        if (lane is None or step.lane == lane) and (control or step.tone.value not in {"control", "begin", "end"})
    ]


def step(sequence: Sequence, text: str) -> Step:
    """The one step that says so."""
    (found,) = [step for step in sequence.steps if step.text == text]
    return found


def arrows(sequence: Sequence) -> list[tuple[str, str]]:
    """What joins what."""
    return [(sequence.steps[arrow.source].text, sequence.steps[arrow.target].text) for arrow in sequence.arrows]
