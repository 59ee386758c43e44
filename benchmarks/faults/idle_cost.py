"""What idle connections cost a server of processor time: deadlines, heartbeats and all, with what is the default."""

import argparse
import asyncio
import logging
import multiprocessing
import time
from multiprocessing.connection import Connection

import msgspec

import tomada
from benchmarks.faults.crowd import app as messages
from benchmarks.faults.table import Row, show
from benchmarks.load import run
from tomada import Deadlines, Limits

SETTLE = 3.0
"""Seconds after the last connection, until what it has brought about is over."""


class Used(msgspec.Struct, frozen=True):
    """What a server used, and for how long it was watched."""

    seconds: float
    processor: float

    @property
    def share(self) -> float:
        """Of one core, in per cent."""
        return 100 * self.processor / self.seconds


@messages.stream("tcp://127.0.0.1:0")
async def sink(stream: tomada.Stream) -> None:
    """Waits for what does not come."""
    async for _ in stream:
        pass


def _limits(count: int) -> Limits:
    most = 2 * count + 100
    return Limits(connections=most, connections_per_host=most, handshakes=most, handshakes_early=most)


def _serve(count: int, pipe: Connection) -> None:
    """In a process of its own: tell the addresses; then, each time it is asked, the processor time so far."""

    async def main() -> None:
        async with tomada.serve(messages, "tcp://127.0.0.1:0", limits=_limits(count)) as server:
            pipe.send([str(address) for address in server.addresses])
            while await asyncio.to_thread(pipe.recv):
                counted = server.statistics()
                pipe.send((time.process_time(), counted.connections + counted.streams))

    run(main())


async def _hold(address: str, kind: str, count: int) -> list[tomada.Connection] | list[tomada.Stream]:
    limits = Limits()
    never = Deadlines(idle=float("inf"))
    if kind == "messages":
        return [await tomada.connect(address, limits=limits) for _ in range(count)]
    return [await tomada.connect_stream(address, limits=limits, deadlines=never) for _ in range(count)]


def _measured(kind: str, count: int, seconds: float) -> Used:
    """Hold so many connections, with a client that lives in this process, and look what the server uses."""
    pipe, far = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(count, far), daemon=True)
    server.start()
    addresses = pipe.recv()
    address = addresses[0] if kind == "messages" else addresses[1]

    def used() -> tuple[float, int]:
        pipe.send(True)  # noqa: FBT003 - go on
        answer: tuple[float, int] = pipe.recv()
        return answer

    async def main() -> Used:
        held = await _hold(address, kind, count)
        await asyncio.sleep(SETTLE)
        begun, (before, there) = time.monotonic(), await asyncio.to_thread(used)
        if there != count:
            raise RuntimeError(f"the server has {there} of {count} connections: how many files may be open?")
        await asyncio.sleep(seconds)
        after, still_there = await asyncio.to_thread(used)
        taken = time.monotonic() - begun
        if still_there != count:
            raise RuntimeError(f"{count - still_there} of {count} connections were ended while they were idle")
        server.kill()  # which ends them all
        for one in held:
            if isinstance(one, tomada.Stream):
                one.abort()
            await (one.flow.ended if isinstance(one, tomada.Stream) else one._link.ended)  # noqa: SLF001 - it is not closed
        return Used(taken, after - before)

    logging.getLogger("tomada").setLevel(logging.CRITICAL)  # each end would be a line
    try:
        return run(main())
    finally:
        server.kill()
        server.join()


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.idle_cost", description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=90.0, help="three heartbeats, by default")
    arguments = parser.parse_args()
    count, rows = arguments.connections, []
    for kind in ("messages", "byte streams"):
        used = _measured(kind, count, arguments.seconds)
        name = f"{count:,} idle connections of {kind}: server's share of a core, in %"
        rows.append(Row(name, 1, used.share))
        print(f"{kind}: {used.processor:.3f} s of processor time in {used.seconds:.0f} s", flush=True)
    return show(rows)


if __name__ == "__main__":
    raise SystemExit(main())
