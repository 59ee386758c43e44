"""Bytes in awkward pieces, at places that a seed decides."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tomada.transports import memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random


@contextmanager
def in_pieces(random: Random) -> Iterator[None]:
    """Cut what travels over the ``memory`` connections made in this block into pieces of random sizes, both ways.

    ::

        with in_pieces(Random(7)):
            async with tomada.connect("memory://bank") as bank: ...

    Args:
        random: Decides the sizes: the same seed gives the same pieces, as long as the program does the same.
    """
    token = memory.PIECES.set(random)
    try:
        yield
    finally:
        memory.PIECES.reset(token)
