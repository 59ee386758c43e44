"""A WebSocket for programs without an event loop: used like the socket below it, for the stream of bytes inside."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Final

from websockets.frames import OK_CLOSE_CODES, CloseCode, Frame, Opcode
from websockets.protocol import State

from tomada.errors import ConnectFailed, HandshakeFailed
from tomada.transports.readiness import AT_ONCE, wait
from tomada.transports.websocket.client import protocol_for, refusal
from tomada.transports.websocket.layer import PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.client import ClientProtocol

    from tomada.address import Address
    from tomada.transports.blocking import Carrier
    from tomada.transports.options import Options

_READ_BYTES: Final = 65_536
_OWED_PONGS: Final = 65_536


class WebSocketSocket:
    """The connecting end of a WebSocket. One thread may receive while another sends.

    Args:
        below: The connected socket that carries it, which is its own from here on.
        address: Of the server.
        options: What both ends must agree on.
    """

    __slots__ = ("_lock", "_options", "_out", "_protocol", "_taken", "below")

    def __init__(self, below: Carrier, address: Address, options: Options) -> None:
        self.below = below
        self._options = options
        self._protocol: ClientProtocol = protocol_for(address, options)
        self._lock = Lock()
        """Held by who touches the protocol or `_out`."""
        self._out = bytearray()
        """Frames that the socket below has not taken yet."""
        self._taken = 0
        """How many bytes of what is being sent are in them."""

    def shake(self, timeout: float) -> None:
        """Complete the handshake within `timeout` seconds. Raises `ConnectFailed`, `HandshakeFailed`."""
        deadline = time.monotonic() + timeout
        protocol = self._protocol
        is_heard = False
        while not protocol.events and protocol.handshake_exc is None:
            with self._lock:
                self._flush(AT_ONCE)
            left = deadline - time.monotonic()
            if left <= 0:
                raise HandshakeFailed(f"no answer within {timeout:g} s")
            if wait(self.below, left, to_send=bool(self._out)):
                data = self.below.recv(_READ_BYTES)
                is_heard = is_heard or bool(data)
                if data:
                    protocol.receive_data(data)
                else:
                    protocol.receive_eof()
        error = refusal(protocol, self._options) if is_heard else ConnectFailed("it went away without a word")
        if error is not None:
            raise error
        del protocol.events[0]  # the answer; what came with it is received like all that follows

    def fileno(self) -> int:
        """The number of the socket below, to wait for."""
        return self.below.fileno()

    def recv(self, _most: int, flags: int = 0) -> bytes:
        """The next bytes of the stream, however many have come; none at its end.

        Raises:
            BlockingIOError: None have come, and the flags say not to wait.
            ConnectionAbortedError: It did not end well; the text says why.
        """
        data = self._take()
        while data is None:
            came = self.below.recv(_READ_BYTES, flags)
            with self._lock:
                if came:
                    self._protocol.receive_data(came)
                else:
                    self._protocol.receive_eof()
            data = self._take()
        return data

    def send(self, data: memoryview, flags: int = 0) -> int:
        """Send the beginning of `data` as a message; how many bytes it has.

        Raises:
            BlockingIOError: The socket below does not take it all at once, and the flags say not to wait. To go on,
                call again with the same `data`.
            ConnectionAbortedError: The WebSocket is closed.
        """
        with self._lock:
            if not self._taken:
                if self._protocol.state is not State.OPEN:
                    raise ConnectionAbortedError("the WebSocket is closed")
                self._taken = min(len(data), PIECE_BYTES)
                self._protocol.send_binary(data[: self._taken])
            self._flush(flags)
            if self._out:
                raise BlockingIOError
            taken, self._taken = self._taken, 0
            return taken

    def shutdown(self, how: int) -> None:
        """Close both directions, without waiting for the server's answer."""
        with self._lock:
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
                self._flush(AT_ONCE)
        self.below.shutdown(how)

    def close(self) -> None:
        """Give up the socket below."""
        self.below.close()

    def _flush(self, flags: int) -> None:
        """Send what the protocol has to say, or as much as goes."""
        for frame in self._protocol.data_to_send():
            # A server that pings and does not read is not owed every pong: RFC 6455, section 5.5.3.
            if len(self._out) < _OWED_PONGS or frame[:1] != bytes([0x80 | Opcode.PONG]):
                self._out += frame
        while self._out:
            try:
                with memoryview(self._out) as waiting:
                    sent = self.below.send(waiting, flags)
            except BlockingIOError:
                return
            del self._out[:sent]

    def _take(self) -> bytes | None:
        """What has come of the stream; None: nothing, and no bytes: its end."""
        with self._lock:
            protocol = self._protocol
            data = self._payload(protocol.events_received())  # type: ignore[arg-type] # the handshake is over
            try:
                self._flush(AT_ONCE)
            except OSError:
                if not data:
                    raise
        if data:
            return data
        if protocol.parser_exc is not None and not isinstance(protocol.parser_exc, EOFError):
            raise ConnectionAbortedError(f"the server broke the WebSocket: {protocol.parser_exc}")
        close = protocol.close_rcvd
        if close is not None and close.code not in OK_CLOSE_CODES:
            raise ConnectionAbortedError(f"the server ended the WebSocket: {close}")
        return b"" if close is not None or protocol.state is State.CLOSED else None

    def _payload(self, frames: Sequence[Frame]) -> bytes:
        for frame in frames:
            if frame.opcode is Opcode.TEXT:
                self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "text messages are not understood")
                raise ConnectionAbortedError("the server broke the WebSocket: it sent a text message")
        return b"".join([frame.data for frame in frames if frame.opcode in (Opcode.BINARY, Opcode.CONT)])
