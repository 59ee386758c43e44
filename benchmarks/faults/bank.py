"""``python -m benchmarks.faults.bank``: a bank on a bad network, whose server and clients are killed all the time.

Half of the faults are kill -9, of the server or of a client, which are started again at once; the other half happen to
the network between them: resets, stalls, single bytes, little bandwidth, a link that is gone. Meanwhile money moves. In
the end the books must have each promised transfer once, and balance.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import IO, Final, Literal

import uvloop

import tomada
from benchmarks.faults.bank_ends import again, answered, asked, end_file, names, promises_file
from benchmarks.faults.table import Row, show
from tomada.testing import FaultProxy, Faults

from audit import Findings, audit  # isort: skip - in the folder that bank_ends has put on the path
from bank_messages import OpenAccount  # isort: skip

ROOT: Final = Path(__file__).parents[2]
DEPOSIT: Final = 1_000_000
PATIENCE: Final = 60.0
LONGEST_PAUSE: Final = 0.5
"""Between two faults of a kind, in seconds."""
LONGEST: Final = 0.4
"""Of what a network suffers for a time."""
SLOW: Final = 10_000
TOLD: Final = 100
TOLD_REASONS: Final = 5
LOG: Final = "log"
LAST_WORDS: Final = 3_000
KILLS: Final = ("the server is killed", "a client is killed")
HARMS: Final = ("reset", "stall", "stall one way", "single bytes", "little bandwidth", "the link is gone")


class Ends:
    """The server's and the clients' processes, and the proxy between them.

    Args:
        folder: Where books, sessions and notes are.
        store: Where the server keeps its sessions.
        clients: How many there are.
        log: What the processes write to their standard error.
    """

    def __init__(self, folder: Path, store: str, clients: int, log: IO[bytes]) -> None:
        self.folder = folder
        self.clients = clients
        self.proxy: FaultProxy
        self.crashes: list[str] = []
        self._store = store
        self._log = log
        self._server: Process
        self._working: list[Process] = []

    @property
    def books(self) -> Path:
        """The bank's database."""
        return self.folder / "bank.db"

    async def start_server(self) -> str:
        """Start it; its address, when it listens."""
        self._server = await self._start("serve", str(self.books), self._store)
        if self._server.stdout is None:
            raise TypeError("the server has no pipe")
        async with asyncio.timeout(PATIENCE):
            line = await self._server.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended with status {await self._server.wait()}")
        return line.decode().strip()

    async def start_clients(self) -> None:
        """Start them all."""
        for number in range(self.clients):
            self._working.append(await self._start_client(number))

    async def _start_client(self, number: int) -> Process:
        return await self._start("work", str(self.proxy.address), str(self.folder), str(number))

    async def _start(self, *words: str) -> Process:
        command = (sys.executable, "-m", "benchmarks.faults.bank_ends", *words)
        output = PIPE if words[0] == "serve" else DEVNULL
        return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=output, stderr=self._log)

    async def kill_server(self) -> None:
        """Kill it, and start it again."""
        await self._kill(self._server, "the server")
        self.proxy.to = tomada.Address.parse(await self.start_server())

    async def kill_client(self, number: int) -> None:
        """Kill one, and start it again."""
        await self._kill(self._working[number], f"client {number}")
        self._working[number] = await self._start_client(number)

    async def _kill(self, process: Process, name: str) -> None:
        if process.returncode is not None:
            self.crashes.append(f"{name} had ended by itself, with status {process.returncode}{self._last_words()}")
            return
        process.kill()
        await process.wait()

    def _last_words(self) -> str:
        return ", and the last words of all were:\n" + (self.folder / LOG).read_text()[-LAST_WORDS:]

    async def end(self) -> None:
        """Let the clients wait for what is under way, then stop the server."""
        end_file(self.folder).touch()
        for name, process in [
            *[(f"client {n}", each) for n, each in enumerate(self._working)],
            ("server", self._server),
        ]:
            if process is self._server:
                with suppress(ProcessLookupError):
                    process.terminate()
            try:
                async with asyncio.timeout(PATIENCE):
                    status = await process.wait()
            except TimeoutError:
                self.crashes.append(f"{name} did not end within {PATIENCE:g} s")
                continue
            if status:
                self.crashes.append(f"{name} ended with status {status}{self._last_words()}")

    async def kill_all(self) -> None:
        """Leave no process behind."""
        for process in (*self._working, self._server):
            if process.returncode is None:
                process.kill()
                await process.wait()


