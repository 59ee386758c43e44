"""All connections through one proxy, and how bad it is for them just now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from tomada import transports
from tomada.errors import ConnectFailed
from tomada.testing.proxy.faults import WAYS, Faults, Hold, ways
from tomada.testing.proxy.pair import Pair

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.address import Address
    from tomada.testing.proxy.faults import Direction, Way


class ProxyStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a `FaultProxy` has done so far, at one moment. Got from `FaultProxy.statistics`."""

    connections: int
    """Accepted so far."""
    open: int
    """Of which at least one end is still there."""
    to_server_bytes: int
    """Passed on, in all connections."""
    to_client_bytes: int
    """The same, the other way."""
    resets: int
    """Connections that the proxy has reset, as it was asked; not those that one of their ends has reset."""
    unreached: int
    """Connections that were reset because the server could not be reached."""
    unreached_why: str
    """Why not, the last time; else empty."""


class Relay:
    """Joins each client that comes to a connection of its own to the server.

    Args:
        to: Where the server is.
        seed: Decides what is left to chance.
        most: Bytes that wait here in each direction of a connection before reading pauses.
        timeout: Seconds in which the server must be reached.
    """

    def __init__(self, to: Address, seed: int, most: int, timeout: float) -> None:
        self.to = to
        self.seed = seed
        self.most = most
        self.faults: dict[Way, Faults] = dict.fromkeys(WAYS, Faults())
        self.holds: dict[Way, Hold] = dict.fromkeys(WAYS, Hold.NOBODY)
        self.resets = 0
        self.refuses = False
        """What still comes is reset."""
        self.is_closed = False
        self._timeout = timeout
        self._count = 0
        self._pairs: dict[int, Pair] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._relayed: dict[Way, int] = dict.fromkeys(WAYS, 0)
        """In the connections that are gone."""
        self._unreached = 0
        self._unreached_why = ""

    # From the pairs.

    def accept(self) -> asyncio.Protocol:
        """The client's end of a new connection."""
        self._count += 1
        return Pair(self, self._count).client

    def arrived(self, pair: Pair) -> None:
        """Its client is there."""
        self._pairs[pair.number] = pair
        if self.refuses:
            pair.end()

    def connect(self, pair: Pair) -> asyncio.Task[None]:
        """Connect it to the server."""
        task = asyncio.get_running_loop().create_task(self._connect(pair))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return task

    async def _connect(self, pair: Pair) -> None:
        try:
            await transports.connect(self.to, lambda: pair.server, timeout=self._timeout)
        except ConnectFailed as error:
            if not pair.is_over:  # or it was reset meanwhile
                self._unreached += 1
                self._unreached_why = str(error)
                pair.end()
        except BaseException:
            pair.end()
            raise

    def forget(self, pair: Pair) -> None:
        """Both of its ends are gone."""
        self._pairs.pop(pair.number, None)
        for way in WAYS:
            self._relayed[way] += pair.pipes[way].relayed

    # From the proxy.

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Those that are there, the oldest first."""
        return tuple(self._pairs.values())

    def use(self, way: Way, faults: Faults) -> None:
        """From now on, for all connections."""
        if not isinstance(faults, Faults):
            raise TypeError(f"faults are given as Faults(…), not as {faults!r}")
        self.faults[way] = faults
        for pair in self.pairs:
            pair.pipes[way].use(faults)

    def hold(self, direction: Direction, who: Hold) -> None:
        """Let nothing pass in any connection."""
        for way in ways(direction):
            self.holds[way] |= who
        for pair in self.pairs:
            pair.hold(direction, who)

    def release(self, direction: Direction, who: Hold) -> None:
        """Let it pass again."""
        for way in ways(direction):
            self.holds[way] &= ~who
        for pair in self.pairs:
            pair.release(direction, who)

    def statistics(self) -> ProxyStatistics:
        """Of this moment."""
        relayed = {way: self._relayed[way] + sum(pair.pipes[way].relayed for pair in self.pairs) for way in WAYS}
        return ProxyStatistics(
            connections=self._count,
            open=len(self._pairs),
            to_server_bytes=relayed["to_server"],
            to_client_bytes=relayed["to_client"],
            resets=self.resets,
            unreached=self._unreached,
            unreached_why=self._unreached_why,
        )

    async def close(self) -> None:
        """End all connections, and wait until they are gone."""
        self.refuses = self.is_closed = True
        pairs = self.pairs
        for pair in pairs:
            pair.end()
        await until_gone(pairs)
        if self._opening:
            await asyncio.wait(self._opening)


async def until_gone(pairs: Iterable[Pair]) -> None:
    """Wait until both ends of each have gone."""
    waiting = [pair.gone for pair in pairs]
    if waiting:
        await asyncio.wait(waiting)
