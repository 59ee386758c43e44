"""One child, as the server sees it: where it is in its life, the connection that it has, and what it may say when."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Final

from tomada.server.children.channel import (
    Channel,
    ChannelBroken,
    Ended,
    Failed,
    FromChild,
    Leave,
    Parting,
    Ping,
    Pong,
    Ready,
    Serve,
    decode_from_child,
)
from tomada.server.children.last_words import goodbye, reset, say

if TYPE_CHECKING:
    import socket

    from tomada.protocol import GoodbyeCode
    from tomada.server.children.pool import Pool
    from tomada.transports import Ticket

_AT_ONCE: Final = 16
"""So many messages of one child are read before others have their turn."""
_LINGER: Final = 1.0
"""How long a socket stays open on which a goodbye was said, in seconds. What the peer has sent and nobody reads would
make the kernel reset the connection, and the peer might not see the goodbye: RFC 1122, section 4.2.2.13."""
_MANY: Final = 65_536
_SECURE: Final = ("tls", "wss")


class Stage(Enum):
    """Where in its life a child is."""

    STARTING = "starting"
    """It is forked, and runs the application's ``on_start``."""
    IDLE = "idle"
    """It waits for a connection."""
    SERVING = "serving"
    """It has one."""
    LEAVING = "leaving"
    """It gets no further connection, and ends when the one that it has does."""
    GONE = "gone"
    """Its process has ended."""


class Held:
    """A connection that a child has, and the server's own descriptor of it.

    Args:
        accepted: The socket.
        place: Where it was accepted, by number.
        scheme: Of the address there.
        ticket: What it was admitted with.
        is_stream: Whether it is a byte stream.
    """

    __slots__ = ("_ticket", "is_stream", "place", "scheme", "socket")

    def __init__(
        self, accepted: socket.socket, place: int, scheme: str, ticket: Ticket | None, *, is_stream: bool
    ) -> None:
        self.socket = accepted
        self.place = place
        self.scheme = scheme
        self.is_stream = is_stream
        self._ticket = ticket

    def end(self, code: GoodbyeCode, reason: str, *, may_speak: bool) -> None:
        """End it, and tell the peer why, where that can be told: not on a byte stream, and not inside of TLS."""
        self._release()
        if self.is_stream or not may_speak or self.scheme in _SECURE:
            reset(self.socket)
        elif say(self.socket, goodbye(self.scheme, code, reason)):
            _linger(self.socket)
        else:
            reset(self.socket)

    def close(self) -> None:
        """The child has ended it in order."""
        self._release()
        self.socket.close()

    def _release(self) -> None:
        if self._ticket is not None:
            self._ticket.release()


