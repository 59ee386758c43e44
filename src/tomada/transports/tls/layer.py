"""TLS as a layer: on a socket, a simulated loop, in memory or on another layer alike (RFC 8446; RFC 5246 for 1.2).

OpenSSL sees no socket: bytes go in and out through two buffers in memory. So all loops behave alike, the first bytes of
a peer that speaks something else can be named, alerts go out before the end, and half of a connection can be closed.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tomada.errors import ConnectFailed, ConnectionLost, HandshakeFailed
from tomada.transports.layer import Layer
from tomada.transports.tls import errors as tls_errors
from tomada.transports.tls.client_hello import offered_protocols

if TYPE_CHECKING:
    from collections.abc import Callable

RECORD_BYTES: Final = 16_384
"""The most that a record carries."""
_PORTION: Final = 262_144
"""So much is encrypted at once, so that what is long is not held three times."""
_LONGEST_HELLO: Final = 131_072
_UNREAD_ANSWERS: Final = 1_048_576
"""So much may wait for a peer that does not read when TLS itself has to answer it (RFC 8446, section 4.6.3)."""
_HANDSHAKE, _ALERT = 0x16, 0x15
_METHODS: Final = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"OPTIONS ", b"DELETE ", b"PATCH ", b"CONNECT ")


class Terms(NamedTuple):
    """How one end speaks TLS."""

    context: ssl.SSLContext
    accepting: bool
    hostname: str = ""
    """At the connecting end: the name, or the number, that the peer's certificate must be for."""
    protocols: tuple[str, ...] = ()


