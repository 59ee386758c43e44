"""`connect_stream`: from an address to an open `Stream`."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from tomada import transports
from tomada.address import Address
from tomada.client.retrying import persistently
from tomada.event_loop import new_event_loop
from tomada.opening import Opening
from tomada.settings import TLS, Deadlines, Limits
from tomada.streams import Stream, blocking
from tomada.streams.flow import Flow

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


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
        factory = partial(Flow, limits, deadlines)
        _, flow = await transports.connect(address, factory, timeout=deadlines.connect, options=options)
        return Stream(flow)

    return await persistently(attempt, wait)


def connect_stream_blocking(
    address: str | Address,
    *,
    tls: TLS | None = None,
    wait: float = 0,
    limits: Limits | None = None,
    deadlines: Deadlines | None = None,
) -> blocking.Stream:
    r"""A stream of bytes to whoever listens at `address`, for programs without an event loop.

    ::

        with tomada.sync.connect_stream("tcp://127.0.0.1:7000") as stream:
            stream.send(b"HELO\\r\\n")
            print(stream.receive_until(b"\\r\\n"))

    Arguments and errors are those of `tomada.connect_stream`.
    """
    opening = connect_stream(address, tls=tls, wait=wait, limits=limits, deadlines=deadlines)

    async def opened() -> Stream:
        return await opening

    runner = asyncio.Runner(loop_factory=new_event_loop)

    def run(work: Coroutine[Any, Any, T]) -> T:
        return runner.run(work)

    try:
        return blocking.Stream(run(opened()), run, runner.close)
    except BaseException:
        runner.close()
        raise
