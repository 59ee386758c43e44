"""The WebSocket layer (RFC 6455) once it is open: a stream of bytes in binary messages.

Where a message begins and ends means nothing: the payloads, one after the other, are the stream. So no fragment waits
for the rest of its message. The frames are read and written by the sans-I/O part of the library ``websockets``; the
handshakes are in ``server.py`` and ``client.py``.
"""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING, Any, Final

from websockets.frames import OK_CLOSE_CODES, CloseCode, Frame, Opcode
from websockets.protocol import SEND_EOF, Protocol, State

from tomada.sweep import NOWHERE
from tomada.telemetry import late
from tomada.transports.layer import End, Layer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from tomada.address import Address
    from tomada.transports.options import Options

PIECE_BYTES: Final = 65_536
"""What is written travels in messages of at most so much."""
MESSAGE_BYTES: Final = 1_048_576
"""The longest message that is read, all its fragments together."""
FRAGMENTS: Final = 1_024
"""Of one message that is read, at most; and so many frames without data may come in a row."""
REFUSED: Final = "The handshake is refused: "
"""How the text begins that a server answers with, so that the client knows it from that of a proxy."""
_MUCH: Final = 65_536
"""Where so many bytes come at once, others have their turn before more are received."""
_REASON_BYTES: Final = 123  # a control frame holds 125, two of which are the code: RFC 6455, section 5.5
_OPCODE: Final = 0x0F
_CLOSE_CODES: Final = {
    End.CLOSED: CloseCode.NORMAL_CLOSURE,
    End.GOING_AWAY: CloseCode.GOING_AWAY,
    End.FAILED: CloseCode.POLICY_VIOLATION,
}

library_log: Final = logging.getLogger("tomada.websocket")
"""For the library, which else tells of every connection; tomada tells what matters."""
library_log.setLevel(logging.WARNING)