class TLSLayer(Layer):
    """TLS on one connection.

    ``write_eof`` closes one direction where TLS 1.3 was agreed on. In TLS 1.2 the end of one direction is the end of
    both (RFC 5246, section 7.2.1).

    Args:
        upper: What stands above.
        deadline: Seconds that the handshake may take.
        pending: As `Layer` has it.
        terms: How this end speaks TLS.
    """

    __slots__ = (
        "_closing",
        "_ended",
        "_failure",
        "_heard",
        "_hello",
        "_incoming",
        "_object",
        "_outgoing",
        "_read",
        "_shut",
        "_terms",
        "_write",
    )

    _object: ssl.SSLObject
    _read: Callable[[int], bytes]
    _write: Callable[[Any], int]

    def __init__(self, upper: asyncio.Protocol, deadline: float, pending: set[Layer] | None, terms: Terms) -> None:
        super().__init__(upper, deadline, pending)
        self._terms = terms
        self._hello: bytes | None = b"" if terms.accepting and terms.protocols else None
        """What has come of the client's first message, where its protocols matter; None once it is complete."""
        self._heard = False
        """Whether the peer has sent what it must: records in the handshake, and then anything encrypted."""
        self._closing = False
        self._shut = False
        """Whether this end has said close_notify."""
        self._ended = False
        """Whether the peer has."""
        self._failure: Exception | None = None

    # The handshake.

    def begin(self) -> None:
        """The connecting end says hello; the accepting end allots nothing until it has heard one."""
        if not self._terms.accepting:
            self._set_up()
            self._shake()

    def _set_up(self) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        terms = self._terms
        self._object = terms.context.wrap_bio(
            self._incoming, self._outgoing, server_side=terms.accepting, server_hostname=terms.hostname or None
        )
        self._read, self._write = self._object.read, self._object.write

    def _receive_handshake(self, data: bytes) -> None:
        if self.opened.done():
            return  # refused; what still comes is nobody's
        if not self._heard:
            strange = foreign(data, accepting=self._terms.accepting)
            if strange:
                if self._terms.accepting:
                    self.lower.write(tls_errors.ALERT + tls_errors.UNEXPECTED_MESSAGE)
                self.fail(strange)
                return
            self._heard = True
            if self._terms.accepting:
                self._set_up()
        self._incoming.write(data)
        if self._hello is not None:
            self._hello = (self._hello + data)[:_LONGEST_HELLO]
        self._shake()

    def _shake(self) -> None:
        """One step of the handshake, as far as what has come allows."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            if self._agrees():
                self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert that tells the peer why
            self.fail(self._why(error))
            return
        self._flush()
        if self._terms.protocols and not self._terms.accepting and not self._object.selected_alpn_protocol():
            self.fail(tls_errors.no_protocol(self._terms.protocols))
            return
        self._heard = False
        self.complete()
        if self._incoming.pending:
            self._receive(b"")

    def _agrees(self) -> bool:
        """At the accepting end, before the first answer: refuse a client whose protocols are all others."""
        if not self._hello or not self._outgoing.pending:
            return True
        offered, self._hello = offered_protocols(self._hello), None
        if not offered or set(offered) & set(self._terms.protocols):
            return True
        self.lower.write(tls_errors.ALERT + tls_errors.NO_APPLICATION_PROTOCOL)
        ours = ", ".join(self._terms.protocols)
        self.fail(f"no application protocol (ALPN) in common: the client speaks {offered!r}, this end {ours}")
        return False

    def _why(self, error: ssl.SSLError) -> str:
        return tls_errors.failure(error, self._object, self._terms.hostname, accepting=self._terms.accepting)

    # The transport below calls these.

    def data_received(self, data: bytes) -> None:
        """Decrypt what has come, and hand it up at once."""
        if not self.is_open:
            self._receive_handshake(data)
        elif not (self._ended or self._closing):  # RFC 8446, section 6.1: what comes after close_notify is passed over
            self._receive(data)

    def _receive(self, data: bytes) -> None:
        self._incoming.write(data)
        pieces: list[bytes] = []
        error = self._decrypt(pieces)
        if self._outgoing.pending:
            self._answer()
        if pieces:
            self._heard = True
            self.upper.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if error is not None:
            self._break(self._why(error))
        elif self._ended:
            self._end_of_input()

    def _decrypt(self, pieces: list[bytes]) -> ssl.SSLError | None:
        """Read all whole records into ``pieces``; the error that they end with, if they do."""
        incoming, read = self._incoming, self._read
        try:
            # As long as there is something to read: asking once more would cost an exception each time.
            while incoming.pending:
                piece = read(RECORD_BYTES)
                if not piece:
                    self._ended = True
                    return None
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError as error:
            return error
        return None

    def _answer(self) -> None:
        """What TLS itself has to say: an alert, or new keys. A peer that asks for it must read it, too."""
        self._flush()
        waiting = self.lower.get_write_buffer_size()
        if waiting > _UNREAD_ANSWERS:
            self._break(f"the peer makes TLS answer and does not read: {waiting} bytes wait")
            self.lower.abort()

    def _end_of_input(self) -> None:
        if not self._closing and not (self.upper.eof_received() and self.can_write_eof()):
            self.close()

    def _break(self, reason: str) -> None:
        """TLS has failed: what has come before has been handed up."""
        if self._failure is None and not self._closing:
            # With TLS 1.3 a client that is refused hears of it only after its own end of the handshake.
            refused = not self._heard and not self._terms.accepting
            self._failure = HandshakeFailed(reason) if refused else ConnectionLost(reason)
        self._closing = True
        self.lower.close()  # once the alert has gone, which a peer that does not read must not prevent for ever
        self.cut_in_time()

    def eof_received(self) -> bool:
        """The peer's end of TCP: without close_notify before it, anybody on the way may have made it."""
        if self._ended:
            return not self._closing
        if self.is_open:
            self._break(tls_errors.CUT_OFF)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport below is gone."""
        if not self.is_open and not self._heard and not self._terms.accepting:
            self.fail(tls_errors.NO_ANSWER if exc is None else f"{tls_errors.NO_ANSWER} ({exc})", ConnectFailed)
        super().connection_lost(self._failure or exc)

    # The protocol above calls these.

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send ``data`` encrypted."""
        if self._closing or not data:
            return
        if self._shut:
            raise RuntimeError("cannot write after write_eof(): this end has said that it sends no more")
        try:
            if len(data) <= _PORTION:
                self._write(data)
                self.lower.write(self._outgoing.read())
            else:
                self._write_long(data)
        except ssl.SSLError as error:
            self._break(self._why(error))

    def _write_long(self, data: bytes | bytearray | memoryview[Any]) -> None:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _PORTION):
            self._write(view[start : start + _PORTION])
            self.lower.write(self._outgoing.read())

    def can_write_eof(self) -> bool:
        """Whether this end can stop sending and still receive: from TLS 1.3 on (RFC 8446, section 6.1)."""
        return self._object.version() == "TLSv1.3"

    def write_eof(self) -> None:
        """Say that this end sends no more; what the peer sends is received as before."""
        if not self.can_write_eof():
            raise NotImplementedError("TLS 1.2 has no half close: the end of one direction ends both")
        self._say_end()

    def close(self) -> None:
        """Say close_notify, and end the connection when all is written."""
        if self._closing:
            return
        self._closing = True
        if self.is_open and not self.lower.is_closing():
            self._say_end()
        self.lower.close()

    def _say_end(self) -> None:
        if self._shut:
            return
        self._shut = True
        # It wants to wait for the peer's close_notify, which comes later, or not: RFC 8446 asks for no wait.
        with suppress(ssl.SSLError):
            self._object.unwrap()
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.lower.write(self._outgoing.read())

    def is_closing(self) -> bool:
        """Whether it is ending."""
        return self._closing or self.lower.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What TLS tells: ``scheme``, ``ssl_object`` and ``alpn``; else what the transport below tells."""
        if name == "scheme":
            return "tls"
        if name == "ssl_object":
            return getattr(self, "_object", default)
        if name == "alpn":
            return (self._object.selected_alpn_protocol() if self.is_open else None) or default
        return super().get_extra_info(name, default)


def foreign(data: bytes, *, accepting: bool) -> str:
    """Why the peer's first bytes are no TLS; empty if they are."""
    first = data[0]
    if first == _HANDSHAKE or (first == _ALERT and not accepting):
        return ""
    if not accepting:
        return f"{tls_errors.NO_TLS}; it sent what begins with {data[:8]!r}"
    if data.startswith(_METHODS):
        return "spoke plain HTTP to a TLS address: it must use https:// or wss://"
    if b"tomada" in data[:32]:
        return "spoke plain tcp to a tls address: it must connect to tls://"
    return f"spoke plain tcp to a tls address: it sent what begins with {data[:8]!r}, which is no TLS"


