"""tomada: sockets that carry your types, keep their promises, and show what they do.

Declare messages as classes and handlers as functions; `serve` and `connect` do the rest. Programs without an event loop
find the same in `tomada.sync`.

The house, from the ground: `errors`, `address`, `message`; `protocol` (sans-I/O); `transports` (kernel sockets); `app`,
`messenger`, `link`, `connection`; `client` and `server`; `cli`. Imports point down.
"""

from tomada.address import Address
from tomada.app import App
from tomada.client import connect
from tomada.connection import Connection
from tomada.errors import (
    AddressError,
    AddressInUse,
    ConnectFailed,
    ConnectionLost,
    DeclarationError,
    HandshakeFailed,
    InternalError,
    InvalidMessage,
    ListenFailed,
    MessageError,
    ProtocolError,
    RemoteError,
    SystemPort,
    TimedOut,
    TomadaError,
    TransportError,
    TypeMismatch,
    UnknownType,
)
from tomada.message import Message, Request
from tomada.server import Server, serve
from tomada.settings import TLS, Deadlines, Limits
from tomada.transports import Identity

__all__ = [
    "TLS",
    "Address",
    "AddressError",
    "AddressInUse",
    "App",
    "ConnectFailed",
    "Connection",
    "ConnectionLost",
    "Deadlines",
    "DeclarationError",
    "HandshakeFailed",
    "Identity",
    "InternalError",
    "InvalidMessage",
    "Limits",
    "ListenFailed",
    "Message",
    "MessageError",
    "ProtocolError",
    "RemoteError",
    "Request",
    "Server",
    "SystemPort",
    "TimedOut",
    "TomadaError",
    "TransportError",
    "TypeMismatch",
    "UnknownType",
    "connect",
    "serve",
]
