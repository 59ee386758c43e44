"""A function that handles datagrams, as users write it, read and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tomada.datagrams.peer import DatagramPeer
from tomada.declaration import Hook, check_given
from tomada.errors import DeclarationError
from tomada.transports.datagram_opening import SCHEMES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tomada.address import Address
    from tomada.transports.datagram import DatagramOptions


class DatagramHandler:
    """A function that handles the datagrams of one address.

    Attributes:
        address: Where they are received.
        asks_for: Name and type of each parameter that an ``on_start`` function must fill.
        options: Of the socket.
        trusted: Whether every source is taken for what it says, and answered at any length.
        where: The function's name and place, for messages to people.
    """

    __slots__ = ("_kinds", "address", "asks_for", "function", "is_async", "options", "trusted", "where")

    def __init__(
        self, function: Callable[..., Any], address: Address, options: DatagramOptions, *, trusted: bool
    ) -> None:
        hook = Hook(function, "datagram")
        self.function = function
        self.address = address
        self.options = options
        self.trusted = trusted
        self.is_async = hook.is_async
        self.where = hook.where
        self._kinds = [kind for _, kind in hook.asks_for]
        self.asks_for = tuple(each for each in hook.asks_for if each[1] not in (bytes, DatagramPeer))
        if address.scheme not in SCHEMES:
            raise DeclarationError(
                f"{self.where}: {address} carries no datagrams: write a udp or unixgram address, as udp://:7001"
            )
        if self._kinds.count(bytes) != 1 or self._kinds.count(DatagramPeer) > 1:
            raise DeclarationError(
                f"{self.where} must take one datagram, and may take its sender: "
                "write `async def handler(datagram: bytes, peer: tomada.DatagramPeer)`"
            )

    def check(self, connection_type: type, given: list[Any], *, sure: bool) -> None:
        """Raise `DeclarationError` where the function asks for what nobody can give it."""
        for name, kind in self.asks_for:
            asks = f"{self.where} asks for {name}: {kind.__name__}"
            if kind is connection_type:
                raise DeclarationError(f"{asks}, but datagrams come over none: write `{name}: tomada.DatagramPeer`")
            check_given(asks, kind, given, sure=sure)

    def bind(self, states: Sequence[Any]) -> Callable[[bytes, DatagramPeer], Any]:
        """The function as one of datagram and peer.

        Args:
            states: What it asks for, in the order of `asks_for`.
        """
        function = self.function
        if self._kinds == [bytes, DatagramPeer]:
            return function
        if self._kinds == [bytes]:
            return lambda datagram, _: function(datagram)
        left = iter(states)
        parts = [kind if kind in (bytes, DatagramPeer) else next(left) for kind in self._kinds]
        return lambda datagram, peer: function(
            *[datagram if part is bytes else peer if part is DatagramPeer else part for part in parts]
        )
