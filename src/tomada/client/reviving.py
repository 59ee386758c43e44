"""A lost connection is made again: with growing pauses, until the server would not know the session any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tomada import transports
from tomada.client.pauses import until_forgotten
from tomada.endpoint import log
from tomada.errors import ProtocolError, TransportError
from tomada.protocol import State

if TYPE_CHECKING:
    from tomada.address import Address
    from tomada.link import Link


class Reviver:
    """Connects the link of a client again, each time that it is lost.

    Args:
        link: The client's.
        address: Of the server.
        timeout: Of one attempt, in seconds.
        options: As of `transports.connect`.
    """

    __slots__ = ("_address", "_link", "_options", "_task", "_timeout")

    def __init__(self, link: Link, address: Address, timeout: float, options: transports.Options) -> None:
        self._link = link
        self._address = address
        self._timeout = timeout
        self._options = options
        self._task: asyncio.Task[None] | None = None
        link.ended.add_done_callback(self._stop)

    def revive(self) -> None:
        """The connection is lost: begin, or go on, to connect again."""
        link = self._link
        if link.back is not None and not link.back.done():
            link.back.set_result(None)  # the attempt has failed
        if self._task is None or self._task.done():
            self._task = link.loop.create_task(self._run())

    def _stop(self, _: asyncio.Future[None]) -> None:
        """All is over: an attempt that is under way is for nothing."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._go_on()
        except Exception:  # noqa: BLE001 - told to the log
            log.exception("%s: this end failed while it connected again", self._address)
            self._link.end("this end failed while it connected again; its log says more")

    async def _go_on(self) -> None:
        link = self._link
        pauses = until_forgotten(link.engine, link.endpoint.deadlines.drain, link.loop.time())
        reason = link.engine.reason
        while self._is_lost and (pause := pauses.next(link.loop.time())) is not None:
            await asyncio.sleep(pause)
            if self._is_lost:
                try:
                    await self._attempt()
                except (TransportError, ProtocolError, OSError) as error:
                    reason = str(error)
        if self._is_lost:
            link.end(f"the connection could not be made again within {pauses.seconds:g} s: {reason}")

    @property
    def _is_lost(self) -> bool:
        return self._link.engine.state is State.LOST

    async def _attempt(self) -> None:
        link = self._link
        link.back = link.loop.create_future()
        await transports.connect(self._address, lambda: link, timeout=self._timeout, options=self._options)
        await asyncio.wait([link.back, link.ended], return_when=asyncio.FIRST_COMPLETED)
