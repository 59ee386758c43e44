"""`ProxiedConnection`: one connection through a proxy, to be harmed while the others are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomada.testing.proxy.faults import Hold

if TYPE_CHECKING:
    from tomada.testing.proxy.faults import Direction
    from tomada.testing.proxy.pair import Pair


class ProxiedConnection:
    """One connection through a `FaultProxy`, got from `FaultProxy.connections`, for faults that only it shall have."""

    __slots__ = ("_pair",)

    def __init__(self, pair: Pair) -> None:
        self._pair = pair

    @property
    def number(self) -> int:
        """The first connection that the proxy accepted is 1."""
        return self._pair.number

    @property
    def is_open(self) -> bool:
        """Whether at least one of its ends is still there."""
        return not self._pair.gone.done()

    @property
    def to_server_bytes(self) -> int:
        """Passed on to the server so far."""
        return self._pair.pipes["to_server"].relayed

    @property
    def to_client_bytes(self) -> int:
        """Passed on to the client so far."""
        return self._pair.pipes["to_client"].relayed

    async def reset(self) -> None:
        """Reset it now, to both ends; returns when it is gone."""
        self._pair.reset()
        await self._pair.gone

    def stall(self, direction: Direction = "both") -> None:
        """Let nothing pass from now on, not even its end: as `FaultProxy.stall`."""
        self._pair.hold(direction, Hold.CONNECTION)

    def go_on(self, direction: Direction = "both") -> None:
        """Let it pass again, unless all connections are stalled."""
        self._pair.release(direction, Hold.CONNECTION)

    def half_close(self, direction: Direction) -> None:
        """End one direction behind what has come, as if its sender had; what that sends later is dropped."""
        self._pair.half_close(direction)

    def __repr__(self) -> str:
        both = f"{self.to_server_bytes} bytes to the server, {self.to_client_bytes} to the client"
        return f"<ProxiedConnection {self.number}: {both}{'' if self.is_open else ', gone'}>"
