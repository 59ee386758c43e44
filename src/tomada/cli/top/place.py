"""Where a feed is, from what people have: the dashboard's address, its URL, or any address of tomada."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tomada.address import Address
from tomada.cli.output import UsageError

if TYPE_CHECKING:
    from tomada.errors import TomadaError

FEED_PATH: Final = "/feed"
_SCHEMES: Final = {"http": "ws", "https": "wss"}
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
_IN_FRAGMENT: Final = "token="


class Place(NamedTuple):
    """Where to connect to."""

    address: Address
    shown: str
    """The address without the token, for screens and errors."""

    def hiding(self, error: TomadaError) -> str:
        """What `error` says, without the token, which would stay behind on the screen and in logs."""
        return str(error).replace(str(self.address), self.shown)


def feed_place(text: str, token: str = "") -> Place:
    """The place that `text` means: ``127.0.0.1:4480``, the dashboard's ``http://…/#token=…``, ``unix:///…``.

    Args:
        text: As it was written.
        token: Gives the right to act; one in the text goes before it.

    Raises:
        AddressError: It is no address.
        UsageError: The token cannot be one, or there is no room for it at such an address.
    """
    text, mark, fragment = text.partition("#")
    if mark:
        token = fragment.partition(_IN_FRAGMENT)[2] or token
    scheme, divide, rest = text.partition("://")
    if not divide:
        address = Address.parse(text)
        address = Address("ws", address.host, address.port, FEED_PATH)
    else:
        address = Address.parse(f"{_SCHEMES.get(scheme.lower(), scheme)}://{rest}")
        if address.path == "/" and address.scheme in _SCHEMES.values():
            address = Address(address.scheme, address.host, address.port, FEED_PATH)
    return Place(_with_token(address, token), str(address))


def _with_token(address: Address, token: str) -> Address:
    if not token:
        return address
    if _TOKEN.fullmatch(token) is None:
        raise UsageError("the token cannot be one: it has 16 to 128 letters, digits, - and _; copy it from the server")
    if address.scheme not in _SCHEMES.values():
        raise UsageError(f"{address} needs no token: leave it out, or give the dashboard's address")
    return Address(address.scheme, address.host, address.port, f"{address.path}/{token}")
