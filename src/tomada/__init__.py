"""tomada: sockets that carry your types, keep their promises, and show what they do.

Declare messages as classes and handlers as functions; `serve` and `connect` do the rest. Programs without an event loop
find the same in `tomada.sync`.

The house, from the ground: `errors`, `address`, `message`; `protocol` (sans-I/O); `transports` (kernel sockets); `app`,
`messenger`, `link`, `connection`; `client` and `server`; `cli`. Imports point down.
"""

from tomada import sync
from tomada.address import Address
from tomada.app import App
from tomada.client import connect, connect_stream
from tomada.connection import Connection
from tomada.errors import (
    AddressError,
    AddressInUse,
    BufferFull,
    ConnectFailed,
    ConnectionLost,
    DeclarationError,
    FileChanged,
    HandshakeFailed,
    InternalError,
    InvalidMessage,
    LimitExceeded,
    ListenFailed,
    MessageError,
    ProtocolError,
    RemoteError,
    StreamBusy,
    StreamEnded,
    SystemPort,
    TimedOut,
    TomadaError,
    TransportError,
    TypeMismatch,
    UnknownType,
)
from tomada.message import Message, Request
from tomada.server import Server, StreamListener, listen_stream, serve
from tomada.settings import TLS, Deadlines, Limits
from tomada.streams import Frames, LengthPrefix, Stream, u8, u16, u32, u64
from tomada.transports import Identity

__all__ = [
    "TLS",
    "Address",
    "AddressError",
    "AddressInUse",
    "App",
    "BufferFull",
    "ConnectFailed",
    "Connection",
    "ConnectionLost",
    "Deadlines",
    "DeclarationError",
    "FileChanged",
    "Frames",
    "HandshakeFailed",
    "Identity",
    "InternalError",
    "InvalidMessage",
    "LengthPrefix",
    "LimitExceeded",
    "Limits",
    "ListenFailed",
    "Message",
    "MessageError",
    "ProtocolError",
    "RemoteError",
    "Request",
    "Server",
    "Stream",
    "StreamBusy",
    "StreamEnded",
    "StreamListener",
    "SystemPort",
    "TimedOut",
    "TomadaError",
    "TransportError",
    "TypeMismatch",
    "UnknownType",
    "connect",
    "connect_stream",
    "listen_stream",
    "serve",
    "sync",
    "u8",
    "u16",
    "u32",
    "u64",
]