class Trouble:
    """Injects faults: two rows of them at once, of processes and of the network.

    Args:
        ends: To whom.
        seed: Of what happens when.
    """

    def __init__(self, ends: Ends, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._ends = ends
        self._random = random.Random(seed)

    async def make(self, faults: int) -> None:
        """So many of them, half of each sort."""
        kills = [*islice(cycle(KILLS), (faults + 1) // 2)]
        harms = [*islice(cycle(HARMS), faults // 2)]
        for row in (kills, harms):
            self._random.shuffle(row)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._row(kills))
            group.create_task(self._row(harms))

    async def _row(self, faults: list[str]) -> None:
        for fault in faults:
            await asyncio.sleep(self._random.uniform(0, LONGEST_PAUSE))
            await self._inject(fault)
            self.counts[fault] += 1
            if not self.counts.total() % TOLD:
                print(f"{self.counts.total()} faults", flush=True)

    async def _inject(self, fault: str) -> None:
        ends, proxy = self._ends, self._ends.proxy
        seconds = self._random.uniform(0, LONGEST)
        match fault:
            case "the server is killed":
                await ends.kill_server()
            case "a client is killed":
                await ends.kill_client(self._random.randrange(ends.clients))
            case "reset":
                await proxy.reset()
            case "stall":
                proxy.stall()
                await asyncio.sleep(seconds)
                proxy.go_on()
            case "stall one way":
                way: Literal["to_server", "to_client"] = self._random.choice(("to_server", "to_client"))
                proxy.stall(way)
                await asyncio.sleep(seconds)
                proxy.go_on(way)
            case "the link is gone":
                await proxy.drop(seconds)
            case _:
                proxy.faults = Faults(slice=1) if fault == "single bytes" else Faults(bandwidth=SLOW)
                await asyncio.sleep(seconds)
                proxy.faults = Faults()


class Outcome:
    """What came of it.

    Args:
        ends: All of them, ended.
        trouble: What they had to suffer.
        seconds: How long it took.
    """

    def __init__(self, ends: Ends, trouble: Trouble, seconds: float) -> None:
        self.counts = trouble.counts
        self.seconds = seconds
        self.crashes = ends.crashes
        numbers = range(ends.clients)
        self.findings: Findings = audit(ends.books, [promises_file(ends.folder, number) for number in numbers])
        self.again = Counter(why for number in numbers for why in again(ends.folder, number))
        """How often a transfer was asked again because the session was lost, by the reason."""
        self.unanswered = sum(
            len(asked(ends.folder, number).keys() - answered(ends.folder, number)) for number in numbers
        )

    def rows(self) -> list[Row]:
        """For the table."""
        findings = self.findings
        return [
            Row("promised transfers that are not in the books", 0, findings.lost),
            Row("transfers in the books beyond those", 0, findings.duplicated),
            Row("transfers asked for without an answer", 0, self.unanswered),
            Row("books that do not balance", 0, not findings.balanced),
            Row("processes that ended by themselves, or did not end", 0, len(self.crashes)),
            Row("faults in which nothing was promised at all", 0, not findings.transfers),
        ]


async def run(faults: int, clients: int, store: str, seed: int) -> Outcome:
    """Let a bank suffer so many faults.

    Args:
        faults: How many.
        clients: How many processes move money.
        store: Where the server keeps its sessions: ``memory`` or ``sqlite``.
        seed: Of what happens when; not of how the processes take it.
    """
    with tempfile.TemporaryDirectory(prefix="tomada-") as name, (Path(name) / LOG).open("wb") as log:
        folder = Path(name)
        ends = Ends(folder, f"sqlite://{folder}/sessions.db" if store == "sqlite" else store, clients, log)
        address = await ends.start_server()
        try:
            async with FaultProxy("tcp://127.0.0.1:0", to=address, seed=seed) as ends.proxy:
                async with tomada.connect(address) as bank:
                    await asyncio.gather(*[bank.ask(OpenAccount(name, DEPOSIT)) for name in names()])
                began = time.perf_counter()
                await ends.start_clients()
                trouble = Trouble(ends, seed)
                await trouble.make(faults)
                seconds = time.perf_counter() - began
                await ends.end()
        finally:
            await ends.kill_all()
        return Outcome(ends, trouble, seconds)


def main() -> int:
    """The exit status is 1 if anything was lost, doubled, or out of balance."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.bank", description=__doc__)
    parser.add_argument("--faults", type=int, default=1_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--store", choices=("sqlite", "memory"), default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(run(arguments.faults, arguments.clients, arguments.store, arguments.seed))
    for fault, count in sorted(outcome.counts.items()):
        print(f"{fault}: {count}")
    print(
        f"{outcome.findings.transfers:,} transfers promised in {outcome.seconds:.0f} s, sessions in {arguments.store}"
    )
    print(f"asked again because their session was lost: {outcome.again.total():,}")
    for why, count in outcome.again.most_common(TOLD_REASONS):
        print(f"  {count:,}: {why}")
    for text in (*outcome.findings.differences, *outcome.crashes):
        print(text)
    return show(outcome.rows())


if __name__ == "__main__":
    sys.exit(main())
