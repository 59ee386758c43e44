"""Taps: who looks at the bytes of a connection while they come and go. Mostly nobody does, and then nothing is paid.

A connection has one place for a tap, looked at once for each read and each write. To look at one connection costs the
others nothing::

    watching = Watching(link)              # of `frames.py`: the last frames, bounded
    tap.attach(link, watching)
    ...
    rows, passed_over = watching.take()
    ...
    tap.detach(link, watching)

What wants to see all connections, those to come too, is a maker: see `make`. All of it belongs to the thread of the
connections that are looked at.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tomada.protocol import Engine, TypeEntry


class Tap(Protocol):
    """What looks at one connection. What it raises ends the connection: it must not."""

    is_of_transport: bool
    """Whether it ends with the transport; else it stays with the session, whatever carries that."""

    def received(self, data: bytes) -> None:
        """Take note of bytes as they came, in whatever pieces, before anything is made of them."""

    def sent(self, data: bytes | bytearray) -> None:
        """Take note of whole frames that are about to be written. To be read at once: they are not the tap's."""

    def moved(self, link: Tapped) -> None:
        """What comes and goes is of the session of another link from here on."""

    def ended(self) -> None:
        """The connection is gone, or another one carries the session: nothing more comes."""


class Types(Protocol):
    """The types of both ends of a connection, by their numbers, which count from 1."""

    @property
    def own_entries(self) -> Sequence[TypeEntry]:
        """Those of this end."""

    @property
    def peer_entries(self) -> Sequence[TypeEntry]:
        """Those of the peer."""


class Tapped(Protocol):
    """One end of a connection, as far as a tap sees it."""

    tap: Tap | None
    """Who looks at it."""

    @property
    def engine(self) -> Engine:
        """Its state, its session, its sequences."""

    @property
    def types(self) -> Types:
        """What the numbers of types mean."""

    @property
    def places(self) -> tuple[str, str]:
        """The addresses of this end and of the other one, as they are written."""


makers: tuple[Callable[[Tapped], Tap], ...] = ()
"""Each is given every connection that begins, and makes its tap. To be looked at, and changed by `make` only."""
_changing: Final = Lock()


class Several:
    """Some taps, where there is one place."""

    __slots__ = ("taps",)

    is_of_transport = False

    def __init__(self, taps: tuple[Tap, ...]) -> None:
        self.taps = taps

    def received(self, data: bytes) -> None:
        """Let each note it."""
        for tap in self.taps:
            tap.received(data)

    def sent(self, data: bytes | bytearray) -> None:
        """Let each note it."""
        for tap in self.taps:
            tap.sent(data)

    def moved(self, link: Tapped) -> None:
        """Let each know."""
        for tap in self.taps:
            tap.moved(link)

    def ended(self) -> None:
        """Let each know."""
        for tap in self.taps:
            tap.ended()


def taps_of(link: Tapped) -> tuple[Tap, ...]:
    """Those who look at a connection."""
    tap = link.tap
    if tap is None:
        return ()
    return tap.taps if isinstance(tap, Several) else (tap,)


def attach(link: Tapped, tap: Tap) -> None:
    """Let `tap` look at a connection from now on."""
    _set(link, (*taps_of(link), tap))


def detach(link: Tapped, tap: Tap) -> None:
    """Let it look no more; without effect where it does not."""
    _set(link, tuple(known for known in taps_of(link) if known is not tap))


def _set(link: Tapped, taps: tuple[Tap, ...]) -> None:
    link.tap = Several(taps) if len(taps) > 1 else taps[0] if taps else None


def make(maker: Callable[[Tapped], Tap]) -> Callable[[], None]:
    """Let `maker` make a tap for each connection of this process that begins from now on; what ends that."""
    global makers  # noqa: PLW0603 - what all connections look at
    with _changing:
        makers = (*makers, maker)

    def end() -> None:
        global makers  # noqa: PLW0603 - as above
        with _changing:
            makers = tuple(known for known in makers if known is not maker)

    return end


@contextmanager
def nobody() -> Iterator[None]:
    """While nothing but a rehearsal goes on in the process: nobody sees its connections."""
    global makers  # noqa: PLW0603 - as above
    kept, makers = makers, ()
    try:
        yield
    finally:
        makers = kept


# The connections call these.


def begun(link: Tapped) -> None:
    """There is a transport, over which nothing has come or gone: those who want to see all get to see it."""
    for maker in makers:
        attach(link, maker(link))


def ended(link: Tapped) -> None:
    """The transport is gone; what looks at the session goes on."""
    for tap in taps_of(link):
        if tap.is_of_transport:
            tap.ended()
            detach(link, tap)


def over(link: Tapped) -> None:
    """The session is over."""
    for tap in taps_of(link):
        tap.ended()
    link.tap = None


def hand_over(link: Tapped, to: Tapped) -> None:
    """Another session goes on over the transport of `link`: what looks at the transport goes with it."""
    ended(to)
    for tap in taps_of(link):
        if tap.is_of_transport:
            detach(link, tap)
            attach(to, tap)
            tap.moved(to)
