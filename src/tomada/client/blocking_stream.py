"""`connect_stream` for programs without an event loop. `tomada.sync` is its public name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from tomada.client import stream
from tomada.event_loop import new_event_loop
from tomada.streams import blocking

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

    runner = asyncio.Runner(loop_factory=new_event_loop)

    def run(work: Coroutine[Any, Any, T]) -> T:
        return runner.run(work)

    try:
        return blocking.Stream(run(opened()), run, runner.close)
    except BaseException:
        runner.close()
        raise
