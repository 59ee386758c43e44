"""What tomada wants to reach. A figure is reported, never enforced: machines differ, and a run may be disturbed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from benchmarks.imports import OURS, THEIRS
from benchmarks.rounds import Series, median_ratio


@dataclass(frozen=True)
class Target:
    """A ratio of rates: contender ``ours`` against contender ``theirs``, at least ``bound``."""

    in_flight: int
    ours: str
    theirs: str
    bound: float


@dataclass(frozen=True)
class Figure:
    """A row of the second table."""

    name: str
    wanted: str
    reached: float | None
    verdict: Literal["ok", "below", "above", "not measured"]


TARGETS: Final = (
    Target(1, "tomada", "socket", 0.45),
    Target(1, "tomada-sync", "socket", 0.6),
    # pyzmq in three forms: its fastest, which is a bare loop without calls that wait for their own reply; the same as
    # its guide writes it; and the one that does what tomada's client does.
    Target(64, "tomada", "pyzmq", 2.5),
    Target(64, "tomada", "pyzmq-multipart", 2.5),
    Target(64, "tomada", "pyzmq-asyncio", 2.5),
    Target(64, "tomada", "grpcio", 25),
    Target(64, "tomada-websocket", "websockets", 3),
    Target(64, "tomada-websocket", "picows", 0.5),
    Target(1000, "tomada", "pyzmq", 2.5),
    Target(1000, "tomada", "pyzmq-multipart", 2.5),
    Target(1000, "tomada", "pyzmq-asyncio", 2.5),
)
IMPORT_BOUND: Final = 1.4


def figures(measured: Sequence[Series], import_ratio: float | None) -> list[Figure]:
    """Every target with what was reached."""
    by_key = {(series.contender, series.in_flight): series for series in measured}
    rows = []
    for target in TARGETS:
        ours, theirs = (by_key.get((name, target.in_flight)) for name in (target.ours, target.theirs))
        name = f"{target.in_flight:,} in flight, {target.ours} against {target.theirs}"
        rows.append(_at_least(name, target.bound, median_ratio(ours, theirs)))
    return [*rows, _at_most(f"{OURS}, against {THEIRS}", IMPORT_BOUND, import_ratio)]


def _at_least(name: str, bound: float, reached: float | None) -> Figure:
    verdict: Literal["ok", "below"] = "ok" if reached is not None and reached >= bound else "below"
    return Figure(name, f"at least {bound:g}", reached, "not measured" if reached is None else verdict)


def _at_most(name: str, bound: float, reached: float | None) -> Figure:
    verdict: Literal["ok", "above"] = "ok" if reached is not None and reached <= bound else "above"
    return Figure(name, f"at most {bound:g}", reached, "not measured" if reached is None else verdict)
