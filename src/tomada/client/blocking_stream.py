"""`connect_stream` for programs without an event loop. `tomada.sync` is its public name."""

from __future__ import annotations

import asyncio
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from tomada.client import stream
from tomada.errors import ConnectionLost, StreamBusy
from tomada.event_loop import new_event_loop
from tomada.streams import blocking
from tomada.streams.inflow import CLOSED

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tomada.address import Address
    from tomada.settings import TLS, Deadlines, Limits
    from tomada.streams import Stream

T = TypeVar("T")


def connect_stream(
    address: str | Address,
    *,
    tls: TLS | None = None,
    wait: float = 0,
    limits: Limits | None = None,
    deadlines: Deadlines | None = None,
) -> blocking.Stream:
    r"""A stream of bytes to whoever listens at `address`, for programs without an event loop.

    ::

        with tomada.sync.connect_stream("tcp://127.0.0.1:7000") as stream:
            stream.send(b"HELO\\r\\n")
            print(stream.receive_until(b"\\r\\n"))

    Arguments and errors are those of `tomada.connect_stream`.
    """
    opening = stream.connect_stream(address, tls=tls, wait=wait, limits=limits, deadlines=deadlines)

    async def opened() -> Stream:
        return await opening

    own = _OwnLoop()
    try:
        return blocking.Stream(own.run(opened()), own.run, own.close)
    except BaseException:
        own.close()
        raise


class _OwnLoop:
    """The loop of one stream, which runs while somebody calls."""

    __slots__ = ("_is_closed", "_runner", "_turn")

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=new_event_loop)
        self._turn = Lock()
        self._is_closed = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end, in the caller's thread."""
        if not self._turn.acquire(blocking=False):
            work.close()
            raise StreamBusy("another thread uses this stream just now: let one thread use it, or open one for each")
        try:
            self._check(work)
            return self._runner.run(work)
        finally:
            self._turn.release()

    def _check(self, work: Coroutine[Any, Any, Any]) -> None:
        if self._is_closed:
            work.close()
            raise ConnectionLost(CLOSED)
        if is_in_loop():
            work.close()
            raise RuntimeError("a blocking stream would stop the event loop that runs here: use tomada.connect_stream")

    def close(self) -> None:
        """Close the loop."""
        self._is_closed = True
        self._runner.close()


def is_in_loop() -> bool:
    """Whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
