"""How long handlers take, where somebody wants to know: those who subscribe to `RequestEnded`, and meters.

Who runs a handler looks once at `RequestEnded.is_wanted`; where that is so it notes the time, and tells the end with
`ended`.
"""

from __future__ import annotations

from asyncio import CancelledError
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from tomada.telemetry.events import RequestEnded
from tomada.telemetry.hub import changing, emit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from types import TracebackType

T = TypeVar("T")


class Counting(Protocol):
    """What counts the handlers of one type: `tomada.telemetry.meter.Tally`."""

    def ended(self, begun: float, *, failed: bool) -> None:
        """A handler has ended."""


tallies: dict[str, Any] | None = None
"""What is counted of each type, while a meter is on."""
_make: Callable[[], Any]


def meter(counts: dict[str, Any] | None, make: Callable[[], Counting]) -> None:
    """Count from now on what handlers do, in `counts`; with None, no more."""
    global tallies, _make  # noqa: PLW0603 - what all handlers look at
    _make = make
    tallies = counts
    with changing:
        RequestEnded.is_metered = counts is not None
        RequestEnded.look()


def ended(begun: float, name: str, peer: object, failure: str = "") -> None:
    """A handler has ended that began at `begun`, of `perf_counter`, where that is not 0.

    Args:
        begun: When.
        name: Of the type.
        peer: Who asked; it is written where somebody reads it.
        failure: As of `RequestEnded`.
    """
    if not begun:
        return
    counts = tallies
    if counts is not None:
        tally = counts.get(name)
        if tally is None:
            tally = counts.setdefault(name, _make())
        tally.ended(begun, failed=bool(failure))
    if RequestEnded.subscribers:
        emit(RequestEnded(peer=str(peer), name=name, seconds=perf_counter() - begun, failure=failure))


class Rest(Generic[T]):
    """What is left of a handler that has begun; its end is told. To be awaited once.

    Args:
        work: What is left.
        begun: When it began.
        name: Of the type.
        peer: Who asked.
    """

    __slots__ = ("_begun", "_name", "_peer", "_work")

    def __init__(self, work: Awaitable[T], begun: float, name: str, peer: object) -> None:
        self._work = work
        self._begun = begun
        self._name = name
        self._peer = peer

    def __await__(self) -> Generator[Any, Any, T]:
        with Measured(self._name, self._peer, self._begun):
            return (yield from self._work.__await__())


async def span(work: Awaitable[T], name: str, peer: object) -> T:
    """What `work`, a handler, gives; its end is told."""
    with Measured(name, peer):
        return await work


class Measured:
    """A context whose body is a handler's: its end is told.

    Args:
        name: Of the type.
        peer: Who asked.
        begun: When it began, of `perf_counter`; by default now.
    """

    __slots__ = ("_begun", "_name", "_peer")

    def __init__(self, name: str, peer: object, begun: float = 0.0) -> None:
        self._name = name
        self._peer = peer
        self._begun = begun or perf_counter()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        failure = "" if kind is None else "cancelled" if issubclass(kind, CancelledError) else "raised"
        ended(self._begun, self._name, self._peer, failure)
