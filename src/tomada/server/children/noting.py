"""What a child puts around its connection, to note on its page where it is in what it writes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from tomada.connection import Connection
from tomada.link import Link
from tomada.protocol import State
from tomada.server.children.pages import MIDST, OPEN
from tomada.transports.layer import Layer

if TYPE_CHECKING:
    from mmap import mmap

    from tomada.endpoint import Endpoint

_SPOKEN: Final = frozenset({State.LEAVING, State.CLOSED, State.FAILED})
"""This end has said its last word, or its goodbye, of which there is only one."""


class NotingLink(Link):
    """A link that says on a page whether its peer may be said goodbye to.

    Args:
        endpoint: As of `Link`.
        page: The child's.
    """

    __slots__ = ("_page",)

    def __init__(self, endpoint: Endpoint, page: mmap | bytearray) -> None:
        super().__init__(endpoint, Connection)
        self._page = page

    def write(self) -> None:
        """As `Link.write`."""
        page = self._page
        page[MIDST] = 1
        super().write()
        transport = self.transport
        page[MIDST] = transport is None or transport.get_write_buffer_size() > 0
        page[OPEN] = self.engine.state not in _SPOKEN


class NotingLayer(Layer):
    """The lowest layer where there are others: they write when they like, and end before those above them begin.

    Args:
        upper: The next layer.
        page: The child's.
    """

    __slots__ = ("_page", "ended")

    def __init__(self, upper: asyncio.Protocol, page: mmap | bytearray) -> None:
        super().__init__(upper, 0, None)
        self._page = page
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is gone."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is nothing to agree on here."""
        self.lower = cast("asyncio.Transport", transport)
        self.complete()

    def data_received(self, data: bytes) -> None:
        """Passed on."""
        self.upper.data_received(data)

    def eof_received(self) -> bool | None:
        """Passed on."""
        return self.upper.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Passed on."""
        super().connection_lost(exc)
        self.ended.set_result(None)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Passed on, with a note before and after."""
        page = self._page
        page[MIDST] = 1
        self.lower.write(data)
        page[MIDST] = self.lower.get_write_buffer_size() > 0

    def can_write_eof(self) -> bool:
        """As the transport."""
        return self.lower.can_write_eof()

    def write_eof(self) -> None:
        """As the transport."""
        self.lower.write_eof()
