"""How long ``import tomada`` takes, against importing what it is made of.

Each import is timed by ``perf_counter`` around the statement, in an interpreter started for it, so that starting the
interpreter does not count. The two take turns; one unrecorded pair first fills the caches of bytecode and files.
"""

import subprocess
import sys
from statistics import median
from typing import Final

from benchmarks.process import ROOT

OURS: Final = "import tomada"
THEIRS: Final = "import asyncio, msgspec, uvloop"

_TIMED: Final = "from time import perf_counter as now; start = now(); {}; print(now() - start)"


def _seconds(statement: str) -> float:
    command = [sys.executable, "-c", _TIMED.format(statement)]
    return float(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout)


def compare(pairs: int) -> dict[str, float]:
    """Median milliseconds of both statements, and the median of the ratios of each pair."""
    _seconds(OURS), _seconds(THEIRS)
    times = [(_seconds(OURS), _seconds(THEIRS)) for _ in range(pairs)]
    return {
        OURS: 1000 * median(ours for ours, _ in times),
        THEIRS: 1000 * median(theirs for _, theirs in times),
        "ratio": median(ours / theirs for ours, theirs in times),
    }
