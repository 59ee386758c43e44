"""How long handlers take, where somebody wants to know."""

from __future__ import annotations

from asyncio import CancelledError
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from tomada.telemetry.events import RequestEnded
from tomada.telemetry.hub import emit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

T = TypeVar("T")


async def span(work: Awaitable[T], name: str, peer: object) -> T:
    """What `work`, a handler, gives; its end is told."""
    with measured(name, peer):
        return await work


@contextmanager
def measured(name: str, peer: object) -> Iterator[None]:
    """The body is a handler's: its end is told. The peer is written only then."""
    begun = perf_counter()
    failure = ""
    try:
        yield
    except CancelledError:
        failure = "cancelled"
        raise
    except BaseException:
        failure = "raised"
        raise
    finally:
        if RequestEnded.subscribers:
            emit(RequestEnded(peer=str(peer), name=name, seconds=perf_counter() - begun, failure=failure))
