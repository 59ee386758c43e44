"""Who is told of which events."""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from tomada.telemetry import tally
from tomada.telemetry.events import DeadlineStruck, Event, RequestEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

E = TypeVar("E", bound=Event)

_log: Final = logging.getLogger("tomada")
_changing: Final = Lock()
"""Held by who changes the subscribers of a class. Who tells them an event looks once, and needs none."""


class Subscription:
    """What `subscribe` returns: `end` it, or use it in a ``with``."""

    __slots__ = ("_called", "_end", "_kinds")

    def __init__(
        self, called: Callable[[Event], None], end: Callable[[], None], kinds: tuple[type[Event], ...]
    ) -> None:
        self._called = called
        self._end = end
        self._kinds = kinds

    def end(self) -> None:
        """Tell the function of nothing more, not even of an event that others are being told just now.

        A call that is under way in another thread goes on. To call it again does nothing.
        """
        self._end()
        with _changing:
            kinds, self._kinds = self._kinds, ()
            for kind in kinds:
                kind.subscribers = tuple(known for known in kind.subscribers if known is not self._called)
            _look()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def subscribe(function: Callable[[E], None], *kinds: type[E]) -> Subscription:
    """Call `function` with each event of these `kinds` that happens in this process from now on.

    ::

        with tomada.subscribe(print, telemetry.ConnectionEnded, telemetry.LimitStruck):
            ...

    or ``subscription = tomada.subscribe(…)`` and, at the end, ``subscription.end()``. The function is called where the
    event happens: in the event loop's thread, mostly. It should be quick, and must not wait. What it raises is told to
    the log, and to nobody else. Any thread may subscribe.

    Args:
        function: Takes the event. A function that is subscribed twice is called twice.
        kinds: Classes of events; a base class stands for all below it, and none at all for every event.
    """
    wanted = tuple(dict.fromkeys(_all_below(kinds or (Event,))))
    called, end = _guarded(function)
    with _changing:
        for kind in wanted:
            # Its own: what is inherited from a base was told to that one.
            kind.subscribers = (*vars(kind).get("subscribers", ()), called)
        _look()
    return Subscription(called, end, wanted)


def _look() -> None:
    tally.wanted_by(RequestEnded.subscribers, is_metered=tally.is_metered)


def meter(*, is_on: bool) -> None:
    """Count handlers from now on, or no more."""
    with _changing:
        tally.wanted_by(tally.subscribers, is_metered=is_on)


def emit(event: Event) -> None:
    """Tell those who have subscribed to events of this class. Nothing is raised."""
    for subscriber in type(event).subscribers:
        subscriber(event)


def late(deadline: str, seconds: float, peer: object) -> None:
    """Tell that a deadline has struck, where somebody wants to know: `DeadlineStruck`."""
    if DeadlineStruck.subscribers:
        emit(DeadlineStruck(deadline=deadline, seconds=seconds, peer=str(peer)))


def _guarded(function: Callable[[Any], None]) -> tuple[Callable[[Event], None], Callable[[], None]]:
    """A subscriber whose failures stay its own; and what ends it.

    A function, and no object that can be called: it may be called for every message.
    """
    is_over = False

    def called(event: Event) -> None:
        if is_over:
            return
        try:
            function(event)
        except Exception:  # noqa: BLE001 - told to the log
            _log.exception("a subscriber to %s raised", type(event).__name__)

    def end() -> None:
        nonlocal is_over
        is_over = True

    return called, end


def _all_below(kinds: tuple[type[Event], ...]) -> Iterator[type[Event]]:
    for kind in kinds:
        if not issubclass(kind, Event):
            raise TypeError(f"{kind.__name__} is no class of events: take those of tomada.telemetry")
        if kind is not Event:  # of which there are none, but for those of the classes below
            yield kind
        yield from _all_below(cast("tuple[type[Event], ...]", tuple(kind.__subclasses__())))
