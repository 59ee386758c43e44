"""One attempt to reach a server, or as many as fit into the time to wait, with growing pauses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from tomada.client.pauses import Pauses
from tomada.errors import ConnectFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


async def persistently(attempt: Callable[[], Awaitable[T]], wait: float) -> T:
    """What `attempt` gives; while it raises `ConnectFailed`, it is tried again until `wait` seconds have passed."""
    loop = asyncio.get_running_loop()
    pauses = Pauses(loop.time(), wait)
    while True:
        try:
            return await attempt()
        except ConnectFailed:
            pause = pauses.next(loop.time())
            if pause is None:
                raise
        await asyncio.sleep(pause)
