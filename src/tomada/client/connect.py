"""`connect`: from an address to an open `Connection`."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from tomada import transports
from tomada.address import Address
from tomada.client.retrying import persistently
from tomada.client.reviving import Reviver
from tomada.connection import Connection
from tomada.endpoint import SUBPROTOCOL, Endpoint
from tomada.errors import ConnectFailed, HandshakeFailed
from tomada.handling import REFUSED
from tomada.link import Link
from tomada.opening import Opening
from tomada.protocol import GoodbyeCode, Role
from tomada.protocol.handshake import Goodbye, goodbye_text
from tomada.settings import TLS, Deadlines, Limits, Sessions

if TYPE_CHECKING:
    from tomada.app import App

_GOODBYE: Final = f"{goodbye_text(Goodbye(GoodbyeCode.REFUSED, ''))}: "


def unfinished(address: Address, error: ConnectFailed | HandshakeFailed) -> ConnectFailed | HandshakeFailed:
    """`error`, which says why a handshake was not completed, with the address."""
    text = str(error)
    if text.startswith(_GOODBYE):
        return type(error)(f"{address} refused the connection: {text.removeprefix(_GOODBYE)}")
    return type(error)(f"{address} was reached, but did not complete the handshake: {error}")


class _Connecting(NamedTuple):
    """How to connect."""

    address: Address
    app: App | None
    wait: float
    limits: Limits
    deadlines: Deadlines
    options: transports.Options
    sessions: Sessions | None

    async def open(self) -> Connection:
        endpoint = Endpoint(Role.CONNECTING, self.app, self.limits, self.deadlines, Connection, self.sessions)
        await endpoint.start()
        try:
            link = await persistently(lambda: self._attempt(endpoint), self.wait)
        except BaseException:
            await endpoint.stop()
            raise
        link.ended.add_done_callback(lambda _: endpoint.stop_soon())
        return link.connection

    async def _attempt(self, endpoint: Endpoint) -> Link:
        opened = endpoint.loop.create_future()

        def factory() -> Link:
            link = Link(endpoint, Connection)
            link.inbox = deque()
            link.opened = opened
            link.revive = Reviver(link, self.address, self.deadlines.connect, self.options).revive
            return link

        _, link = await transports.connect(self.address, factory, timeout=self.deadlines.connect, options=self.options)
        try:
            await opened
            if link.greeter is not None:
                await asyncio.wait([link.greeter])
        except (ConnectFailed, HandshakeFailed) as error:
            raise unfinished(self.address, error) from None
        except asyncio.CancelledError:
            link.end("the program gave up connecting")
            await asyncio.shield(link.ended)
            raise
        if link.is_refused:
            await link.drain()
            raise HandshakeFailed(f"{self.address} was reached, but {REFUSED}")
        return link


def connect(  # noqa: PLR0913 - each option of a connection is a parameter
    address: str | Address,
    *,
    app: App | None = None,
    wait: float = 0,
    tls: TLS | None = None,
    limits: Limits | None = None,
    deadlines: Deadlines | None = None,
    sessions: bool = True,
) -> Opening[Connection]:
    """A connection to the server at `address`.

    ::

        async with tomada.connect("tcp://127.0.0.1:4477") as bank:
            receipt = await bank.ask(Transfer("ana", "rui", 500))

    or ``bank = await tomada.connect(…)`` and, at the end, ``await bank.close()``.

    Args:
        address: Such as ``tcp://127.0.0.1:4477``, ``ws://127.0.0.1:4477/`` or ``unix:///tmp/bank.sock``.
        app: Handlers for what the server asks and sends; what has no handler comes out of `Connection.receive`.
        wait: Seconds to go on trying while nobody listens there yet; by default there is one attempt.
        tls: Whom to trust, and who this end is, on ``tls`` addresses; by default it trusts whom the system trusts.
        limits: What the connection may use at this end.
        deadlines: How long things may take.
        sessions: Whether it goes on over a new connection when this one is lost: what is under way just takes longer,
            and nothing is lost or handled twice, as long as the server keeps the session (`Sessions`). Otherwise all
            that waits fails with `ConnectionLost` at once.

    Raises:
        AddressError: The address cannot be read (at once).
        ConnectFailed: Nobody could be reached (when entered or awaited).
        HandshakeFailed: Somebody was reached who is no tomada server, or who refused; that is not tried again.
    """
    deadlines = deadlines or Deadlines()
    options = transports.Options(handshake=deadlines.handshake, frame=deadlines.frame, tls=tls, subprotocol=SUBPROTOCOL)
    place = Address.of(address)
    return Opening(
        _Connecting(place, app, wait, limits or Limits(), deadlines, options, Sessions() if sessions else None).open
    )
