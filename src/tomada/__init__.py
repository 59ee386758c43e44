"""tomada: sockets that carry your types, keep their promises, and show what they do.

Declare messages as classes and handlers as functions; `serve` and `connect` do the rest. Programs without an event loop
find the same in `tomada.sync`.

The house, from the ground: `errors`, `address`, `message`; `protocol` (sans-I/O); `transports` (kernel sockets);
`datagrams`; `app`, `messenger`, `link`, `connection`; `client` and `server`; `cli`. Imports point down.
"""

from tomada.address import Address
from tomada.app import App
from tomada.client import DatagramClient, connect, connect_datagram
from tomada.connection import Connection
from tomada.datagrams import Datagram, DatagramPeer, DatagramSocket, bind
from tomada.errors import (
    AddressError,
    AddressInUse,
    BufferFull,
    ConnectFailed,
    ConnectionLost,
    DatagramError,
    DatagramTooLong,
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
    UnverifiedPeer,
)
from tomada.message import Message, Request
from tomada.server import Server, serve
from tomada.settings import DatagramLimits, Deadlines, Limits, Multicast
from tomada.transports import DatagramStatistics

__all__ = [
    "Address",
    "AddressError",
    "AddressInUse",
    "App",
    "BufferFull",
    "ConnectFailed",
    "Connection",
    "ConnectionLost",
    "Datagram",
    "DatagramClient",
    "DatagramError",
    "DatagramLimits",
    "DatagramPeer",
    "DatagramSocket",
    "DatagramStatistics",
    "DatagramTooLong",
    "Deadlines",
    "DeclarationError",
    "HandshakeFailed",
    "InternalError",
    "InvalidMessage",
    "Limits",
    "ListenFailed",
    "Message",
    "MessageError",
    "Multicast",
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
    "UnverifiedPeer",
    "bind",
    "connect",
    "connect_datagram",
    "serve",
]
