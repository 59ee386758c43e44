"""Who is who on one socket: addresses, and what the system calls them. Looked up once, kept within a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tomada.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT: Final = 4_096
"""How many senders are remembered. Forged ones can push out the others, which only costs another look."""


class Directory(dict[Any, Address]):
    """The address of each sender, by what the system calls it.

    Args:
        address_of: Makes the address of a name.
    """

    def __init__(self, address_of: Callable[[Any], Address]) -> None:
        super().__init__()
        self._address_of = address_of
        self.names: dict[Any, Any] = {}
        """What the system calls each receiver, by address, in text or not."""

    def __missing__(self, name: Any) -> Address:
        if len(self) >= KEPT:
            self.clear()
        address = self[name] = self._address_of(name)
        if address.path or address.port:
            self.keep(address, name)
        return address

    def keep(self, to: str | Address, name: Any) -> None:
        """Remember what the system calls a receiver."""
        if len(self.names) >= KEPT:
            self.names.clear()
        self.names[to] = name


def parsed(to: str | Address) -> Address:
    """An address, given as one or as text. Raises `AddressError`."""
    return to if isinstance(to, Address) else Address.parse(to)
