"""Byte streams at the accepting end: a task per stream, in the hands of its handler."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from tomada.driven import Driven
from tomada.endpoint import log
from tomada.errors import FileChanged, TomadaError
from tomada.streams import Stream, blocking
from tomada.streams.flow import Flow
from tomada.telemetry.statistics import Moved

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
        endpoint = self._endpoint
        return Flow(endpoint.limits, endpoint.deadlines, self._begin, options=self._options, room=endpoint.room)

    def _begin(self, flow: Flow) -> None:
        endpoint = self._endpoint
        refusal = "the server stops" if endpoint.is_closing else ""
        if flow.ticket is not None and not refusal:
            refusal = flow.ticket.enter()
        if refusal:
            flow.refuse(refusal, is_wrong=not endpoint.is_closing)
            return
        endpoint.flows.add(flow)
        endpoint.tally.stream_opened()
        flow.ended.add_done_callback(lambda _: self._ended(flow))
        flow.tell_open()
        flow.driven = Driven(self._serve(flow))
        endpoint.spawn(flow.driven.run())

    def _ended(self, flow: Flow) -> None:
        self._endpoint.flows.discard(flow)
        moved = Moved(received_bytes=flow.received_bytes, sent_bytes=flow.sent_bytes)
        self._endpoint.tally.stream_ended(moved, is_wrong=flow.is_wrong)

    async def _serve(self, flow: Flow) -> None:
        endpoint, where, why = self._endpoint, self._handler.where, ""
        try:
            await self._call(self._face(Stream(flow)), None)
        except FileChanged as error:
            # An orderly end would make the peer take what it got for the whole file.
            flow.cut(f"{where} ended: {error}")
        except TomadaError as error:
            # Time-outs, limits, lost connections: what peers and networks do, told with the end.
            why = f"{where} ended: {error}"
        except Exception as error:  # noqa: BLE001 - told to the log
            log.exception("%s: %s raised", flow.peer, where)
            endpoint.heed(error)
            flow.cut(f"{where} raised")
        except asyncio.CancelledError:
            flow.cut("the server stops at once" if endpoint.is_cut else f"{where} was cancelled")
            raise
        except BaseException:
            flow.cut("the server stops at once")
            raise
        await flow.close(why)

    def _face(self, stream: Stream) -> Stream | blocking.Stream:
        return stream if self._handler.is_async else blocking.Stream(stream, self._run)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """From a handler's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._endpoint.loop).result()


def streams_of(handler: StreamHandler, options: transports.Options) -> Callable[[Endpoint], Callable[[], Flow]]:
    """What gives, for an endpoint, what makes the streams of `handler`."""
    return lambda endpoint: StreamServer(endpoint, handler, options).flow
