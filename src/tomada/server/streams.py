"""Byte streams at the accepting end: a task per stream, in the hands of its handler."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from tomada.driven import Driven
from tomada.endpoint import log
from tomada.errors import FileChanged, TomadaError
from tomada.streams import Stream, blocking
from tomada.streams.flow import Flow

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tomada import transports
    from tomada.endpoint import Endpoint
    from tomada.streams.declaration import StreamHandler

T = TypeVar("T")


class StreamServer:
    """Gives each stream that comes to an address to the handler declared for it.

    Args:
        endpoint: What it shares with the rest of its server.
        handler: The declared handler.
        options: Of the transports.
    """

    __slots__ = ("_call", "_endpoint", "_handler", "_options")

    def __init__(self, endpoint: Endpoint, handler: StreamHandler, options: transports.Options) -> None:
        self._endpoint = endpoint
        self._handler = handler
        self._options = options
        self._call = endpoint.bind(handler)

    def flow(self) -> Flow:
        """What is to be put above the transport of a new stream."""
        return Flow(self._endpoint.limits, self._endpoint.deadlines, self._begin, options=self._options)

    def _begin(self, flow: Flow) -> None:
        endpoint = self._endpoint
        refusal = "the server stops" if endpoint.is_closing else ""
        if flow.ticket is not None and not refusal:
            refusal = flow.ticket.enter()
        if refusal:
            flow.cut(refusal)
            return
        endpoint.flows.add(flow)
        flow.ended.add_done_callback(lambda _: endpoint.flows.discard(flow))
        flow.driven = Driven(self._serve(flow))
        endpoint.spawn(flow.driven.run())

    async def _serve(self, flow: Flow) -> None:
        endpoint = self._endpoint
        try:
            await self._call(self._face(Stream(flow)), None)
        except FileChanged as error:
            # An orderly end would make the peer take what it got for the whole file.
            log.warning("%s: %s ended: %s", flow.peer, self._handler.where, error)
            flow.cut(str(error))
        except TomadaError as error:
            # Time-outs, limits, lost connections: what peers and networks do, told in a line.
            log.info("%s: %s ended: %s", flow.peer, self._handler.where, error)
        except Exception:  # noqa: BLE001 - told to the log
            log.exception("%s: %s raised", flow.peer, self._handler.where)
            flow.cut("its handler raised")
        except asyncio.CancelledError:
            if not endpoint.is_cut:
                log.warning("%s: %s was cancelled", flow.peer, self._handler.where)
            flow.cut("the server stops at once" if endpoint.is_cut else "its handler was cancelled")
            raise
        except BaseException:
            flow.cut("the server stops at once")
            raise
        await flow.close()

    def _face(self, stream: Stream) -> Stream | blocking.Stream:
        return stream if self._handler.is_async else blocking.Stream(stream, self._run)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """From a handler's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._endpoint.loop).result()


def streams_of(handler: StreamHandler, options: transports.Options) -> Callable[[Endpoint], Callable[[], Flow]]:
    """What gives, for an endpoint, what makes the streams of `handler`."""
    return lambda endpoint: StreamServer(endpoint, handler, options).flow
