from __future__ import annotations

import os
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest

pytest.importorskip("simloop", reason="simloop needs Python 3.12 or newer")

from tests.simulation.campaign import portion
from tests.simulation.cluster import run, undisturbed
from tests.simulation.mutants import MUTANTS, hunt

ROOT = Path(__file__).parents[2]
PORTION = 20


@pytest.mark.parametrize("first", range(0, 200, PORTION))
def test_every_promise_is_kept_whatever_goes_wrong(first: int) -> None:
    failed = [outcome for outcome in portion(range(first, first + PORTION)) if outcome.violations]
    assert not failed, "\n".join(
        f"make simulate SEED={outcome.seed}: {violation}" for outcome in failed for violation in outcome.violations[:3]
    )


@pytest.mark.parametrize("seed", [3, 14, 49])
def test_the_same_seed_is_the_same_history(seed: int) -> None:
    """Also in a process whose hashes and addresses are others."""
    code = f"from tests.simulation.campaign import portion; print(portion(range({seed}, {seed + 1}))[0].digest)"
    other = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        check=True,
        capture_output=True,
        text=True,
    )
    first_lines: list[str] = []
    again_lines: list[str] = []
    with undisturbed():
        first = run(seed, first_lines.append)
    with undisturbed():
        again = run(seed, again_lines.append)
    assert next((pair for pair in zip_longest(first_lines, again_lines) if pair[0] != pair[1]), None) is None
    assert [first.digest, again.digest] == [other.stdout.strip()] * 2
    assert first.messages > 10


def test_another_seed_is_another_history() -> None:
    one, other = portion(range(3, 5))
    assert one.digest != other.digest


NEAR = {"no heartbeat": 99}
"""Seeds from which one that few notice is not far."""


RARE = {"no epoch check"}
"""Those that so few seeds notice that only ``make simulate MUTANTS=1`` hunts for them."""


@pytest.mark.parametrize("name", sorted(MUTANTS.keys() - RARE))
def test_a_mutant_is_caught(name: str) -> None:
    """Here within a few seeds; ``make simulate MUTANTS=1`` hunts for those that take more."""
    assert hunt(name, 150, NEAR.get(name, 0)) is not None
