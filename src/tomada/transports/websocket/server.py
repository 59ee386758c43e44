"""The accepting end of the WebSocket handshake (RFC 6455, section 4.2): an HTTP request, checked and answered."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from websockets.exceptions import InvalidHeader
from websockets.server import ServerProtocol

from tomada.transports.websocket.layer import MESSAGE_BYTES, REFUSED, Streaming, WebSocketLayer, library_log

if TYPE_CHECKING:
    import asyncio

    from websockets.extensions import ServerExtensionFactory
    from websockets.http11 import Request, Response
    from websockets.typing import Subprotocol

    from tomada.address import Address
    from tomada.transports.layer import Layer
    from tomada.transports.options import Options

REQUEST_BYTES: Final = 32_768
"""The longest request, with all its headers: browsers send all cookies of the host."""
_METHOD_BYTES: Final = 16
_SHOWN: Final = 200
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}

PAGE: Final = """\
This is a WebSocket, not a web page.

A program speaks to it at {address}, for example tomada's own client:

    import {{ connect }} from "./tomada.js";
    const connection = await connect("{address}");
"""


class _ServerProtocol(Streaming, ServerProtocol):
    """The library's, for streams."""


class AcceptingWebSocket(WebSocketLayer):
    """The accepting end of a WebSocket; for the arguments see `WebSocketLayer`."""

    __slots__ = ("_heard", "_method")

    protocol: ServerProtocol
    extensions: tuple[ServerExtensionFactory, ...] = ()
    """None: what tomada sends is short and binary, and to compress secrets beside foreign text gives them away."""

    def __init__(
        self, address: Address, options: Options, upper: asyncio.Protocol, pending: set[Layer] | None = None
    ) -> None:
        offered = cast("list[Subprotocol]", [options.subprotocol] if options.subprotocol else [])
        protocol = _ServerProtocol(
            subprotocols=offered, extensions=self.extensions, max_size=MESSAGE_BYTES, logger=library_log
        )
        super().__init__(protocol, address, options, upper, pending)
        self._heard = 0
        self._method = b""
        """The beginning of the request: its method, as far as it has come, and perhaps more."""

    def begin(self) -> None:
        """The client speaks first."""

    def greet(self, data: bytes) -> None:
        """Read the request; answer it when it is whole."""
        protocol = self.protocol
        if self.opened.done() or protocol.eof_sent:
            return
        self._heard += len(data)
        if len(self._method) < _METHOD_BYTES:
            self._method += data[:_METHOD_BYTES]
        if not self._method[:1].isalpha():  # or a client of another protocol and this end would wait for each other
            self._reject(HTTPStatus.BAD_REQUEST, "it is no HTTP request; is the client meant for tcp, or for tls?")
            return
        protocol.receive_data(data)
        events = protocol.events_received()
        if not events:
            self._check_unfinished()
        elif len(events) > 1 or protocol.reader.buffer or protocol.eof_sent:
            self._reject(HTTPStatus.BAD_REQUEST, "it goes on before it has been answered")
        else:
            self._answer(events[0])  # type: ignore[arg-type] # the first event of a server is the request

    def _check_unfinished(self) -> None:
        if self.protocol.handshake_exc is not None:
            self._refuse_unread(self.protocol.handshake_exc)
        elif self._heard > REQUEST_BYTES:
            self._reject(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"it is longer than {REQUEST_BYTES} bytes")

    def _refuse_unread(self, error: Exception) -> None:
        """What the library could not read; some of it is answered by the library itself."""
        while error.__cause__ is not None:
            error = cast("Exception", error.__cause__)
        why = str(error)[:_SHOWN]
        if any(self.protocol.writes):
            self.flush()
            self.fail(f"no WebSocket handshake: {why}")
        else:
            self.protocol.data_to_send()
            method, is_whole, _ = self._method.partition(b" ")
            if is_whole and method != b"GET" and method.isalpha():
                self._reject(*_wrong_method(method.decode("ascii")))
            else:
                self._reject(HTTPStatus.BAD_REQUEST, f"it cannot be read: {why!a}")

    def _answer(self, request: Request) -> None:
        status, why = self._wrong(request) or self._full() or (None, "")
        if status is not None:
            self._reject(status, why)
            return
        response = self._amended(self.protocol.accept(request))
        self._send(response)
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self.complete()
        else:
            self.fail(f"no WebSocket handshake: {self.protocol.handshake_exc}")

    def _wrong(self, request: Request) -> tuple[HTTPStatus, str] | None:
        """What is wrong with a request beside what the library checks."""
        if request.method != "GET":
            return _wrong_method(request.method)
        path = request.path.partition("?")[0]
        if path != self._address.path:
            return HTTPStatus.NOT_FOUND, f"nothing is served at {path[:_SHOWN]!a}, only at {self._address.path}"
        hosts, origins = (request.headers.get_all(name) for name in ("Host", "Origin"))
        if len(hosts) != 1 or len(origins) > 1:
            return HTTPStatus.BAD_REQUEST, "it must have one Host, and one Origin at most"
        if origins and not is_allowed(origins[0], hosts[0], self._options.origins):
            origin = origins[0][:_SHOWN]
            why = f"pages of {origin!a} may not connect; to allow them, serve with origins=({origin!a},)"
            return HTTPStatus.FORBIDDEN, why
        return None

    def _full(self) -> tuple[HTTPStatus, str] | None:
        """Why the server has no room, if it has none; it is asked again when the connection is open."""
        why = "" if self.ticket is None else self.ticket.why_not()
        return (HTTPStatus.SERVICE_UNAVAILABLE, why) if why else None

    def _amended(self, response: Response) -> Response:
        """The library's answer, with what it leaves out."""
        error = self.protocol.handshake_exc
        if isinstance(error, InvalidHeader) and error.name == "Sec-WebSocket-Version":
            response = self.protocol.reject(HTTPStatus.UPGRADE_REQUIRED, f"{error}; version 13 is spoken here\n")
            response.headers["Upgrade"] = "websocket"
        elif response.status_code == HTTPStatus.UPGRADE_REQUIRED:
            headers = response.headers
            response = self.protocol.reject(HTTPStatus.UPGRADE_REQUIRED, PAGE.format(address=self._own_address()))
            response.headers["Upgrade"] = headers["Upgrade"]
        if response.status_code == HTTPStatus.UPGRADE_REQUIRED:
            response.headers["Sec-WebSocket-Version"] = "13"
        return response

    def _own_address(self) -> str:
        host, port, *_ = self.lower.get_extra_info("sockname") or (self._address.host, self._address.port)
        host = f"[{host}]" if ":" in host else host
        return f"{self._address.scheme}://{host}:{port}{self._address.path}"

    def _reject(self, status: HTTPStatus, why: str) -> None:
        response = self.protocol.reject(status, f"{REFUSED}{why}.\n")
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = "GET"
        self._send(response)
        self.fail(f"no WebSocket handshake: {why}")

    def _send(self, response: Response) -> None:
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self.lower.write(response.serialize())
        else:
            self.protocol.send_response(response)
            self.flush()


def _wrong_method(method: str) -> tuple[HTTPStatus, str]:
    return HTTPStatus.METHOD_NOT_ALLOWED, f"the method must be GET, not {method[:_SHOWN]!a}"


def is_allowed(origin: str, host: str, allowed: tuple[str, ...]) -> bool:
    """Whether a page of `origin` may connect to the server that it knows as `host` (RFC 6455, section 10.2).

    Args:
        origin: The header Origin, such as ``https://example.com``; sandboxed pages and files say ``null``.
        host: The header Host.
        allowed: Origins that may, beside those of the same host and port; ``*`` is any.
    """
    origin, host = origin.lower(), host.lower()
    scheme, _, page = origin.partition("://")
    default = _DEFAULT_PORTS.get(scheme, "")
    is_same = bool(page) and page.removesuffix(default) == host.removesuffix(default)
    return is_same or "*" in allowed or origin in {known.lower().removesuffix("/") for known in allowed}
