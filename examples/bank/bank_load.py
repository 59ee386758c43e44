"""What a teller does all day: random transfers, many at once, some sent more than once on purpose."""

import asyncio
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import IO

from bank_messages import AccountExists, InsufficientFunds, OpenAccount, Receipt, Transfer

import tomada

DEPOSIT = 100_000
LARGEST = 20_000
REPEATED = 0.02
"""The share of transfers that are sent three times: twice at once, and once again when the receipt is there."""
PATIENCE = 10.0
"""Seconds to wait for a server that is not there, or not there any more."""
STEPS = 100_000
"""Latencies are counted in steps of so many to the second."""


class PromiseBroken(Exception):
    """One transfer was given two different receipts."""


@dataclass
class Count:
    """What happened since `begun`."""

    begun: float = field(default_factory=time.perf_counter)
    transfers: int = 0
    refused: int = 0
    repeated: int = 0
    latencies: Counter[int] = field(default_factory=Counter)

    def add(self, other: "Count") -> None:
        """Add what `other` has counted."""
        self.transfers += other.transfers
        self.refused += other.refused
        self.repeated += other.repeated
        self.latencies.update(other.latencies)

    def summary(self) -> dict[str, float]:
        """The counts, transfers per second, and latencies in milliseconds."""
        return {
            "transfers": self.transfers,
            "refused": self.refused,
            "repeated": self.repeated,
            "rate": round(self.transfers / max(time.perf_counter() - self.begun, 1e-9)),
            "p50_ms": self._percentile(50),
            "p99_ms": self._percentile(99),
        }

    def _percentile(self, percent: int) -> float:
        left = self.latencies.total() * percent // 100
        for step, count in sorted(self.latencies.items()):
            left -= count
            if left < 0:
                return round(1000 * step / STEPS, 2)
        return 0.0


class Bank:
    """The bank at `address`, over a connection that is made anew when its session is lost: the bank was killed.

    What was under way is then asked again. Whether the bank had executed it is not known, and need not be: the key sees
    to it that it happens once.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: tomada.Connection | None = None
        self._connecting = asyncio.Lock()

    async def transfer(self, request: Transfer, key: str) -> Receipt:
        """The receipt of a transfer."""
        while True:
            connection = await self._connected()
            try:
                return await connection.ask(request, key=key)
            except tomada.ConnectionLost:  # OutcomeUnknown, too
                await connection.close()

    async def open_accounts(self, names: list[str]) -> None:
        """Open those of the accounts that do not exist yet."""
        connection = await self._connected()
        openings = [connection.ask(OpenAccount(name, DEPOSIT)) for name in names]
        for outcome in await asyncio.gather(*openings, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, AccountExists):
                raise outcome

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def _connected(self) -> tomada.Connection:
        async with self._connecting:
            if self._connection is None or not self._connection.is_open:
                self._connection = await tomada.connect(self._address, wait=PATIENCE)
            return self._connection


class Teller:
    """Moves money among the accounts called `names`.

    For each transfer it writes a line to `promises`: ``KEY NUMBER``, ``KEY refused``, or ``KEY unknown`` where it ended
    before the answer came.
    """

    def __init__(self, bank: Bank, names: list[str], seed: int, promises: IO[str]) -> None:
        self.in_flight = 0
        self._bank = bank
        self._names = names
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._promises = promises
        self._total = Count()
        self._latest = Count()
        self._stopped = False

    async def work(self, in_flight: int) -> None:
        """Keep `in_flight` transfers under way; returns when, after `stop`, the last of them has its answer."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(in_flight):
                    group.create_task(self._work())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures

    def stop(self) -> None:
        """Begin no transfer more."""
        self._stopped = True

    def latest(self) -> dict[str, float]:
        """What happened since the last call, but for the number of transfers, which is that of all."""
        latest, self._latest = self._latest, Count()
        self._total.add(latest)
        self._promises.flush()
        return latest.summary() | {"transfers": self._total.transfers, "in_flight": self.in_flight}

    def total(self) -> dict[str, float]:
        """What happened since the beginning."""
        self.latest()
        return self._total.summary()

    async def _work(self) -> None:
        while not self._stopped:
            source, target = self._random.sample(self._names, 2)
            # The key is not drawn from the seed: the same seed used again is to mean new transfers.
            key = str(uuid.uuid4())
            request = Transfer(source, target, self._random.randint(1, LARGEST))
            if self._random.random() < REPEATED:
                await self._transfer_repeatedly(request, key)
            else:
                self._note(key, await self._ask(request, key))

    async def _transfer_repeatedly(self, request: Transfer, key: str) -> None:
        # Where the first is refused the second may still find money that has arrived in between.
        both = await asyncio.gather(self._ask(request, key), self._ask(request, key))
        outcomes = [*both, await self._ask(request, key)]
        receipts = [outcome for outcome in outcomes if outcome is not None]
        self._latest.repeated += len(outcomes) - 1
        self._note(key, receipts[0] if receipts else None)
        if any(receipt != receipts[0] for receipt in receipts):
            raise PromiseBroken(f"the transfer {key} was given different receipts: {receipts}")

    def _note(self, key: str, receipt: Receipt | None) -> None:
        if receipt is None:
            self._latest.refused += 1
            self._promises.write(f"{key} refused\n")
        else:
            self._latest.transfers += 1
            self._promises.write(f"{key} {receipt.number}\n")

    async def _ask(self, request: Transfer, key: str) -> Receipt | None:
        """The receipt; None where the account does not hold enough."""
        begun = time.perf_counter()
        self.in_flight += 1
        try:
            return await self._bank.transfer(request, key)
        except InsufficientFunds:
            return None
        except BaseException:
            self._promises.write(f"{key} unknown\n")
            raise
        finally:
            self.in_flight -= 1
            self._latest.latencies[int(STEPS * (time.perf_counter() - begun))] += 1
