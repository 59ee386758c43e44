"""``python -m benchmarks``: measure, report, and fail only if a contender crashed or answered wrongly."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import imports, machine
from benchmarks.report import Report
from benchmarks.rounds import Series, Settings, interleave
from benchmarks.suites import CONTENDERS, SUITES
from benchmarks.targets import figures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    suites, names = [suite.name for suite in SUITES], list(CONTENDERS)
    parser.add_argument("--suite", nargs="+", choices=suites, default=suites, metavar="SUITE", help=", ".join(suites))
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each timed phase")
    parser.add_argument("--warm-up", type=float, default=0.3, help="seconds before each timed phase")
    parser.add_argument("--pairs", type=int, default=15, help="of imports")
    parser.add_argument("--quick", action="store_true", help="one short round: does everything run?")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.warm_up, arguments.pairs = 1, 0.3, 0.1, 1
    return arguments


def _import_times(measured: list[Series], pairs: int) -> dict[str, float]:
    """Empty unless tomada's messages took part, and worked."""
    ours = any(series.usable and series.contender == "tomada" for series in measured)
    return imports.compare(pairs) if ours else {}


def main() -> int:
    """Run the chosen contenders; the exit status is 1 if one of them failed."""
    arguments = _arguments()
    described = machine.describe()
    suites = [suite for suite in SUITES if suite.name in arguments.suite]
    chosen = [CONTENDERS[name] for name in arguments.only]
    settings = Settings(arguments.rounds, arguments.seconds, arguments.warm_up)
    with Console(stderr=True).status("starting") as status:
        series = [one for suite in suites for one in interleave(suite, chosen, settings, status.update)]
        status.update("imports")
        times = _import_times(series, arguments.pairs)
    report = Report(described, settings, suites, series, times, figures(suites, series, times.get("ratio")))
    report.write(arguments.json)
    report.show(Console())
    return int(any(one.failure for one in series))


if __name__ == "__main__":
    sys.exit(main())
