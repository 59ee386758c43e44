"""How long ``import tomada`` takes, against importing what it is made of.

Each import is timed by ``perf_counter`` around the statement, in an interpreter started for it, so that starting the
interpreter does not count. The two take turns; one unrecorded pair first fills the caches of bytecode and files.
"""

import os
import subprocess
import sys
import tempfile
from statistics import median
from typing import Final

from benchmarks.process import ROOT

OURS: Final = "import tomada"
THEIRS: Final = "import asyncio, msgspec, uvloop"

_TIMED: Final = "from time import perf_counter as now; start = now(); {}; print(now() - start)"


def _seconds(statement: str, bytecode: str) -> float:
    command = [sys.executable, "-c", _TIMED.format(statement)]
    # As it is for a user whose Python may write bytecode: a checkout without would be compiled anew at each start.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = bytecode
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def compare(pairs: int) -> dict[str, float]:
    """Median milliseconds of both statements, and the median of the ratios of each pair."""
    with tempfile.TemporaryDirectory() as bytecode:
        _seconds(OURS, bytecode), _seconds(THEIRS, bytecode)
        times = [(_seconds(OURS, bytecode), _seconds(THEIRS, bytecode)) for _ in range(pairs)]
    return {
        OURS: 1000 * median(ours for ours, _ in times),
        THEIRS: 1000 * median(theirs for _, theirs in times),
        "ratio": median(ours / theirs for ours, theirs in times),
    }
