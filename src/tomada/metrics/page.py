"""The page that Prometheus scrapes: a small HTTP server in a thread of its own, beside the server's loop.

It understands a GET of ``/metrics``, and nothing else. Whoever connects has little time, and little room.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Final

from tomada.address import Address
from tomada.endpoint import log
from tomada.errors import ListenFailed
from tomada.metrics.exposition import as_text
from tomada.transports.reservation import reserve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from tomada.metrics.families import Reading

LOOPBACK: Final = "127.0.0.1"
_MOST_CALLERS: Final = 16
_HEADER_BYTES: Final = 8_192
_PATIENCE: Final = 5.0
"""Seconds in which a caller has asked, and in which it has taken the answer."""
_READING: Final = 10.0
"""Seconds in which there is a reading."""
_FRESH: Final = 0.5
"""A reading is given to all who ask within so many seconds."""
_QUEUE: Final = 16
_PLAIN: Final = "text/plain; charset=utf-8"
_WHERE: Final = b"tomada's metrics are at /metrics\n"


class Page:
    """Serves readings at an address, from its beginning to its end.

    Args:
        address: ``127.0.0.1:9477``, or as for a server; without a host it is this machine alone, and port 0 is any.
        read: Gives a reading; called in the page's own event loop.

    Raises:
        AddressError: The address cannot be read.
        ListenFailed: The system refuses it, such as where somebody listens there.
    """

    def __init__(self, address: str | Address, read: Callable[[], Awaitable[Reading]]) -> None:
        given = Address.of(address)
        self._reserved = reserve(Address("tcp", given.host or LOOPBACK, given.port))
        self._read = read
        self._known: tuple[float, Reading] | None = None
        self._callers = 0
        self._reading = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._is_up = Event()
        self._failure: OSError | None = None
        self._thread = Thread(target=self._run, name="tomada metrics", daemon=True)

    @property
    def url(self) -> str:
        """Of the page."""
        place = self._reserved.addresses[0]
        host = f"[{place.host}]" if ":" in place.host else place.host
        return f"http://{host}:{place.port}/metrics"

    def start(self) -> Page:
        """Serve from now on.

        Raises:
            ListenFailed: As when it is made; somebody else may have been quicker.
        """
        self._thread.start()
        self._is_up.wait()
        if self._failure is not None:
            self.close()
            raise ListenFailed(f"cannot listen on {self._reserved.addresses[0]}: {self._failure.strerror}")
        return self

    def close(self) -> None:
        """Serve no more. It waits for the thread, which ends at once."""
        if self._thread.is_alive():
            with suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()
        else:
            self._loop.close()
        self._reserved.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._is_up.set()

    async def _serve(self) -> None:
        servers = [
            await asyncio.start_server(self._meet, sock=own, limit=_HEADER_BYTES, backlog=_QUEUE)
            for own in self._reserved.sockets
        ]
        self._is_up.set()
        await self._over.wait()
        for server in servers:
            server.close()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._callers += 1
        try:
            if self._callers <= _MOST_CALLERS:
                await self._answer(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()  # it has gone, or does not speak HTTP
        finally:
            self._callers -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        method, target, _ = [*first.split(" "), "", ""][:3]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        status, body, kind = await self._body(method, target.partition("?")[0], headers.get("accept", ""))
        writer.write(_head(status, len(body), kind) + (b"" if method == "HEAD" else body))
        writer.write_eof()
        async with asyncio.timeout(_PATIENCE):
            await writer.drain()
            while await reader.read(_HEADER_BYTES):  # until it has all: a reset would destroy what it has not read
                pass

    async def _body(self, method: str, path: str, accept: str) -> tuple[HTTPStatus, bytes, str]:
        if method not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, b"only GET\n", _PLAIN
        if path == "/":
            return HTTPStatus.OK, _WHERE, _PLAIN
        if path != "/metrics":
            return HTTPStatus.NOT_FOUND, _WHERE, _PLAIN
        try:
            async with asyncio.timeout(_READING):
                reading = await self._fresh()
        except TimeoutError:
            return HTTPStatus.SERVICE_UNAVAILABLE, b"the server did not answer: a handler keeps its loop\n", _PLAIN
        except Exception:  # noqa: BLE001 - told to the log
            log.exception("the metrics cannot be read")
            return HTTPStatus.INTERNAL_SERVER_ERROR, b"the log of the server says more\n", _PLAIN
        return HTTPStatus.OK, *as_text(reading, accept)

    async def _fresh(self) -> Reading:
        async with self._reading:
            if self._known is None or monotonic() - self._known[0] > _FRESH:
                reading = await self._read()
                self._known = monotonic(), reading
            return self._known[1]


def _head(status: HTTPStatus, length: int, kind: str) -> bytes:
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {length}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii")