class ChildProcess:
    """The server's side of one child.

    Args:
        pool: Which it belongs to.
        number: Its own, in this pool.
        slot: Its page.
        own: The server's end of its channel.
    """

    __slots__ = (
        "_has_parted",
        "_is_heard",
        "_pings",
        "_pool",
        "_unanswered",
        "channel",
        "doom",
        "failure",
        "free_at",
        "held",
        "number",
        "pid",
        "ready_at",
        "served",
        "slot",
        "stage",
        "started_at",
    )

    def __init__(self, pool: Pool, number: int, slot: int, own: socket.socket) -> None:
        self._pool = pool
        self.number = number
        self.slot = slot
        self.channel: Channel[FromChild] = Channel(own, decode_from_child)
        self.stage = Stage.STARTING
        self.pid = 0
        self.held: Held | None = None
        self.served = 0
        self.started_at = pool.loop.time()
        self.ready_at = 0.0
        """When it could serve; 0: it cannot yet."""
        self.free_at = inf
        """Since when it has had no connection, once it has had one or was told to go."""
        self.doom = ""
        """Why this end has killed it, as what follows "the process"; empty: it has not."""
        self.failure = ""
        """Why it cannot start, in its own words."""
        self._pings = 0
        self._unanswered = 0
        self._is_heard = True
        self._has_parted = False
        pool.loop.add_reader(self.channel.fileno(), self.hear)

    # What it says.

    def hear(self) -> None:
        """Act on what it says, as long as it makes sense."""
        for _ in range(_AT_ONCE):
            if not self._hear_one():
                return

    def hear_the_rest(self) -> None:
        """Its process has ended: hear what it had said before."""
        while self._hear_one():
            pass

    def _hear_one(self) -> bool:
        """Whether there may be more."""
        if not self._is_heard:
            return False
        try:
            message = self.channel.receive()
        except ChannelBroken as error:
            self._stop_hearing()
            if str(error):
                self.kill(f"broke the rules of its channel ({error}) and was killed")
            elif self.stage is not Stage.LEAVING:
                self._pool.kill(self)  # it ends just now, or has closed its channel; its exit status tells
            return False
        if message is not None and not self._take(message):
            said = type(message).__name__
            self.kill(f"broke the rules of its channel (it said {said} while {self.stage.value}) and was killed")
        return message is not None

    def _take(self, message: FromChild) -> bool:
        """Whether `message` makes sense now."""
        match message:
            case Ready() if not self.ready_at:
                self.ready_at = self._pool.loop.time()
                self._pool.is_ready(self)
                if self.stage is Stage.STARTING:  # or it is to leave already
                    self.stage = Stage.IDLE
                    self._pool.is_idle(self)
            case Failed() if not self.ready_at and not self.failure:
                self.failure = message.reason or "it does not say why"
            case Ended() if self.held is not None:
                self._connection_ended()
            case Pong() if self._unanswered and message.number == self._pings:
                self._unanswered = 0
            case Parting() if not self._has_parted:
                self._has_parted = True
                if self.stage is not Stage.LEAVING:
                    self._pool.is_leaving(self)
            case _:
                return False
        return True

    def _connection_ended(self) -> None:
        held, self.held = self.held, None
        if held is not None:
            held.close()
        self.free_at = self._pool.loop.time()
        if self.stage is Stage.SERVING:
            if self.served >= self._pool.settings.connections:
                self.stage = Stage.LEAVING
            else:
                self.stage = Stage.IDLE
                self._pool.is_idle(self)

    # What it is told.

    def serve(self, held: Held) -> bool:
        """Give it a connection; False where it takes none."""
        try:
            done = self.channel.send(Serve(held.place), [held.socket.fileno()])
        except ChannelBroken:
            done = False
        if done:
            self.held = held
            self.served += 1
            self.stage = Stage.SERVING
        return done

    def leave(self) -> None:
        """Tell it to go, when what it has has ended."""
        self.stage = Stage.LEAVING
        if self.held is None:
            self.free_at = self._pool.loop.time()
        try:
            done = self.channel.send(Leave())
        except ChannelBroken:
            return  # it is going
        if not done:
            self.kill("did not listen and was killed")

    def beat(self, seconds: float) -> None:
        """Ask it for a sign; kill it where it has given none for two intervals of `seconds`."""
        if self.stage is Stage.STARTING:
            return  # to start may take its time
        if self._unanswered >= 2:  # noqa: PLR2004 - intervals
            self.kill(f"did not answer for {2 * seconds:g} s and was killed")
            return
        if not self._unanswered:
            self._pings += 1
            with suppress(ChannelBroken):
                self.channel.send(Ping(self._pings))
        self._unanswered += 1

    def hurry(self, seconds: float) -> None:
        """Kill it where it should have gone `seconds` ago: there are only so many children, and it is one of them."""
        is_free = self.stage is Stage.LEAVING and self.held is None and not self.doom
        if is_free and self._pool.loop.time() >= self.free_at + seconds:
            self.kill(f"had not ended {seconds:g} s after its last connection and was killed")

    def kill(self, doom: str) -> None:
        """End it at once; `doom` is what is told of it."""
        self.doom = self.doom or doom
        self.stage = Stage.LEAVING if self.stage is not Stage.GONE else self.stage
        self._stop_hearing()
        self._pool.kill(self)

    # Its end.

    def gone(self) -> None:
        """Its process is no more."""
        self.stage = Stage.GONE
        self._stop_hearing()
        self.channel.close()

    def _stop_hearing(self) -> None:
        if self._is_heard:
            self._is_heard = False
            self._pool.loop.remove_reader(self.channel.fileno())


def _linger(own: socket.socket) -> None:
    """Close a socket soon, and drop what comes until then."""
    loop = asyncio.get_running_loop()

    def drop() -> None:
        try:
            if own.recv(_MANY):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        late.cancel()
        close()

    def close() -> None:
        loop.remove_reader(own.fileno())
        own.close()

    late = loop.call_later(_LINGER, close)
    loop.add_reader(own.fileno(), drop)
