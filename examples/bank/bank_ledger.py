"""The ledger: the books for an event loop, with group commit."""

import asyncio
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from bank_books import Books
from bank_draft import Order
from bank_messages import BooksUnavailable

import tomada

ReplyT = TypeVar("ReplyT")
LARGEST_BATCH = 1000
log = logging.getLogger("bank")


class Ledger:
    """Executes orders together: those that arrive while a transaction runs share the next one, and its one disk wait.

    Got from `Ledger.open`. One thread of its own does all that touches the database: the event loop never waits for it.
    """

    def __init__(self, books: Books, thread: ThreadPoolExecutor) -> None:
        self._books = books
        self._thread = thread
        self._waiting: deque[tuple[Order, asyncio.Future[Any]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path) -> Self:
        """The ledger whose books are in the database at `path`."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        return cls(await asyncio.get_running_loop().run_in_executor(thread, Books, path), thread)

    async def close(self) -> None:
        """Finish what is under way and close the books."""
        if self._worker is not None:
            await self._worker
        await asyncio.get_running_loop().run_in_executor(self._thread, self._books.close)
        self._thread.shutdown()

    async def execute(self, request: tomada.Request[ReplyT], key: str = "") -> ReplyT:
        """The reply to a request of `bank_messages`, once it is on disk; of a transfer with the key that it came with.

        Raises:
            RemoteError: The order was refused, and has changed nothing.
        """
        answer: asyncio.Future[ReplyT] = asyncio.get_running_loop().create_future()
        self._waiting.append((Order(cast("Any", request), key), answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        while self._waiting:
            count = min(len(self._waiting), LARGEST_BATCH)
            batch = [self._waiting.popleft() for _ in range(count)]
            # Whose caller has gone away before its turn is dropped; after that it is executed, heard or not.
            await self._execute([(order, answer) for order, answer in batch if not answer.done()])
        self._worker = None

    async def _execute(self, batch: list[tuple[Order, asyncio.Future[Any]]]) -> None:
        orders = [order for order, _ in batch]
        try:
            outcomes = await asyncio.get_running_loop().run_in_executor(self._thread, self._books.execute, orders)
        except Exception as error:
            log.exception("%d orders failed", len(orders))
            outcomes = [BooksUnavailable(str(error)) for _ in orders]
        for (_, answer), outcome in zip(batch, outcomes, strict=True):
            if answer.done():
                continue
            if isinstance(outcome, tomada.RemoteError):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)
