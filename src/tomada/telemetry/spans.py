"""How long handlers take, where somebody wants to know: those who subscribe to `RequestEnded`, and meters.

Who starts a handler looks once at `tally.is_wanted`; where that is so it calls `start`, and in the end `ended`.
"""

from __future__ import annotations

from asyncio import CancelledError
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tomada.telemetry import tally as tallies
from tomada.telemetry.events import RequestEnded
from tomada.telemetry.tally import Tally, tally_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator
    from types import TracebackType

T = TypeVar("T")


def start(tally: Tally) -> float:
    """A handler starts while `tallies.is_wanted`: when, of `perf_counter`, should its end be told, else 0."""
    return perf_counter() if tallies.subscribers else tally.start()


def ended(begun: float, tally: Tally, peer: str, failure: str = "") -> None:
    """A handler has ended that began at `begun`; nothing is told where that is 0.

    Args:
        begun: As `start` gave it.
        tally: Of its type.
        peer: Who asked.
        failure: As of `RequestEnded`.
    """
    if not begun:
        return
    seconds = perf_counter() - begun
    subscribers = tallies.subscribers
    if tallies.is_metered:
        if subscribers:
            tally.all_ended(seconds)
        else:
            tally.note(seconds)
    if subscribers:
        event = RequestEnded(peer=peer, name=tally.name, seconds=seconds, failure=failure)
        for subscriber in subscribers:
            subscriber(event)


class Rest(Generic[T]):
    """What is left of a handler that has begun; its end is told. To be awaited once.

    Args:
        work: What is left.
        begun: When it began.
        tally: Of its type.
        peer: Who asked.
    """

    __slots__ = ("_begun", "_peer", "_tally", "_work")

    def __init__(self, work: Awaitable[T], begun: float, tally: Tally, peer: object) -> None:
        self._work = work
        self._begun = begun
        self._tally = tally
        self._peer = peer

    def __await__(self) -> Generator[Any, Any, T]:
        with _Ending(self._begun, self._tally, self._peer):
            return (yield from self._work.__await__())


async def span(work: Awaitable[T], name: str, peer: object) -> T:
    """What `work`, a handler, gives; its end is told."""
    with measured(name, peer):
        return await work


class _Ending:
    """A context whose body is what is left of a handler: its end is told."""

    __slots__ = ("_begun", "_peer", "_tally")

    def __init__(self, begun: float, tally: Tally, peer: object) -> None:
        self._begun = begun
        self._tally = tally
        self._peer = peer

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        failure = "" if kind is None else "cancelled" if issubclass(kind, CancelledError) else "raised"
        if failure:
            self._tally.failed += tallies.is_metered
        ended(self._begun, self._tally, str(self._peer), failure)


def measured(name: str, peer: object) -> _Ending:
    """A context whose body is a handler's, of that type: its end is told."""
    tally = tally_of(name)
    return _Ending(start(tally), tally, peer)