class Streaming(Protocol):
    """The library's protocol, for a stream."""

    def recv_frame(self, frame: Frame) -> None:
        """Permit a close between two fragments, as RFC 6455, section 5.4 does and the library does not."""
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class WebSocketLayer(Layer):
    """One end of a WebSocket. The subclass knows the handshake of its end.

    Args:
        protocol: The library's protocol of one connection.
        address: Of the listener, or of the server that is connected to.
        options: The deadlines.
        upper: What stands above.
        pending: See `Layer`.
    """

    __slots__ = (
        "_address",
        "_begun",
        "_empty",
        "_error",
        "_fragments",
        "_is_clogged",
        "_is_deaf",
        "_is_paused",
        "_options",
        "_pong",
        "_stuck_at",
        "_unwritten",
        "protocol",
    )

    def __init__(
        self,
        protocol: Protocol,
        address: Address,
        options: Options,
        upper: asyncio.Protocol,
        pending: set[Layer] | None,
    ) -> None:
        super().__init__(upper, options.handshake, pending)
        self.protocol = protocol
        self._address = address
        self._options = options
        self._is_deaf = False
        """What stands above has closed: it hears nothing more."""
        self._is_clogged = False
        """The transport below takes no more for now."""
        self._pong = b""
        """The pong that waits until it does."""
        self._error: Exception | None = None
        """Why it ended, where it did not end well."""
        self._fragments = 0
        self._empty = 0
        self._is_paused = False
        """What stands above receives no more for now."""
        self._begun: float | None = None
        """When the frame that is incomplete began to come."""
        self._stuck_at = inf
        """When an end that has begun is cut, unless the peer takes something meanwhile."""
        self._unwritten = 0

    # The transport below calls these.

    def data_received(self, data: bytes) -> None:
        """One pass over all frames that have come, in one piece for what stands above."""
        if not self.is_open:
            self.greet(data)
            return
        self.protocol.receive_data(data)
        self.take(self.protocol.events_received())
        if len(data) >= _MUCH and self.lower.is_reading():
            # uvloop reads on and on while a lot comes, and nothing else runs meanwhile.
            self.lower.pause_reading()
            self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self._is_paused and not self.lower.is_closing():
            self.lower.resume_reading()

    def greet(self, data: bytes) -> None:
        """Go on with the handshake."""
        raise NotImplementedError

    def take(self, events: Sequence[Any]) -> None:
        """Act on what the frames say; then on what they broke."""
        if self._is_clogged:
            self._hold_pongs()
        chunks: list[bytes] = []
        for frame in events:
            if frame.opcode is Opcode.CLOSE:
                self._deliver(chunks)
                chunks = []
                self._closed_by_peer()
            elif not self.take_frame(frame, chunks):
                break
        self._deliver(chunks)
        self.flush()
        if self.protocol.parser_exc is not None:
            self._break(f"the peer broke the WebSocket: {self.protocol.parser_exc}")
        elif self.protocol.reader.buffer or not events:
            self._watch_frame(is_new=bool(events))
        else:
            self._begun = None

    def take_frame(self, frame: Frame, chunks: list[bytes]) -> bool:
        """Add what a frame brings to `chunks`; False where nothing that follows counts any more."""
        if frame.opcode is Opcode.TEXT:
            return self._refuse(CloseCode.UNSUPPORTED_DATA, "text messages are not understood here", chunks)
        if frame.opcode is Opcode.BINARY or frame.opcode is Opcode.CONT:
            self._fragments = 0 if frame.fin else self._fragments + 1
            if self._fragments > FRAGMENTS:
                return self._refuse(CloseCode.MESSAGE_TOO_BIG, f"a message in more than {FRAGMENTS} fragments", chunks)
            self._empty = 0 if frame.data else self._empty + 1
            if self._empty > FRAGMENTS:
                return self._refuse(CloseCode.POLICY_VIOLATION, f"more than {FRAGMENTS} frames without data", chunks)
            if frame.data:
                chunks.append(bytes(frame.data))
        return True

    def _deliver(self, chunks: list[bytes]) -> None:
        if chunks and not self._is_deaf:
            self.upper.data_received(chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def _closed_by_peer(self) -> None:
        """The library has answered with a close of its own, or has said one first."""
        close = self.protocol.close_rcvd
        is_answer = self.protocol.close_rcvd_then_sent is False
        if close is not None and close.code not in OK_CLOSE_CODES and not is_answer:
            self._error = ConnectionAbortedError(f"the peer ended the WebSocket: {close}")
        elif not self._is_deaf:
            self.upper.eof_received()
        self._end_in_time()

    def eof_received(self) -> None:
        """The peer's bytes have ended; with a close before it, as they should, or without."""
        if not self.is_open:
            self.end_of_greeting()
            return
        self.protocol.receive_eof()
        if self.protocol.close_rcvd is None and not self._is_deaf:
            self._error = ConnectionAbortedError("the peer went away without closing the WebSocket")

    def end_of_greeting(self) -> None:
        """The peer's bytes have ended before the handshake has."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport below is gone."""
        super().connection_lost(self._error or exc)

    def pause_writing(self) -> None:
        """The transport below takes no more for now."""
        self._is_clogged = True
        super().pause_writing()

    def resume_writing(self) -> None:
        """The transport below takes more again."""
        self._is_clogged = False
        pong, self._pong = self._pong, b""
        if pong and self.protocol.state is State.OPEN:
            self.lower.write(pong)
        super().resume_writing()

    def _hold_pongs(self) -> None:
        """A peer that pings and does not read is owed one pong, the last (RFC 6455, section 5.5.3): no more wait."""
        for out in self.protocol.data_to_send():
            if out and out[0] & _OPCODE == Opcode.PONG:
                self._pong = out
            else:
                self._put([out])

    # Deadlines, and the end.

    def _watch_frame(self, *, is_new: bool) -> None:
        if is_new or self._begun is None:
            self._begun = self.loop.time()
        if self.slot == NOWHERE:
            self.wheel.watch(self, self._begun + self._options.frame)

    def look(self, now: float) -> float:
        """End a connection whose peer does not complete a frame, or does not take its part in the end."""
        return min(self._look_at_frame(now), self._look_at_end(now))

    def _look_at_frame(self, now: float) -> float:
        if self._begun is None or self.lower.is_closing():
            return inf
        if not self.lower.is_reading():
            return now + self._options.frame
        due = self._begun + self._options.frame
        if now < due:
            return due
        self._begun = None
        late("frame", self._options.frame, self.peer)
        self._refuse(CloseCode.POLICY_VIOLATION, f"a frame was not complete within {self._options.frame:g} s")
        return inf

    def _refuse(self, code: CloseCode, reason: str, unread: list[bytes] | None = None) -> bool:
        """What came before is delivered, nothing after."""
        self._deliver(unread or [])
        self.protocol.fail(code, reason)
        self._break(f"the peer broke the WebSocket: {reason}")
        return False

    def _break(self, reason: str) -> None:
        self.flush()
        if self._error is None:
            self._error = ConnectionAbortedError(reason)
        self._is_deaf = True
        self.lower.close()
        self._end_in_time()

    def _end_in_time(self) -> None:
        """The peer has a while to take its part in the end; longer only while it takes what is still to be written."""
        if self._stuck_at == inf:
            self._stuck_at = self.loop.time() + self._options.handshake
            self.wheel.watch(self, self._stuck_at)

    def _look_at_end(self, now: float) -> float:
        if now < self._stuck_at:
            return self._stuck_at
        unwritten, self._unwritten = self._unwritten, self.lower.get_write_buffer_size()
        if self._unwritten and (not unwritten or self._unwritten < unwritten):
            self._stuck_at = now + self._options.handshake
        else:
            self._stuck_at = inf
            self.lower.abort()
        return self._stuck_at

    # The protocol above calls these.

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send `data` as one binary message, or several where it is long; nothing once the end has begun."""
        protocol = self.protocol
        if protocol.state is not State.OPEN:
            return
        if len(data) <= PIECE_BYTES:
            protocol.send_binary(data)
        else:
            view = memoryview(data)
            for start in range(0, len(data), PIECE_BYTES):
                protocol.send_binary(view[start : start + PIECE_BYTES])
        self.flush()

    def flush(self) -> None:
        """Write what the library has to say."""
        self._put(self.protocol.data_to_send())

    def _put(self, writes: list[bytes]) -> None:
        if writes and not self.lower.is_closing():
            out = writes[0] if len(writes) == 1 else b"".join(writes)
            if out:
                self.lower.write(out)
            if writes[-1] == SEND_EOF:  # the server closes first: RFC 6455, section 7.1.1
                self.lower.close()

    def write_eof(self) -> None:
        """Begin the closing handshake: nothing can be written any more, and what the peer still sends is received.

        A WebSocket has no half close: the peer answers with its own close, and then all is over.
        """
        self._say_close(End.CLOSED, "")

    def close(self) -> None:
        """Send what waits, then close; the peer has a while to answer."""
        self.end(End.CLOSED, "")

    def end(self, why: End, reason: str) -> None:
        """`close`, with the code that says why."""
        if self._is_deaf:
            return
        self._is_deaf = True
        if not self.is_open:
            self.lower.close()
            return
        self._say_close(why, reason)
        if not self.lower.is_closing() and not self.lower.is_reading():
            self._is_paused = False
            self.lower.resume_reading()  # or the peer's answer would not be heard

    def _say_close(self, why: End, reason: str) -> None:
        if self.protocol.state is State.OPEN:
            text = reason.encode()[:_REASON_BYTES].decode(errors="ignore")
            self.protocol.send_close(_CLOSE_CODES[why], text)
            self.flush()
        self._end_in_time()

    def is_closing(self) -> bool:
        """Whether it is ending."""
        return self._is_deaf or self.lower.is_closing()

    def pause_reading(self) -> None:
        """Receive no more for now."""
        if not self._is_deaf:
            self._is_paused = True
            self.lower.pause_reading()

    def resume_reading(self) -> None:
        """Receive again; an incomplete frame has all of its time again."""
        if self._begun is not None:
            self._begun = self.loop.time()
        self._is_paused = False
        self.lower.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport below tells; ``scheme`` is ``ws`` or ``wss``."""
        return self._address.scheme if name == "scheme" else self.lower.get_extra_info(name, default)
