"""The connecting end of the WebSocket handshake (RFC 6455, section 4.1)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.uri import WebSocketURI

from tomada.errors import ConnectFailed, HandshakeFailed
from tomada.transports.websocket.layer import MESSAGE_BYTES, REFUSED, Streaming, WebSocketLayer, library_log

if TYPE_CHECKING:
    import asyncio

    from websockets.extensions import ClientExtensionFactory
    from websockets.http11 import Response
    from websockets.typing import Subprotocol

    from tomada.address import Address
    from tomada.transports.options import Options

_SHOWN: Final = 200
_NOBODY_BEHIND: Final = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)


class _ClientProtocol(Streaming, ClientProtocol):
    """The library's, for streams."""


def protocol_for(
    address: Address, options: Options, extensions: tuple[ClientExtensionFactory, ...] = ()
) -> ClientProtocol:
    """The library's protocol for one connection to `address`, which has its request ready to be sent."""
    offered = cast("list[Subprotocol] | None", [options.subprotocol] if options.subprotocol else None)
    uri = WebSocketURI(address.scheme == "wss", address.host or "localhost", address.port or 0, address.path, "")
    protocol = _ClientProtocol(
        uri, subprotocols=offered, extensions=extensions or None, max_size=MESSAGE_BYTES, logger=library_log
    )
    protocol.send_request(protocol.connect())
    return protocol


def refusal(protocol: ClientProtocol, options: Options) -> HandshakeFailed | ConnectFailed | None:
    """Why the server's answer, which has come, does not open the connection; None: it does."""
    error = protocol.handshake_exc
    if isinstance(error, InvalidStatus):
        # A proxy says so while the server behind it is not up: as if nobody listened.
        is_nobody = error.response.status_code in _NOBODY_BEHIND and not _is_refusal(error.response)
        return (ConnectFailed if is_nobody else HandshakeFailed)(_answer_text(error.response))
    if error is not None:
        return HandshakeFailed(f"{error}: {error.__cause__}" if error.__cause__ else str(error))
    if options.subprotocol and protocol.subprotocol != options.subprotocol:
        return HandshakeFailed(
            f"the server did not agree to the subprotocol {options.subprotocol}; is it a tomada server?"
        )
    return None


def _is_refusal(response: Response) -> bool:
    """Whether it is the server itself that answers, and not a proxy before it."""
    return bytes(response.body).startswith(REFUSED.encode())


def _answer_text(response: Response) -> str:
    body = bytes(response.body).decode(errors="replace").partition("\n")[0][:_SHOWN]
    said = f": {body!a}" if body else ""
    location = response.headers.get_all("Location")
    moved = f"; it names {location[0][:_SHOWN]!a} instead" if location else ""
    return f"the server answered {response.status_code} {response.reason_phrase[:_SHOWN]}{said}{moved}"


class ConnectingWebSocket(WebSocketLayer):
    """The connecting end of a WebSocket; for the arguments see `WebSocketLayer`."""

    __slots__ = ("_heard",)

    protocol: ClientProtocol
    extensions: tuple[ClientExtensionFactory, ...] = ()

    def __init__(self, address: Address, options: Options, upper: asyncio.Protocol) -> None:
        super().__init__(protocol_for(address, options, self.extensions), address, options, upper, None)
        self._heard = False

    def begin(self) -> None:
        """Send the request."""
        self.flush()

    def greet(self, data: bytes) -> None:
        """Read the answer; what follows it are frames."""
        self._heard = True
        if not self.opened.done():
            self.protocol.receive_data(data)
            self._read_answer()

    def end_of_greeting(self) -> None:
        """An answer may end with the connection."""
        if self._heard and not self.opened.done():
            self.protocol.receive_eof()
            self._read_answer()

    def _read_answer(self) -> None:
        events = self.protocol.events_received()
        if not events and self.protocol.handshake_exc is None:
            return
        error = refusal(self.protocol, self._options)
        if error is not None:
            self.protocol.data_to_send()
            self.fail(str(error), type(error))
            return
        self.complete()
        if events[1:] or self.protocol.parser_exc is not None or self.protocol.reader.buffer:
            self.take(events[1:])

    def connection_lost(self, exc: Exception | None) -> None:
        """Without a word of the server it is as if nobody listened: it may be going, or coming."""
        if not self._heard and not self.opened.done():
            self.fail("it went away without a word" if exc is None else str(exc), ConnectFailed)
        super().connection_lost(exc)
