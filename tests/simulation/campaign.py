"""Many seeds, in several processes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from tests.simulation.cluster import Outcome, run, undisturbed

_PORTION: Final = 20
"""Seeds that are run before what they have left in memory is forgotten."""


def portion(seeds: range) -> list[Outcome]:
    """What came of some seeds."""
    with undisturbed():
        return [run(seed) for seed in seeds]


def campaign(seeds: range, jobs: int) -> Iterator[Outcome]:
    """What came of all of them, in their order."""
    portions = [seeds[start : start + _PORTION] for start in range(0, len(seeds), _PORTION)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=gc.freeze) as pool:
        for outcomes in pool.map(portion, portions):
            yield from outcomes
