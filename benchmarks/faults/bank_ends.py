"""The two ends of `benchmarks.faults.bank`, each a process that is killed at any instant and started again."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import uuid
from pathlib import Path
from typing import IO

import uvloop

import tomada

BANK = Path(__file__).parents[2] / "examples" / "bank"
sys.path.insert(0, str(BANK))

from bank_messages import InsufficientFunds, Receipt, Transfer  # noqa: E402 - as above

ACCOUNTS = 20
IN_FLIGHT = 4
LARGEST = 2_000
_PAUSE = 0.02


def names() -> list[str]:
    """The accounts that money moves between."""
    return [f"account-{number}" for number in range(ACCOUNTS)]


def serve(books: str, store: str) -> None:
    """The bank: it tells its address, and is killed some day."""
    os.environ["BANK_DATABASE"] = books
    import bank  # noqa: PLC0415 - with its database

    serving = tomada.serve(bank.app, "tcp://127.0.0.1:0", store=store)
    serving.run(ready=lambda server: print(server.addresses[0], flush=True))


def end_file(folder: Path) -> Path:
    """Where it is, clients end; a signal might meet one that has just been started, and does not expect it."""
    return folder / "end"


def asked_file(folder: Path, number: int) -> Path:
    """Where a client notes what it is about to ask: key, source, target and cents."""
    return folder / f"client-{number}.asked"


def promises_file(folder: Path, number: int) -> Path:
    """Where it notes what came of it, as the bank's audit reads it."""
    return folder / f"client-{number}.promises"


def again_file(folder: Path, number: int) -> Path:
    """Where it notes what it asks again because its session was lost: its key, and why that was."""
    return folder / f"client-{number}.again"


def again(folder: Path, number: int) -> list[str]:
    """Why a client has asked again, for each time."""
    file = again_file(folder, number)
    return [line.partition(" ")[2] for line in file.read_text().splitlines()] if file.exists() else []


def asked(folder: Path, number: int) -> dict[str, Transfer]:
    """What a client has asked, by key."""
    file = asked_file(folder, number)
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return {key: Transfer(source, target, int(cents)) for key, source, target, cents in lines}


def answered(folder: Path, number: int) -> set[str]:
    """The keys of what came to an end."""
    file = promises_file(folder, number)
    return {line.split()[0] for line in file.read_text().splitlines()} if file.exists() else set()


class Client:
    """Moves money until it is told to end, or killed; and first asks again what it had asked before it was.

    A line is written before a transfer is asked, and one when it has its receipt: who kills the process finds both, for
    the system has them.
    """

    def __init__(self, address: str, folder: Path, number: int) -> None:
        self._address = address
        self._connection: tomada.Connection | None = None
        self._connecting = asyncio.Lock()
        self._end = end_file(folder)
        self._random = random.Random()
        done = answered(folder, number)
        self._left = [(key, request) for key, request in asked(folder, number).items() if key not in done]
        self._asked = asked_file(folder, number).open("a", buffering=1)
        self._promises = promises_file(folder, number).open("a", buffering=1)
        self._again = again_file(folder, number).open("a", buffering=1)

    async def run(self) -> None:
        """Until it is told to end; then what is under way is waited for."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(IN_FLIGHT):
                    group.create_task(self._work())
        finally:
            _close(self._asked, self._promises, self._again)
        if self._connection is not None:
            await self._connection.close()

    async def _work(self) -> None:
        while self._left:
            await self._transfer(*self._left.pop())
        while not self._end.exists():
            source, target = self._random.sample(names(), 2)
            key, cents = str(uuid.uuid4()), self._random.randint(1, LARGEST)
            self._asked.write(f"{key} {source} {target} {cents}\n")
            await self._transfer(key, Transfer(source, target, cents))

    async def _transfer(self, key: str, request: Transfer) -> None:
        try:
            receipt = await self._receipt(key, request)
        except InsufficientFunds:
            self._promises.write(f"{key} refused\n")
        else:
            self._promises.write(f"{key} {receipt.number}\n")

    async def _receipt(self, key: str, request: Transfer) -> Receipt:
        while True:
            connection = await self._connected()
            try:
                return await connection.ask(request, key=key)
            except tomada.ConnectionLost as error:
                # The session is lost; whether the bank has executed it is not known, and need not be.
                self._again.write(f"{key} {type(error).__name__}: {error}\n")
                await connection.close()

    async def _connected(self) -> tomada.Connection:
        async with self._connecting:
            while self._connection is None or not self._connection.is_open:
                try:
                    self._connection = await tomada.connect(self._address)
                except (tomada.ConnectFailed, tomada.HandshakeFailed):
                    await asyncio.sleep(_PAUSE)
            return self._connection


def _close(*files: IO[str]) -> None:
    for file in files:
        file.close()


def work(address: str, folder: str, number: str) -> None:
    """One client."""

    async def run() -> None:
        await Client(address, Path(folder), int(number)).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        work(*sys.argv[2:])
