"""The tomada protocol, sans-I/O: bytes and the time come in as arguments, events and bytes come out.

May import: `tomada.errors` and msgspec. Never asyncio, socket, ssl, time, random or logging.

Read `state.py` first (the life of a connection, as a table), then `frames.py` (the 16-byte header), `handshake.py`
(what the two ends tell each other before anything else), `lanes.py` (sequences and fragments), `outbound.py` (what one
end says) and `engine.py`, which puts them together. `datagram.py` is messages in datagrams, which have none of that but
the types. The specification is `docs/reference/protocol.md`.
"""

from tomada.protocol.admission import Admission
from tomada.protocol.engine import Engine
from tomada.protocol.events import (
    Answered,
    Asked,
    Cancelled,
    Declared,
    Event,
    Left,
    Opened,
    Ponged,
    Received,
    Refused,
)
from tomada.protocol.frames import HEADER_BYTES, Kind, Lane
from tomada.protocol.handshake import (
    MAXIMUM_TYPES,
    VERSION,
    Failure,
    FailureCode,
    Field,
    Goodbye,
    GoodbyeCode,
    Hello,
    PeerLimits,
    TypeEntry,
    TypeKind,
    Welcome,
    encode,
)
from tomada.protocol.state import Role, State

__all__ = [
    "HEADER_BYTES",
    "MAXIMUM_TYPES",
    "VERSION",
    "Admission",
    "Answered",
    "Asked",
    "Cancelled",
    "Declared",
    "Engine",
    "Event",
    "Failure",
    "FailureCode",
    "Field",
    "Goodbye",
    "GoodbyeCode",
    "Hello",
    "Kind",
    "Lane",
    "Left",
    "Opened",
    "PeerLimits",
    "Ponged",
    "Received",
    "Refused",
    "Role",
    "State",
    "TypeEntry",
    "TypeKind",
    "Welcome",
    "encode",
]
