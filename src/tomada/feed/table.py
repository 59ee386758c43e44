"""The table of all connections of one server, as the collector knows them: counted, found and sorted."""

from __future__ import annotations

import heapq
import os
from typing import TYPE_CHECKING, Any, Final

from tomada.feed.budget import Budget, chunks
from tomada.feed.seen import KEYS, Seen, count
from tomada.telemetry.statistics import Moved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tomada.endpoint import Endpoint
    from tomada.feed.inner import Rank, TurnPage
    from tomada.link import Link
    from tomada.server import Server
    from tomada.streams.flow import Flow

    Place = tuple[str | float | int, Seen]

_LONGEST_NUMBER: Final = 20
_SHALLOW: Final = 8
"""Where less than one in so many is wanted, it is cheaper not to sort them all."""


class Table:
    """The connections and byte streams of one server.

    Args:
        server: Which.
        budget: Of whoever looks.
        number: Of the worker.
        own: The socket file through which the dashboard's users speak to the application.
    """

    def __init__(self, server: Server, budget: Budget, number: int, own: str) -> None:
        self._server = server
        self._budget = budget
        self._own = own
        self._keys = KEYS | {"worker": lambda _: number}
        self._seen: dict[Link | Flow, Seen] = {}
        self._by_number: dict[int, Seen] = {}
        self._numbers = 0
        self._open = [0, 0, 0, 0]
        """What went over those that are seen: messages in and out, bytes in and out."""
        self._ended = Moved()
        """What went over those that had ended at the last look."""
        self.pid = os.getpid()

    def __len__(self) -> int:
        return len(self._seen)

    def forget(self) -> None:
        """Know none any more."""
        self._seen.clear()
        self._by_number.clear()
        self._open = [0, 0, 0, 0]

    def find(self, id_: str) -> Seen | None:
        """The one of this id."""
        number = id_.rpartition("-")[2]
        seen = self._by_number.get(int(number)) if number.isdecimal() and len(number) < _LONGEST_NUMBER else None
        return seen if seen is not None and seen.id == id_ else None

    async def look(self, seconds: float) -> Moved:
        """Know all that there are, and forget those that are gone.

        Args:
            seconds: Since the last look.

        Returns:
            What went over all of them, also those that are gone.
        """
        with self._budget:
            endpoints = self._server.endpoints
            over = endpoints[0].tally.ended
            if over is not self._ended:  # somebody has ended since the last look, or the sum would be the same object
                self._ended = over
                self._part_with_those_gone(endpoints)
            new = self._new(endpoints)
        async for some_new in chunks(new):
            with self._budget:
                for end in some_new:
                    self._meet(end)
        async for some in chunks(self._seen.values()):
            with self._budget:
                count(some, seconds, self._open)
        return over + Moved(*self._open)

    # Those at their handshake are not there yet, and those whose end was told are counted in the tally.

    def _new(self, endpoints: Sequence[Endpoint]) -> list[Link | Flow]:
        # Set by set, which takes no look at any connection that is known.
        new: list[Link | Flow] = []
        for endpoint in endpoints:
            new += (link for link in endpoint.connections.difference(self._seen) if link.is_counted)
            new += endpoint.flows.difference(self._seen)
        return new

    def _part_with_those_gone(self, endpoints: Sequence[Endpoint]) -> None:
        gone = set(self._seen)
        for endpoint in endpoints:
            gone.difference_update(link for link in tuple(endpoint.connections) if link.is_counted)
            gone.difference_update(endpoint.flows)
        for end in gone:
            seen = self._seen.pop(end)
            seen.leave(self._open)
            del self._by_number[seen.number]

    def _meet(self, end: Link | Flow) -> None:
        self._numbers += 1
        seen = self._seen[end] = Seen(end, self._numbers, self.pid, self._own)
        self._by_number[self._numbers] = seen

    async def places(self, asked: TurnPage | Rank, most: int) -> tuple[int, list[Place]]:
        """How many fit the query, and the first ones in the order that was asked for."""
        key, query = self._keys[asked.sort], asked.query.lower()
        if not query and not most:
            return len(self._seen), []
        found: list[Seen] = []
        keys: list[str | float | int] = []
        async for some in chunks(self._seen.values()):
            with self._budget:
                fitting = [seen for seen in some if seen.matches(query)] if query else some
                found += fitting
                keys += map(key, fitting)
        with self._budget:
            order = _first(keys, most, descending=asked.descending)
            return len(found), [(keys[place], found[place]) for place in order]


def _first(keys: list[Any], most: int, *, descending: bool) -> Sequence[int]:
    """The places of the first ones; in which order those with the same key stand stays the same.

    Places are numbers, and no pairs are made of them: thousands of new tuples at every look would wake the garbage
    collector, which then goes through all that the server has.
    """
    places = range(len(keys))
    if most * _SHALLOW < len(keys):
        choose = heapq.nlargest if descending else heapq.nsmallest
        return choose(most, places, key=keys.__getitem__)
    return sorted(places, key=keys.__getitem__, reverse=descending)[:most]
