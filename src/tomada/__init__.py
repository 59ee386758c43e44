"""tomada: sockets that carry your types, keep their promises, and show what they do.

Declare messages as classes and handlers as functions; `serve` and `connect` do the rest. Programs without an event loop
find the same in `tomada.sync`.

The house, from the ground: `errors`, `address`, `message`; `protocol` (sans-I/O); `transports` (kernel sockets);
`datagrams`; `app`, `messenger`, `link`, `connection`; `client` and `server`; `cli`. Imports point down.
"""

from tomada import sync, telemetry
from tomada.address import Address
from tomada.app import App
from tomada.client import DatagramClient, connect, connect_datagram, connect_stream
from tomada.connection import Connection
from tomada.connection_state import ConnectionState
from tomada.datagrams import Datagram, DatagramPeer, DatagramSocket, bind
from tomada.errors import (
    AddressError,
    AddressInUse,
    BufferFull,
    ChildrenFailed,
    ConnectFailed,
    ConnectionLost,
    DatagramError,
    DatagramTooLong,
    DeclarationError,
    FileChanged,
    HandshakeFailed,
    InternalError,
    InvalidMessage,
    LimitExceeded,
    ListenFailed,
    MessageError,
    OutcomeUnknown,
    ProtocolError,
    RecordingError,
    RemoteError,
    SessionLost,
    StoreFailed,
    StreamBusy,
    StreamEnded,
    SystemPort,
    TimedOut,
    TomadaError,
    TransportError,
    TypeMismatch,
    UnknownType,
    UnverifiedPeer,
)
from tomada.items.stream import ItemStream
from tomada.message import DuplexRequest, Message, Request, StreamRequest, UploadRequest, key_of
from tomada.recording import record
from tomada.server import Server, ServerStatistics, StreamListener, listen_stream, serve
from tomada.settings import TLS, Children, DatagramLimits, Deadlines, Limits, Multicast, Sessions
from tomada.streams import Frames, LengthPrefix, Stream, u8, u16, u32, u64
from tomada.telemetry import subscribe
from tomada.telemetry.statistics import ConnectionStatistics, StreamStatistics
from tomada.transports import Credentials, DatagramStatistics, Identity
from tomada.web import web_folder

__all__ = [
    "TLS",
    "Address",
    "AddressError",
    "AddressInUse",
    "App",
    "BufferFull",
    "Children",
    "ChildrenFailed",
    "ConnectFailed",
    "Connection",
    "ConnectionLost",
    "ConnectionState",
    "ConnectionStatistics",
    "Credentials",
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
    "DuplexRequest",
    "FileChanged",
    "Frames",
    "HandshakeFailed",
    "Identity",
    "InternalError",
    "InvalidMessage",
    "ItemStream",
    "LengthPrefix",
    "LimitExceeded",
    "Limits",
    "ListenFailed",
    "Message",
    "MessageError",
    "Multicast",
    "OutcomeUnknown",
    "ProtocolError",
    "RecordingError",
    "RemoteError",
    "Request",
    "Server",
    "ServerStatistics",
    "SessionLost",
    "Sessions",
    "StoreFailed",
    "Stream",
    "StreamBusy",
    "StreamEnded",
    "StreamListener",
    "StreamRequest",
    "StreamStatistics",
    "SystemPort",
    "TimedOut",
    "TomadaError",
    "TransportError",
    "TypeMismatch",
    "UnknownType",
    "UnverifiedPeer",
    "UploadRequest",
    "bind",
    "connect",
    "connect_datagram",
    "connect_stream",
    "key_of",
    "listen_stream",
    "record",
    "serve",
    "subscribe",
    "sync",
    "telemetry",
    "u8",
    "u16",
    "u32",
    "u64",
    "web_folder",
]
