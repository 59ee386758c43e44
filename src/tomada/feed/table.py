"""The table of all connections of one server, as the collector knows them: counted, found and sorted."""

from __future__ import annotations

import heapq
import os
from typing import TYPE_CHECKING, Any, Final

from tomada.feed.budget import Budget, chunks
from tomada.feed.seen import KEYS, Seen
from tomada.protocol.state import FINAL
from tomada.telemetry.statistics import Moved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tomada.feed.inner import Rank, TurnPage
    from tomada.link import Link
    from tomada.server import Server
    from tomada.streams.flow import Flow

    Place = tuple[str | float | int, Seen]

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
        self._by_id: dict[str, Seen] = {}
        self._numbers = 0
        self._open = [0, 0, 0, 0]
        """What went over those that are seen: messages in and out, bytes in and out."""
        self.pid = os.getpid()

    def __len__(self) -> int:
        return len(self._seen)

    def forget(self) -> None:
        """Know none any more."""
        self._seen.clear()
        self._by_id.clear()
        self._open = [0, 0, 0, 0]

    def find(self, id_: str) -> Seen | None:
        """The one of this id."""
        return self._by_id.get(id_)

    async def look(self, seconds: float) -> Moved:
        """Know all that there are, and forget those that are gone.

        Args:
            seconds: Since the last look.

        Returns:
            What went over all of them, also those that are gone.
        """
        with self._budget:
            over = self._server.endpoints[0].tally.ended
            ends = self._ends()
            for gone in self._seen.keys() - ends:
                seen = self._seen.pop(gone)
                seen.leave(self._open)
                del self._by_id[seen.id]
            new = list(ends - self._seen.keys())
        async for some_new in chunks(new):
            with self._budget:
                for end in some_new:
                    self._meet(end)
        async for some in chunks(list(self._seen.values())):
            with self._budget:
                for seen in some:
                    seen.count(seconds, self._open)
        return over + Moved(*self._open)

    def _ends(self) -> set[Link | Flow]:
        ends: set[Link | Flow] = set()
        for endpoint in self._server.endpoints:
            # Those at their handshake are not there yet, and those that have ended are counted in the tally.
            ends.update(one for one in tuple(endpoint.connections) if one.was_open and one.engine.state not in FINAL)
            ends.update(endpoint.flows)
        return ends

    def _meet(self, end: Link | Flow) -> None:
        self._numbers += 1
        seen = self._seen[end] = Seen(end, self._numbers, self.pid, self._own)
        self._by_id[seen.id] = seen

    async def places(self, asked: TurnPage | Rank, most: int) -> tuple[int, list[Place]]:
        """How many fit the query, and the first ones in the order that was asked for."""
        key, query = self._keys[asked.sort], asked.query.lower()
        found: list[Seen] = []
        keys: list[str | float | int] = []
        async for some in chunks(list(self._seen.values())):
            with self._budget:
                for seen in some:
                    if not query or seen.matches(query):
                        found.append(seen)
                        keys.append(key(seen))
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
