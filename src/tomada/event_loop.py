"""The event loop that programs run on which do not bring their own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop of the fastest kind that the platform has."""
    if sys.platform == "win32":
        import winloop  # noqa: PLC0415 - it may not be there

        return winloop.new_event_loop()
    import uvloop  # noqa: PLC0415 - it may not be there

    return uvloop.new_event_loop()
