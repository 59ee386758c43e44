"""Who is told of which events."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tomada.telemetry.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

E = TypeVar("E", bound=Event)

_log = logging.getLogger("tomada")


class Subscription:
    """What `subscribe` returns: `end` it, or use it in a ``with``."""

    __slots__ = ("_function", "_kinds")

    def __init__(self, function: Callable[[Any], None], kinds: tuple[type[Event], ...]) -> None:
        self._function = function
        self._kinds = kinds

    def end(self) -> None:
        """Tell the function of nothing more. To call it again does nothing."""
        for kind in self._kinds:
            kind.subscribers = tuple(known for known in kind.subscribers if known is not self._function)
        self._kinds = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def subscribe(function: Callable[[E], None], *kinds: type[E]) -> Subscription:
    """Call `function` with each event of these `kinds` that happens in this process from now on.

    ::

        with tomada.telemetry.subscribe(print, ConnectionEnded, LimitStruck):
            ...

    It is called where the event happens: in the event loop's thread, mostly. It should be quick, and must not wait.
    What it raises is told to the log, and to nobody else.

    Args:
        function: Takes the event. A function that is subscribed twice is called twice.
        kinds: Classes of events; a base class stands for all below it, and none at all for every event.
    """
    wanted = tuple(dict.fromkeys(_leaves(kinds or (Event,))))
    called = _Guarded(function)
    for kind in wanted:
        kind.subscribers = (*kind.subscribers, called)
    return Subscription(called, wanted)


def emit(event: Event) -> None:
    """Tell those who have subscribed to events of this class. Nothing is raised."""
    for subscriber in type(event).subscribers:
        subscriber(event)


class _Guarded:
    """A subscriber whose failures stay its own."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[Any], None]) -> None:
        self._function = function

    def __call__(self, event: Event) -> None:
        try:
            self._function(event)
        except Exception:  # noqa: BLE001 - told to the log
            _log.exception("a subscriber to %s raised", type(event).__name__)


def _leaves(kinds: tuple[type[Event], ...]) -> Iterator[type[Event]]:
    for kind in kinds:
        below = cast("tuple[type[Event], ...]", tuple(kind.__subclasses__()))
        if below:
            yield from _leaves(below)
        else:
            yield kind
