"""A function that serves byte streams, as users write it, read and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tomada.declaration import Hook
from tomada.errors import DeclarationError
from tomada.streams import blocking
from tomada.streams.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.address import Address

_SCHEMES: Final = frozenset({"tcp", "tls", "unix", "ws", "wss", "memory"})


class StreamHandler:
    """A function that serves the byte streams of one address.

    Attributes:
        address: Where they are accepted.
        asks_for: Name and type of each parameter after the first, which is the stream.
        where: The function's name and place, for messages to people.
    """

    __slots__ = ("address", "asks_for", "function", "is_async", "where")

    def __init__(self, function: Callable[..., Any], address: Address) -> None:
        hook = Hook(function, "stream")
        self.function = function
        self.address = address
        self.is_async = hook.is_async
        self.where = hook.where
        self.asks_for = hook.asks_for[1:]
        first = [kind for _, kind in hook.asks_for[:1]]
        if first != ([Stream] if self.is_async else [blocking.Stream]):
            right = "async def handler(stream: tomada.Stream)"
            if not self.is_async:
                right = "def handler(stream: tomada.sync.Stream)"
            raise DeclarationError(f"{self.where} takes no stream first: write `{right}`")
        if address.scheme not in _SCHEMES:
            raise DeclarationError(
                f"{self.where}: {address} carries datagrams, no streams: take a tcp, tls, unix or ws address"
            )
