"""What one connection keeps of its streams: who waits to send items, and the parts that have come for its handlers.

The lowest part of a `Link`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from tomada.errors import ConnectionLost, MessageError
from tomada.items.arrivals import Arrivals
from tomada.items.decoding import ItemDecoder

if TYPE_CHECKING:
    from tomada.messenger import Messenger, Route
    from tomada.protocol import Engine


class Room:
    """The room for items in one lane, and the line of those who wait for it: each has its turn for one item.

    Args:
        carrying: Of the connection.
        urgent: Which lane.
    """

    __slots__ = ("_carrying", "_urgent", "waiting")

    def __init__(self, carrying: Carrying, *, urgent: bool) -> None:
        self._carrying = carrying
        self._urgent = urgent
        self.waiting: deque[asyncio.Future[None]] = deque()

    @property
    def is_stuffed(self) -> bool:
        """Whether as much is held in the lane as may be."""
        return self._carrying.engine.is_stuffed(urgent=self._urgent)

    async def turn(self, *, first: bool) -> None:
        """Wait for the turn; `first` of all, where it was already."""
        turn: asyncio.Future[None] = self._carrying.loop.create_future()
        if first:
            self.waiting.appendleft(turn)
        else:
            self.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.pass_on()  # it was this one's turn in the same moment
            elif turn in self.waiting:
                self.waiting.remove(turn)
            raise

    def pass_on(self) -> None:
        """Whose turn it is next goes on, if there is room."""
        while self.waiting and not self.is_stuffed:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


class Parts:
    """The parts of one request, as its handler takes them."""

    __slots__ = ("_arrivals", "_carrying")

    def __init__(self, carrying: Carrying, arrivals: Arrivals) -> None:
        self._carrying = carrying
        self._arrivals = arrivals

    def __aiter__(self) -> Parts:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._arrivals.take()
        except MessageError as error:
            # Not the handler's fault, and not its business: it is cancelled, and its caller told why.
            self._carrying.misused(self._arrivals.id, str(error))
            self._arrivals.discard()
            await self._carrying.loop.create_future()


class Carrying(asyncio.Protocol):
    """The streams of one connection."""

    __slots__ = ("_parts", "_rooms", "_thirsty", "engine", "flushing", "loop", "messenger")

    loop: asyncio.AbstractEventLoop
    engine: Engine
    messenger: Messenger

    def __init__(self) -> None:
        # All made when first needed: most connections of a large server have no streams.
        self._rooms: tuple[Room, Room] | None = None
        self._parts: dict[int, Arrivals] | None = None
        """What has come for the handlers, by the request's id."""
        self._thirsty: dict[int, asyncio.Future[None]] | None = None
        """Who waits for the credit of a stream."""
        self.flushing = False
        """Whether what is queued will be written at the end of this turn of the loop."""

    def wake(self) -> None:
        """Write what is queued, once, at the end of this turn of the loop."""
        raise NotImplementedError

    def misused(self, id_: int, reason: str) -> None:
        """The peer broke the rules of its request: give it up, and tell why."""
        raise NotImplementedError

    # Items out.

    def room(self, *, urgent: bool) -> Room:
        """The room for items in a lane."""
        if self._rooms is None:
            self._rooms = Room(self, urgent=False), Room(self, urgent=True)
        return self._rooms[urgent]

    def let_pour(self) -> None:
        """Let those go on who wait for room, where there is some."""
        for room in self._rooms or ():
            room.pass_on()

    async def until_item_room(self, id_: int, room: Room) -> None:
        """Wait until an item of the request may be queued: by its credit, and in its turn."""
        is_turn = False
        while True:
            if not self.engine.has_stream_room(id_):
                if is_turn:
                    room.pass_on()
                    is_turn = False
                await self._until_credited(id_)
            elif room.is_stuffed or (room.waiting and not is_turn):
                await room.turn(first=is_turn)
                is_turn = True
            else:
                return

    async def _until_credited(self, id_: int) -> None:
        if self._thirsty is None:
            self._thirsty = {}
        credit = self._thirsty[id_] = self.loop.create_future()
        try:
            await credit
        finally:
            self._thirsty.pop(id_, None)

    def credited(self, id_: int) -> None:
        """The peer takes more items of the request."""
        credit = self._thirsty.get(id_) if self._thirsty else None
        if credit is not None and not credit.done():
            credit.set_result(None)

    # Parts in.

    def begin_parts(self, route: Route, id_: int) -> None:
        """A request came that parts follow: they may come before its handler starts."""
        if self._parts is None:
            self._parts = {}
        find = partial(self.messenger.part_decoder, route)
        arrivals = Arrivals(self, ItemDecoder(find, f"a part of {route.name}"))
        arrivals.id = id_
        self._parts[id_] = arrivals

    def parts(self, id_: int) -> Parts:
        """What its handler is given."""
        assert self._parts is not None, "it has begun"  # noqa: S101 - the house's own order
        return Parts(self, self._parts[id_])

    def end_parts(self, id_: int, reason: str) -> None:
        """No handler takes the parts of the request any more; one that is cancelled hears of that instead."""
        arrivals = self._parts.pop(id_, None) if self._parts else None
        if arrivals is not None:
            arrivals.finish(ConnectionLost(reason))

    def part(self, id_: int, type_: int, payload: bytes) -> None:
        """A part has come."""
        arrivals = self._parts.get(id_) if self._parts else None
        if arrivals is None:
            self.misused(id_, "it was followed by parts, and none follow it")
        elif arrivals.is_complete:
            self.misused(id_, "a part came after their end")
        else:
            arrivals.item(type_, payload)

    def parts_ended(self, id_: int) -> None:
        """There are no more."""
        arrivals = self._parts.get(id_) if self._parts else None
        if arrivals is None:
            self.misused(id_, "the end of its parts came, and none follow it")
        elif arrivals.is_complete:
            self.misused(id_, "the end of its parts came twice")
        else:
            arrivals.finish()
