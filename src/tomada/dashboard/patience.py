"""How long a caller of the web server may take to say what it wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

SECONDS: Final = 10.0
"""From the connection, or a later request's first byte, to the end of its headers; single bytes do not renew it."""


class PatientProtocol(H11Protocol):
    """The web server's own, which else waits for the rest of a request for ever."""

    late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # the one that there is
        """Somebody has connected."""
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Some of a request has come."""
        super().data_received(data)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._be_calm()
        super().connection_lost(exc)

    def _look(self) -> None:
        if self.conn.their_state is not h11.IDLE:  # its headers are here, or it has become a WebSocket
            self._be_calm()
        elif self.late is None:
            self.late = self.loop.call_later(SECONDS, self._give_up)

    def _be_calm(self) -> None:
        if self.late is not None:
            self.late.cancel()
            self.late = None

    def _give_up(self) -> None:
        self.late = None
        self.transport.abort()
