"""The two ends of one connection through the proxy, and the two pipes between them."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final, cast

from tomada import transports
from tomada.testing.proxy.faults import WAYS, ways
from tomada.testing.proxy.pipe import Mark, Pipe

if TYPE_CHECKING:
    from tomada.testing.proxy.faults import Direction, Hold, Way
    from tomada.testing.proxy.relay import Relay

_LOOK: Final = 0.001
"""Seconds between two looks whether the last bytes before a reset have arrived."""
_LONGEST: Final = 1.0
"""After so many seconds the reset comes all the same: the receiver does not read."""


class End(asyncio.Protocol):
    """What the event loop calls for one end.

    Args:
        pair: That it is an end of.
        gives: Where goes what it sends.
        gets: Where comes from what it receives.
    """

    __slots__ = ("_gets", "_pair", "gives", "is_lost", "transport")

    def __init__(self, pair: Pair, gives: Pipe, gets: Pipe) -> None:
        self._pair = pair
        self.gives = gives
        self._gets = gets
        self.transport: asyncio.Transport | None = None
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        # uvloop's transports do what asyncio.Transport says without being one.
        self.transport = self.gives.source = cast("asyncio.Transport", transport)
        self._pair.made(self)
        self._gets.attach(self.transport)

    def data_received(self, data: bytes) -> None:
        """It has sent something."""
        self.gives.take(data)

    def eof_received(self) -> bool:
        """It has sent all."""
        self.gives.source = None
        self.gives.finish(Mark.END)
        return True

    def pause_writing(self) -> None:
        """It takes no more just now."""
        self._gets.clog()

    def resume_writing(self) -> None:
        """It takes more."""
        self._gets.unclog()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - who did it does not matter
        """It is gone: by a reset, or by what this end did."""
        self.is_lost = True
        self.gives.source = None
        self._gets.stop()
        self._pair.lost(self)


class Pair:
    """One connection through the proxy.

    Args:
        relay: Knows how bad it is, and connects to the server.
        number: Of the connection, from 1.
    """

    __slots__ = ("_opening", "_relay", "_timer", "client", "gone", "is_over", "number", "pipes", "server")

    def __init__(self, relay: Relay, number: int) -> None:
        self._relay = relay
        self.number = number
        self.pipes: dict[Way, Pipe] = {
            way: Pipe(self, relay.faults[way], Random(f"{relay.seed}/{number}/{way}"), relay.most, relay.holds[way])  # noqa: S311 - a seed gives the same again
            for way in WAYS
        }
        to_server, to_client = self.pipes["to_server"], self.pipes["to_client"]
        self.client = End(self, to_server, to_client)
        self.server = End(self, to_client, to_server)
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when both ends are lost."""
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.Handle | None = None
        """Of a reset that waits for the last bytes to arrive."""
        self.is_over = False
        """Both ends have been reset, or will be as soon as they are there."""

    # From the ends.

    def made(self, end: End) -> None:
        """One is there; the server's follows when it can be reached."""
        if end is self.client:
            self._relay.arrived(self)
        if self.is_over and end.transport is not None:
            transports.reset(end.transport)
        self._open()

    def _open(self) -> None:
        """Connect to the server, unless nothing gets there just now."""
        if self._opening is None and not self.is_over and not self.pipes["to_server"].is_held:
            self._opening = self._relay.connect(self)
            self._opening.add_done_callback(lambda _: self._look_if_gone())

    def lost(self, end: End) -> None:
        """One is gone. The other is told by what comes through the pipe."""
        if self._timer is not None:
            self.reset()
        elif self.server.transport is None:  # the client has gone before the server was there
            self.is_over = True
            self._cancel_opening()
        elif not self.is_over:
            end.gives.finish(Mark.RESET)
        self._look_if_gone()

    def _look_if_gone(self) -> None:
        is_opening = self._opening is not None and not self._opening.done()
        # A loop that was told to connect no more closes what it has, and uvloop does not always say so.
        was_given_up = self._opening is None or self._opening.cancelled()
        is_server_there = self.server.transport is not None and not self.server.is_lost and not was_given_up
        if self.client.is_lost and not is_opening and not is_server_there and not self.gone.done():
            self.gone.set_result(None)
            self._relay.forget(self)

    def _cancel_opening(self) -> None:
        if self._opening is not None and self.server.transport is None:
            self._opening.cancel()

    # From the pipes.

    def passed(self, pipe: Pipe, mark: Mark) -> None:
        """A mark has come through: let the end behind it know."""
        assert pipe.target is not None, "or nothing passes"  # noqa: S101 - the house's own order
        if mark is Mark.RESET:
            transports.reset(pipe.target)
            return
        try:
            pipe.target.write_eof()
        except OSError:  # it was reset by its other end, and the loop had not looked yet; now it is told of the loss
            pipe.target.abort()
            return
        if all(one.has_ended for one in self.pipes.values()):
            for end in (self.client, self.server):
                if end.transport is not None:
                    end.transport.close()

    def reset_behind(self, pipe: Pipe) -> None:
        """Reset the connection when all that came through this pipe has arrived; nothing more passes meanwhile."""
        if self._timer is None and not self.is_over:
            for one in self.pipes.values():
                one.stop()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_soon(self._look, pipe, loop.time() + _LONGEST)

    def _look(self, pipe: Pipe, until: float) -> None:
        loop = asyncio.get_running_loop()
        if pipe.is_delivered() or loop.time() >= until:
            self.reset()
        else:
            self._timer = loop.call_later(_LOOK, self._look, pipe, until)

    # From users.

    def hold(self, direction: Direction, who: Hold) -> None:
        """Let nothing pass."""
        for way in ways(direction):
            self.pipes[way].hold(who)

    def release(self, direction: Direction, who: Hold) -> None:
        """Let it pass again."""
        for way in ways(direction):
            self.pipes[way].release(who)
        if not self.client.is_lost:
            self._open()

    def half_close(self, direction: Direction) -> None:
        """End one way, behind what has come; what comes later is dropped."""
        for way in ways(direction):
            self.pipes[way].finish(Mark.END)

    def reset(self) -> None:
        """Reset both ends now, and count it."""
        if not self.is_over:
            self._relay.resets += 1
            self.end()

    def end(self) -> None:
        """Reset both ends now."""
        self.is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._cancel_opening()
        for pipe in self.pipes.values():
            pipe.stop()
        for end in (self.client, self.server):
            if end.transport is not None and not end.is_lost:
                transports.reset(end.transport)
