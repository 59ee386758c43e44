"""``python -m benchmarks.faults``: all fault runs, one after the other; the exit status is 1 where one failed."""

import argparse
import subprocess
import sys
from typing import Final

RUNS: Final = {
    "idle": ("--connections=1000", "--rounds=1", "--seconds=0.5"),
    "idle_cost": ("--connections=500", "--seconds=5"),
    "slow_peers": ("--peers=200",),
    "vanished": ("--heartbeat=1", "--connections=5"),
    "child_deaths": ("--deaths=50",),
    "reload": ("--reloads=2",),
    "urgent": ("--mebibytes=64", "--rounds=1"),
    "never_reads": ("--megabytes=10", "--seconds=0.5"),
    "storm": ("--sessions=200", "--processes=2", "--times=1"),
    "bank": ("--faults=20",),
}
"""By name, with the arguments that make it a short one."""


def main() -> int:
    """Run them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS), metavar="NAME", help=", ".join(RUNS))
    parser.add_argument("--quick", action="store_true", help="short runs: does everything run?")
    arguments = parser.parse_args()
    failed = []
    for name in arguments.only:
        print(f"\n{name}", flush=True)
        words = RUNS[name] if arguments.quick else ()
        if subprocess.run([sys.executable, "-m", f"benchmarks.faults.{name}", *words], check=False).returncode:
            failed.append(name)
    for name in failed:
        print(f"{name} failed", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
