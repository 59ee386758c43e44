"""`FaultProxy`: what users put between a client and a server, to see what becomes of them on a bad network."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal

from tomada.address import Address
from tomada.errors import AddressError
from tomada.testing.proxy.connection import ProxiedConnection
from tomada.testing.proxy.door import Door
from tomada.testing.proxy.faults import WAYS, Faults, Hold, ways
from tomada.testing.proxy.relay import Relay, until_gone

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tomada.testing.proxy.faults import Direction
    from tomada.testing.proxy.relay import ProxyStatistics

_CARRIERS: Final = ("tcp", "unix", "memory")
_MANNERS: Final = ("reset", "stall")


class FaultProxy:
    """Relays byte streams between clients and a server, and makes the network between them as bad as it is told to.

    ::

        async with FaultProxy("tcp://127.0.0.1:0", to="tcp://127.0.0.1:4477") as proxy:
            proxy.faults = Faults(latency=0.05, slice=1)
            async with tomada.connect(proxy.address) as connection:
                ...
                await proxy.reset()

    It passes bytes on as they are: TLS, WebSocket and any other protocol go through it, over ``tcp``. It reads no
    faster than it passes on. Where chance decides, the seed does; the connections have numbers, from 1, and each draws
    by itself.

    All of it is to be called on the event loop that it was entered on; another thread goes through that loop's
    ``call_soon_threadsafe``, and ``asyncio.run_coroutine_threadsafe``.

    Args:
        listen: Where clients connect to: a ``tcp``, ``unix`` or ``memory`` address; port 0 is a free one.
        to: Where the server is.
        faults: What happens to the bytes at first, both ways.
        seed: Decides all that is left to chance.
        buffer_bytes: How much of each direction of a connection waits here before reading pauses: with a latency, at
            most so much passes in that time.
        connect_timeout: Seconds in which the server must be reached; a client whose server cannot be is reset.

    Raises:
        AddressError: An address cannot be read, or is none of bytes as they are.
        ValueError: A number is out of its range.
        ListenFailed: It cannot be listened on (when entered).
    """

    def __init__(
        self,
        listen: str | Address,
        *,
        to: str | Address,
        faults: Faults | None = None,
        seed: int = 0,
        buffer_bytes: int = 262_144,
        connect_timeout: float = 5.0,
    ) -> None:
        for name, value in (("buffer_bytes", buffer_bytes), ("connect_timeout", connect_timeout)):
            if not value > 0:
                raise ValueError(f"{name} is {value!r}, it must be a number above 0")
        self._listen = _carrier(listen, "listen on")
        self._relay = Relay(_carrier(to, "connect to"), seed, buffer_bytes, connect_timeout)
        self._door: Door | None = None
        self._refuses = False
        self._is_dropped = False
        self.faults = faults or Faults()

    async def __aenter__(self) -> Self:
        if self._door is not None:
            raise RuntimeError("this proxy was entered before: make a new one")
        self._door = Door(self._listen, self._relay.accept)
        try:
            self._door.reserve()
            await self._set_door()
        except BaseException:
            self._door.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._door is not None:
            self._door.close()
        await self._relay.close()

    # Where.

    @property
    def address(self) -> Address:
        """Where clients connect to, with the port that the system chose in place of 0; the first of `addresses`."""
        return self.addresses[0]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where clients connect to; several where the host has several, as localhost."""
        return (self._listen,) if self._door is None else self._door.addresses

    @property
    def to(self) -> Address:
        """Where the server is. Assign another one when it has moved: it is for the connections to come."""
        return self._relay.to

    @to.setter
    def to(self, address: str | Address) -> None:
        self._relay.to = _carrier(address, "connect to")

    # How bad it is.

    @property
    def faults(self) -> Faults:
        """What happens to the bytes, both ways. Assign others at any time: they are for what waits, too.

        Raises:
            ValueError: It is not the same both ways: read `to_server` and `to_client`.
        """
        if self.to_server != self.to_client:
            raise ValueError("the faults are not the same both ways: read to_server and to_client")
        return self.to_server

    @faults.setter
    def faults(self, faults: Faults) -> None:
        for way in WAYS:
            self._relay.use(way, faults)

    @property
    def to_server(self) -> Faults:
        """What happens to the bytes on their way to the server; to be assigned as `faults`."""
        return self._relay.faults["to_server"]

    @to_server.setter
    def to_server(self, faults: Faults) -> None:
        self._relay.use("to_server", faults)

    @property
    def to_client(self) -> Faults:
        """What happens to the bytes on their way to the client; to be assigned as `faults`."""
        return self._relay.faults["to_client"]

    @to_client.setter
    def to_client(self, faults: Faults) -> None:
        self._relay.use("to_client", faults)

    def stall(self, direction: Direction = "both") -> None:
        """Let nothing pass from now on, as if a cable were pulled: no byte, no end, no reset. Nobody is told.

        Connections that come meanwhile are accepted, and reach the server when something passes to it again.
        """
        self._relay.hold(direction, Hold.PROXY)

    def go_on(self, direction: Direction = "both") -> None:
        """Let everything pass again that `stall` has kept; connections that were stalled by themselves stay so."""
        self._relay.release(direction, Hold.PROXY)

    async def refuse(self) -> None:
        """Listen no more: new connections are refused. Those that there are go on.

        On Linux the port stays this proxy's own. A Unix socket's file is removed.
        """
        self._refuses = True
        await self._set_door()

    async def accept(self) -> None:
        """Listen again. Raises `ListenFailed`: somebody else has taken the address meanwhile."""
        self._refuses = False
        await self._set_door()

    async def reset(self) -> None:
        """Reset all connections now, to both ends, and return when they are gone; what was under way is lost.

        TCP says RST. A Unix socket has no such thing: there the other end finds an end, or an error.
        """
        pairs = self._relay.pairs
        for pair in pairs:
            pair.reset()
        await until_gone(pairs)

    def half_close(self, direction: Direction) -> None:
        """End one direction of all connections behind what has come, as if its senders had; the rest is dropped."""
        for way in ways(direction):
            for pair in self._relay.pairs:
                pair.half_close(way)

    async def drop(self, seconds: float, *, existing: Literal["reset", "stall"] = "reset") -> None:
        """Drop the link for a time, and return when it is there again: new connections are refused meanwhile.

        Cancelling it brings the link back at once.

        Args:
            seconds: How long.
            existing: What becomes of the connections that there are: they are reset now, or they stand still for the
                time, and then go on.

        Raises:
            RuntimeError: It is dropped already.
            ListenFailed: Somebody else has taken the address meanwhile.
        """
        if existing not in _MANNERS:
            raise ValueError(f"existing is {existing!r}, it must be 'reset' or 'stall'")
        if not seconds >= 0:
            raise ValueError(f"seconds is {seconds!r}, it must be a number, 0 or more")
        if self._is_dropped:
            raise RuntimeError("the link is dropped already: wait for that to end before the next")
        self._is_dropped = True
        try:
            await self._set_door()
            if existing == "stall":
                self._relay.hold("both", Hold.DROP)
            else:
                await self.reset()
            await asyncio.sleep(seconds)
        finally:
            self._is_dropped = False
            self._relay.release("both", Hold.DROP)
            await self._set_door()

    async def _set_door(self) -> None:
        if self._door is None:
            return
        is_open = not (self._refuses or self._is_dropped)
        self._relay.refuses = not is_open or self._relay.is_closed
        await self._door.set(is_open=is_open)

    # What it has done.

    @property
    def connections(self) -> tuple[ProxiedConnection, ...]:
        """Those that are there, the oldest first, for faults that only one of them shall have."""
        return tuple(map(ProxiedConnection, self._relay.pairs))

    def statistics(self) -> ProxyStatistics:
        """What it has done so far."""
        return self._relay.statistics()

    def __repr__(self) -> str:
        return f"<FaultProxy at {self.address} to {self.to}: {len(self._relay.pairs)} connections>"


def _carrier(address: str | Address, what: str) -> Address:
    place = Address.of(address)
    if place.scheme not in _CARRIERS:
        raise AddressError(
            f"the proxy cannot {what} {place}: it relays bytes as they are; give a tcp, unix or memory address, "
            "through which TLS and WebSocket pass as well"
        )
    return place
