"""What is told of a child's end: why it ended, and how its peer hears of it on a socket that the child has left."""

from __future__ import annotations

import os
import signal
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tomada.protocol.frames import CONTROL, HEADER, Kind
from tomada.protocol.handshake import GoodbyeCode, encode_goodbye

if TYPE_CHECKING:
    from tomada.settings import Children

WITHOUT_DESCRIPTOR: Final = 96
"""The exit status of a child that could not take the connection it was given."""
OVER_MEMORY: Final = 97
"""The exit status of a child whose memory was used up."""
CANNOT_START: Final = 98
"""Of one that has said so on its channel."""

_MIB: Final = 1_048_576
_BINARY, _CLOSE = 0x82, 0x88  # RFC 6455, section 5.2: a final frame, not masked
_SHORT: Final = 125
_INTERNAL_ERROR: Final = 1011  # RFC 6455, section 7.4.1


def cause(status: int, children: Children) -> str:
    """Why a process has ended, as what follows "the process".

    Args:
        status: What ``waitpid`` gave.
        children: Its limits.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == getattr(signal, "SIGXCPU", None) and children.processor_seconds is not None:
            return f"used more than its {children.processor_seconds} s of processor time"
        return f"was killed by signal {number} ({_name(number)})"
    code = os.waitstatus_to_exitcode(status)
    if code == OVER_MEMORY:
        if children.memory_bytes is None:
            return "used more memory than there is"
        return f"used more than its {_amount(children.memory_bytes)} of memory"
    if code == WITHOUT_DESCRIPTOR:
        return "has as many files open as it may, and none was left for this connection"
    return f"ended with exit status {code}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "a real-time signal"


def _amount(size: int) -> str:
    return f"{size / _MIB:.4g} MiB" if size >= _MIB else f"{size} bytes"


def goodbye(scheme: str, code: GoodbyeCode, reason: str) -> bytes:
    """The bytes that end a connection for messages, at the boundary of a frame.

    Args:
        scheme: Of its address: in a WebSocket all is in frames of that, and its own close follows.
        code: Of the goodbye.
        reason: For the peer.
    """
    payload = encode_goodbye(code, reason)
    frame = HEADER.pack(len(payload), Kind.GOODBYE, CONTROL, 0, 0, 0) + payload
    if scheme != "ws":
        return frame
    close = struct.pack("!H", _INTERNAL_ERROR) + reason.encode()[: _SHORT - 2].decode(errors="ignore").encode()
    return _web_frame(_BINARY, frame) + _web_frame(_CLOSE, close)


def _web_frame(head: int, payload: bytes) -> bytes:
    if len(payload) <= _SHORT:
        return bytes((head, len(payload))) + payload
    return bytes((head, _SHORT + 1)) + struct.pack("!H", len(payload)) + payload


def say(own: socket.socket, words: bytes) -> bool:
    """Send the last bytes of a connection, and that they are the last, if there is room for them now."""
    try:
        if own.send(words) != len(words):
            return False
        own.shutdown(socket.SHUT_WR)
    except OSError:  # there is no room, or the peer has gone as well
        return False
    return True


def reset(own: socket.socket) -> None:
    """Close it so that a TCP peer knows that this was no orderly end."""
    if own.family != socket.AF_UNIX:
        with suppress(OSError):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    own.close()
