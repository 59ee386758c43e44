"""What idle connections cost a server: its memory for each, and the time that others' calls take beside them."""

import argparse
from statistics import median

from benchmarks.faults.crowd import Crowd, call_for, frames, p99, resident, serving
from benchmarks.faults.table import Row, show

WARM = 500


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.idle", description=__doc__)
    parser.add_argument("--connections", type=int, default=15_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    count = arguments.connections
    hello, _ = frames(20)
    each, ratios = [], []
    for _ in range(arguments.rounds):
        with serving(count + 1_000) as (port, process):
            call_for(port, 0.5)
            Crowd(port, WARM, (hello, b"")).leave()
            alone = p99(call_for(port, arguments.seconds))
            before = resident(process)
            crowd = Crowd(port, count, (hello, b""))
            each.append((resident(process) - before) / count / 1024)
            ratios.append(p99(call_for(port, arguments.seconds)) / alone)
            crowd.leave()
    rows = [
        Row(f"{count:,} idle connections: memory of each, in KiB", 6, median(each)),
        Row(f"{count:,} idle connections: p99 of calls against none", 1.5, median(ratios)),
    ]
    return show(rows)


if __name__ == "__main__":
    raise SystemExit(main())