class _Resumed(asyncio.Protocol):
    """Stands above until the handshake is complete; then puts the running protocol in its own place."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, TLSLayer):
            transport.set_protocol(self._protocol)


async def start_tls(
    transport: asyncio.Transport, protocol: asyncio.Protocol, deadline: float, terms: Terms, *, unread: bytes = b""
) -> asyncio.Transport:
    """Put TLS between a running protocol and its transport; the transport to use from here on.

    Args:
        transport: In use without TLS so far; may be a layer itself.
        protocol: Its protocol; it is not told of a new connection, and of the end of the old one as always.
        deadline: Seconds that the handshake may take.
        terms: How this end speaks TLS.
        unread: What was received before and has not been read. There must be nothing: somebody on the way may have put
            it there, to be taken for what comes protected later (RFC 3207, section 6).

    Raises:
        HandshakeFailed: There was something unread, or TLS was not agreed on. The connection has ended.
    """
    if unread:
        transport.abort()
        size = len(unread)
        raise HandshakeFailed(
            f"{size} bytes came without protection before TLS began: somebody may have put them there"
        )
    layer = TLSLayer(_Resumed(protocol), deadline, set() if terms.accepting else None, terms)
    transport.set_protocol(layer)
    layer.connection_made(transport)
    try:
        await asyncio.shield(layer.opened)
    except BaseException as error:
        transport.abort()
        if not layer.is_open:  # else it hears of its end as always
            protocol.connection_lost(error if isinstance(error, Exception) else None)
        raise
    return layer
