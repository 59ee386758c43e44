"""One attempt to reach a server, or as many as fit into the time to wait, with growing pauses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from tomada.errors import ConnectFailed
from tomada.settings import FIRST_PAUSE, LONGEST_PAUSE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


async def persistently(attempt: Callable[[], Awaitable[T]], wait: float) -> T:
    """What `attempt` gives; while it raises `ConnectFailed`, it is tried again until `wait` seconds have passed."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + wait
    pause = FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except ConnectFailed:
            left = give_up - loop.time()
            if left <= 0:
                raise
        await asyncio.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE)
