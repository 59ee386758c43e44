"""What is told while something happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tomada.telemetry import subscribe


@asynccontextmanager
async def telling(*kinds: type[Any]) -> AsyncIterator[list[Any]]:
    told: list[Any] = []
    with subscribe(told.append, *kinds):
        yield told
