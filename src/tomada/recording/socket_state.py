"""The life of a socket, as a table: what each call makes of it. The diagrams are drawn from these tables."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tomada.recording.calls import Call


class SocketState(Enum):
    """Where in its life a socket is, as far as its process has been told."""

    CREATED = "created"
    """It has no address yet."""
    BOUND = "bound"
    LISTENING = "listening"
    CONNECTING = "connecting"
    """The connect goes on in the background, or is waited for."""
    CONNECTED = "connected"
    SENDING_ENDED = "sending ended"
    """This end has said that it sends no more."""
    PEER_ENDED = "peer ended"
    """The other end has said that it sends no more."""
    BOTH_ENDED = "both ended"
    FAILED = "failed"
    """The other end is gone, or refused."""
    CLOSED = "closed"


class SocketStep(Enum):
    """What moves a socket from state to state."""

    BIND = "bind"
    LISTEN = "listen"
    BEGIN_CONNECT = "connect begins"
    CONNECT = "connect"
    REFUSED = "connect fails"
    SHUT_SENDING = "shutdown(SHUT_WR)"
    SHUT_BOTH = "shutdown(SHUT_RDWR)"
    SHUT_RECEIVING = "shutdown(SHUT_RD)"
    END_OF_STREAM = "recv gives 0 bytes"
    RESET = "connection error"
    CLOSE = "close"


_S, _T = SocketState, SocketStep
_BEGINNINGS: Final = {
    _T.CONNECT: _S.CONNECTED,
    _T.BEGIN_CONNECT: _S.CONNECTING,
    _T.REFUSED: _S.FAILED,
    _T.CLOSE: _S.CLOSED,
}
STREAM: Final[dict[SocketState, dict[SocketStep, SocketState]]] = {
    _S.CREATED: {_T.BIND: _S.BOUND, _T.LISTEN: _S.LISTENING, **_BEGINNINGS},
    _S.BOUND: {_T.LISTEN: _S.LISTENING, **_BEGINNINGS},
    _S.LISTENING: {_T.CLOSE: _S.CLOSED},
    _S.CONNECTING: {_T.CONNECT: _S.CONNECTED, _T.REFUSED: _S.FAILED, _T.CLOSE: _S.CLOSED},
    _S.CONNECTED: {
        _T.SHUT_SENDING: _S.SENDING_ENDED,
        _T.END_OF_STREAM: _S.PEER_ENDED,
        _T.SHUT_RECEIVING: _S.PEER_ENDED,
        _T.SHUT_BOTH: _S.BOTH_ENDED,
        _T.RESET: _S.FAILED,
        _T.CLOSE: _S.CLOSED,
    },
    _S.SENDING_ENDED: {
        _T.END_OF_STREAM: _S.BOTH_ENDED,
        _T.SHUT_RECEIVING: _S.BOTH_ENDED,
        _T.SHUT_BOTH: _S.BOTH_ENDED,
        _T.RESET: _S.FAILED,
        _T.CLOSE: _S.CLOSED,
    },
    _S.PEER_ENDED: {
        _T.SHUT_SENDING: _S.BOTH_ENDED,
        _T.SHUT_BOTH: _S.BOTH_ENDED,
        _T.RESET: _S.FAILED,
        _T.CLOSE: _S.CLOSED,
    },
    _S.BOTH_ENDED: {_T.RESET: _S.FAILED, _T.CLOSE: _S.CLOSED},
    # After a refusal some systems let the same socket try again.
    _S.FAILED: {_T.CONNECT: _S.CONNECTED, _T.BEGIN_CONNECT: _S.CONNECTING, _T.CLOSE: _S.CLOSED},
    _S.CLOSED: {},
}
"""Of sockets that carry a stream of bytes, or connections in which each message is kept whole."""
DATAGRAM: Final[dict[SocketState, dict[SocketStep, SocketState]]] = {
    _S.CREATED: {_T.BIND: _S.BOUND, _T.CONNECT: _S.CONNECTED, _T.CLOSE: _S.CLOSED},
    _S.BOUND: {_T.CONNECT: _S.CONNECTED, _T.CLOSE: _S.CLOSED},
    _S.CONNECTED: {_T.CONNECT: _S.CONNECTED, _T.CLOSE: _S.CLOSED},
    _S.CLOSED: {},
}
"""Of sockets that carry datagrams."""

MEANINGS: Final = {
    _S.CREATED: "it has no address yet",
    _S.BOUND: "it has an address",
    _S.LISTENING: "connections may come",
    _S.CONNECTING: "the other end has not answered yet",
    _S.CONNECTED: "bytes travel both ways",
    _S.SENDING_ENDED: "this end sends no more",
    _S.PEER_ENDED: "the other end sends no more",
    _S.BOTH_ENDED: "neither end sends any more",
    _S.FAILED: "the other end is gone, or refused",
    _S.CLOSED: "over",
}

_IN_PROGRESS: Final = frozenset({"BlockingIOError", "InterruptedError"})
_RESETS: Final = frozenset({"ConnectionResetError", "BrokenPipeError", "ConnectionAbortedError", "ssl.SSLEOFError"})
_SHUTS: Final = {"SHUT_WR": _T.SHUT_SENDING, "SHUT_RDWR": _T.SHUT_BOTH, "SHUT_RD": _T.SHUT_RECEIVING}


def step_of(call: Call, state: SocketState) -> SocketStep | None:
    """What a call does to the socket that it is made on; None where it leaves it as it is."""
    if call.call in {"connect", "connect_ex"}:
        return _connecting(call)
    if call.call == "getsockopt" and state is _S.CONNECTING:
        return _T.REFUSED if call.error else _T.CONNECT
    if call.error:
        return _T.RESET if call.error in _RESETS else None
    if call.call == "close":
        return None if call.deferred else _T.CLOSE
    return _quiet(call)


def _connecting(call: Call) -> SocketStep:
    if call.took is None or call.error in _IN_PROGRESS or call.message in {"EINPROGRESS", "EAGAIN", "EWOULDBLOCK"}:
        return _T.BEGIN_CONNECT
    return _T.REFUSED if call.error else _T.CONNECT


def _quiet(call: Call) -> SocketStep | None:
    """What a call does that has not failed."""
    if call.took is None:
        return None
    if call.is_end:
        return _T.END_OF_STREAM
    if call.call == "shutdown":
        return _SHUTS.get(call.args)
    return {"bind": _T.BIND, "listen": _T.LISTEN}.get(call.call)


def after(call: Call, state: SocketState, *, is_stream: bool) -> tuple[SocketStep | None, SocketState]:
    """What a call does to a socket, and where it is then."""
    table = STREAM if is_stream else DATAGRAM
    if state is _S.CONNECTING and call.size and not call.error:  # it went through without anybody asking
        state = _S.CONNECTED
    if call.call == "accept" and state is _S.BOUND:  # its listen was dropped from the recording
        state = _S.LISTENING
    step = step_of(call, state)
    if step is None:
        return None, state
    target = table[state].get(step) if state in table else None
    return (None, state) if target is None else (step, target)
