"""Items out: from an iterator into a lane, as its credit and the lane's room allow."""

from __future__ import annotations

import types
from collections.abc import AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from tomada.errors import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from tomada.declaration import Items
    from tomada.items.carrying import Carrying

_TURN_BYTES: Final = 131_072
"""After so much, from an iterator that need not wait, the others have their turn of the loop."""
_WRITE_BYTES: Final = 49_152
"""After so much it is written, so that the other end works while this one goes on; not after each item."""
_ITEM_COST: Final = 1_024
"""So much is an item counted for its own sake: those that are small cost time, not bytes."""


class WrongItem(Exception):
    """The iterator gave what cannot be sent; the text says why."""


async def pour(carrying: Carrying, id_: int, items: Items, source: AsyncIterator[Any]) -> None:
    """Send what `source` gives as items of a request, to its end; it is closed in any case.

    Raises `WrongItem`, and what `source` raises.
    """
    engine, put = carrying.engine, carrying.messenger.item
    room = carrying.room(urgent=engine.is_urgent(id_))
    spent = gathered = 0
    try:
        async for value in source:
            if not engine.has_stream_room(id_) or room.waiting or room.is_stuffed:
                await carrying.until_item_room(id_, room)
            try:
                size = put(id_, items, value)
            except InvalidMessage as error:
                raise WrongItem(str(error)) from error
            gathered += size
            if gathered >= _WRITE_BYTES or not carrying.flushing:
                gathered = 0
                carrying.wake()
            if room.waiting:
                room.pass_on()
            spent += size + _ITEM_COST
            if spent > _TURN_BYTES:
                spent = 0
                await _turn()
    finally:
        room.pass_on()
        await close(source)


async def close(source: Any) -> None:
    """Close an iterator that can be closed."""
    if hasattr(source, "aclose"):
        await source.aclose()


def each(source: AsyncIterable[Any] | Iterable[Any]) -> AsyncIterator[Any]:
    """The parts of an upload, whichever way they are given. Raises `TypeError` where it is one part."""
    check_parts(source)
    if isinstance(source, AsyncIterable):
        return aiter(source)
    return _each(source)


def check_parts(source: object) -> None:
    """Raise `TypeError` where the parts of an upload are what is one part, though Python can loop over it."""
    if isinstance(source, str | bytes | bytearray | memoryview):
        raise TypeError("upload= takes what gives the parts, such as a list or a generator: write `upload=[part]`")


async def _each(source: Iterable[Any]) -> AsyncIterator[Any]:
    iterator = iter(source)
    try:
        for value in iterator:
            yield value
    finally:
        if isinstance(iterator, types.GeneratorType):
            iterator.close()


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """Let the others have their turn of the loop."""
    yield
