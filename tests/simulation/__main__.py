"""`make simulate`: many seeds, or one of them to look at, or a hunt for the mutants; and a report."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from tests.simulation.campaign import campaign
from tests.simulation.cluster import Outcome, run, undisturbed
from tests.simulation.mutants import MUTANTS, hunt

_SHOWN = 10


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="how many processes run them")
    parser.add_argument("--seed", type=int, help="only this one: what happened last is printed")
    parser.add_argument("--history", type=Path, help="with --seed: where its whole history is written")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="with --mutants: this one only")
    parser.add_argument("--mutants", action="store_true", help="hunt for the mutants, each within --seeds seeds")
    return parser.parse_args()


def _many(options: argparse.Namespace) -> int:
    begun = time.monotonic()
    failed: list[Outcome] = []
    faults: Counter[str] = Counter()
    total: Counter[str] = Counter()
    longest, most_waiting, simulated, busy = 0.0, 0, 0.0, 0.0
    for outcome in campaign(range(options.first, options.first + options.seeds), options.jobs):
        faults += outcome.faults
        total.update(seeds=1, violations=len(outcome.violations))
        total.update({"streams": outcome.streams, "streams cut short": outcome.cut})
        total.update(messages=outcome.messages, connections=outcome.connections, resumes=outcome.resumes)
        longest = max(longest, outcome.longest)
        most_waiting = max(most_waiting, outcome.most_waiting)
        simulated += outcome.simulated
        busy += outcome.seconds
        if outcome.violations:
            failed.append(outcome)
            if len(failed) <= _SHOWN:
                _tell(outcome)
    wall = time.monotonic() - begun
    for name in ("seeds", "violations", "messages", "connections", "resumes", "streams", "streams cut short"):
        print(f"{name:<22} {total[name]:>12,}")
    print(f"{'faults injected':<22} {sum(faults.values()):>12,}")
    for kind, times in sorted(faults.items()):
        print(f"  {kind:<20} {times:>12,}")
    print(f"{'longest call':<22} {longest:>12,.1f} s simulated")
    print(f"{'most bytes that waited':<22} {most_waiting:>12,}")
    print(f"{'simulated time':<22} {simulated:>12,.0f} s")
    print(f"{'wall time':<22} {wall:>12,.1f} s, {options.jobs} processes, {busy / max(1, total['seeds']):.3f} s a seed")
    if failed:
        print(f"{len(failed)} of {total['seeds']} seeds failed: {', '.join(str(each.seed) for each in failed[:50])}")
    return 1 if failed else 0


def _tell(outcome: Outcome) -> None:
    print(f"seed {outcome.seed} failed; to replay it exactly: make simulate SEED={outcome.seed}")
    for violation in outcome.violations[:3]:
        print(f"  {violation}")


def _one(options: argparse.Namespace) -> int:
    with (options.history or Path("/dev/null")).open("w") as history, undisturbed():
        outcome = run(options.seed, history.write)
    for line in outcome.last:
        print(line)
    print(
        f"seed {outcome.seed}: {outcome.messages} messages, {outcome.simulated:.1f} s simulated, "
        f"history {outcome.digest}, {len(outcome.violations)} violations"
    )
    for violation in outcome.violations:
        print(f"  {violation}")
    return 1 if outcome.violations else 0


def _hunt(options: argparse.Namespace) -> int:
    missed = 0
    for name in [options.mutant] if options.mutant else MUTANTS:
        begun = time.monotonic()
        caught = hunt(name, options.seeds, options.first)
        seconds = time.monotonic() - begun
        if caught is None:
            missed += 1
            print(f"{name:<26} NOT CAUGHT within {options.seeds} seeds ({seconds:.1f} s)")
        else:
            print(f"{name:<26} caught by seed {caught.seed} ({seconds:.1f} s): {caught.violations[0]}")
    return 1 if missed else 0


def main() -> int:
    """Do what the command line says; the exit status."""
    options = _options()
    if options.seed is not None:
        return _one(options)
    return _hunt(options) if options.mutants else _many(options)


if __name__ == "__main__":
    sys.exit(main())
