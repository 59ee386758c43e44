"""The items that have come for one request, and wait to be taken."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tomada.items.carrying import Carrying
    from tomada.items.decoding import ItemDecoder


class Arrivals:
    """Items as they came, bounded by the credit of their stream: it is granted as they are taken.

    Args:
        carrying: Of the connection.
        decode: What reads them.
    """

    __slots__ = ("_carrying", "_decode", "_error", "_queue", "_waiter", "id", "is_complete")

    def __init__(self, carrying: Carrying, decode: ItemDecoder) -> None:
        self._carrying = carrying
        self._decode = decode
        self._queue: deque[tuple[int, bytes]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self.id = 0
        """Of the request."""
        self.is_complete = False
        """Whether nothing more will come."""

    def item(self, type_: int, payload: bytes) -> None:
        """Take what has come."""
        if not self.is_complete:
            self._queue.append((type_, payload))
            if self._waiter is not None:
                self._wake()

    def finish(self, error: BaseException | None = None) -> None:
        """Nothing more will come: who takes the items is told so, or given the error, after the last of them."""
        if not self.is_complete:
            self.is_complete = True
            self._error = error
            self._wake()

    def discard(self) -> None:
        """Nobody takes them any more."""
        self._queue.clear()
        self.is_complete = True
        self._error = None
        self._wake()

    def call_soon(self, function: Callable[[], object]) -> None:
        """Let the loop call `function`; from any thread."""
        self._carrying.loop.call_soon_threadsafe(function)

    async def take(self) -> Any:
        """The next item.

        Raises:
            StopAsyncIteration: There are no more.
            MessageError: It does not fit its type.
        """
        queue = self._queue
        while not queue:
            if self.is_complete:
                error, self._error = self._error, None
                if error is None:
                    raise StopAsyncIteration
                try:
                    raise error
                finally:
                    del error  # or it, its traceback and this frame would hold each other
            await self._wait()
        type_, payload = queue.popleft()
        if self._carrying.engine.consume(self.id, len(payload)):
            self._carrying.wake()
        return self._decode(type_, payload)

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError(f"another task waits already: {self._decode.what}")
        self._waiter = self._carrying.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
