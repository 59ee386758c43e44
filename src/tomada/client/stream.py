"""`connect_stream`: from an address to an open `Stream`."""

from __future__ import annotations

from functools import partial

from tomada import transports
from tomada.address import Address
from tomada.client.retrying import persistently
from tomada.opening import Opening
from tomada.settings import TLS, Deadlines, Limits
from tomada.streams import Stream
from tomada.streams.flow import Flow


def connect_stream(
    address: str | Address,
    *,
    tls: TLS | None = None,
    wait: float = 0,
    limits: Limits | None = None,
    deadlines: Deadlines | None = None,
) -> Opening[Stream]:
    r"""A stream of bytes to whoever listens at `address`.

    ::

        async with tomada.connect_stream("tcp://127.0.0.1:7000") as stream:
            await stream.send(b"HELO\\r\\n")
            print(await stream.receive_until(b"\\r\\n"))

    or ``stream = await tomada.connect_stream(…)`` and, at the end, ``await stream.close()``.

    Args:
        address: Such as ``tcp://127.0.0.1:7000``, ``tls://…`` or ``unix:///tmp/app.sock``.
        tls: Whom to trust, and who this end is, on ``tls`` and ``wss`` addresses.
        wait: Seconds to go on trying while nobody listens there yet; by default there is one attempt.
        limits: What the stream may use at this end.
        deadlines: How long things may take.

    Raises:
        AddressError: The address cannot be read (at once).
        ConnectFailed: Nobody could be reached (when entered or awaited).
        HandshakeFailed: Somebody was reached, who could not be agreed with on TLS or WebSocket.
    """
    place = address if isinstance(address, Address) else Address.parse(address)
    return Opening(partial(_open, place, tls, wait, limits or Limits(), deadlines or Deadlines()))


async def _open(address: Address, tls: TLS | None, wait: float, limits: Limits, deadlines: Deadlines) -> Stream:
    options = transports.Options(handshake=deadlines.handshake, tls=tls)

    async def attempt() -> Stream:
        factory = partial(Flow, limits, deadlines, options=options, host=address.host or "localhost")
        _, flow = await transports.connect(address, factory, timeout=deadlines.connect, options=options)
        return Stream(flow)

    return await persistently(attempt, wait)
