"""Slow peers at each stage of a connection: what they cost those who behave, and when they are gone."""

import argparse
import asyncio
import time
from statistics import median

from benchmarks.faults.crowd import Crowd, call, call_for, frames, p99, serving
from benchmarks.faults.table import Row, show
from benchmarks.load import run
from tomada import Deadlines

REPLY = 262_144
WINDOW = 4_096


def _stages() -> dict[str, tuple[tuple[bytes, ...], int, float]]:
    """Per stage what each peer sends, its receive buffer, and the deadline that ends it."""
    hello, ask = frames(20)
    _, much = frames(REPLY)
    deadlines = Deadlines()
    return {
        "say nothing": ((), 0, deadlines.handshake),
        "say half a handshake": ((hello[: len(hello) // 2],), 0, deadlines.handshake),
        "say half a frame": ((hello, ask[: len(ask) // 2]), 0, deadlines.frame),
        "never read": ((hello, much), WINDOW, deadlines.progress),
    }


async def _beside(port: int, crowd: Crowd, patience: float) -> tuple[list[float], float]:
    """What calls took until all of the crowd were gone, and the seconds until then."""
    begun, enough = time.monotonic(), asyncio.Event()
    calling = asyncio.ensure_future(call(port, enough))
    while len(crowd) and time.monotonic() < begun + patience:
        await asyncio.sleep(0.05)
        crowd.look()
    seconds = time.monotonic() - begun
    enough.set()
    return await calling, seconds


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.slow_peers", description=__doc__)
    parser.add_argument("--peers", type=int, default=5_000, help="at each stage")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    count, rows = arguments.peers, []
    for stage, (sends, window, deadline) in _stages().items():
        ratios, late, left = [], [], 0
        for _ in range(arguments.rounds):
            with serving(2 * count) as (port, _):
                call_for(port, 0.5)
                alone = p99(call_for(port, 2.0))
                crowd = Crowd(port, count, sends, window)
                taken, seconds = run(_beside(port, crowd, 3 * deadline))
                ratios.append(p99(taken) / alone)
                late.append(seconds - deadline)
                left += len(crowd)
                crowd.leave()
        rows += [
            Row(f"{count:,} peers {stage}: p99 of others' calls against none", 2, median(ratios)),
            Row(f"{count:,} peers {stage}: the last is gone so late, in s", 1, median(late)),
            Row(f"{count:,} peers {stage}: left", 0, left),
        ]
    return show(rows)


if __name__ == "__main__":
    raise SystemExit(main())
