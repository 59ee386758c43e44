"""The page of one server, beside it in its process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tomada.metrics.page import Page
from tomada.metrics.reader import Reader

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tomada.address import Address
    from tomada.metrics.families import Reading
    from tomada.server import Server


class MetricsPage:
    """Serves what a server counts, for Prometheus, at ``http://…/metrics``.

    ::

        async with tomada.serve(app, "tcp://:4477") as server:
            async with MetricsPage(server, "127.0.0.1:9477") as page:
                print(page.url)

    The page is served by a thread of its own; the server's event loop is only asked for its counts, and reads them a
    few hundred connections in each of its turns. Scrapes within half a second of each other get the same ones.

    To be made in the server's event loop.

    Args:
        server: It listens.
        address: Where; without a host it is the loopback interface, and port 0 is a free one.

    Raises:
        AddressError: The address cannot be read.
        ListenFailed: The system refuses it, such as where somebody listens there.
    """

    def __init__(self, server: Server, address: str | Address = ":9477") -> None:
        self._page = Page(address, self._read)
        self._reader = Reader(server)
        self._loop = asyncio.get_running_loop()
        try:
            self._page.start()
        except BaseException:
            self._reader.close()
            raise

    async def _read(self) -> Reading:
        """In the page's own loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._reader.gather(), self._loop))

    @property
    def url(self) -> str:
        """Where it is."""
        return self._page.url

    async def close(self) -> None:
        """Serve it no more."""
        await asyncio.to_thread(self._page.close)
        self._reader.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
