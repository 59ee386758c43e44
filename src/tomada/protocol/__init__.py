"""The tomada protocol, sans-I/O: bytes and the time come in as arguments, events and bytes come out.

May import: `tomada.errors` and msgspec. Never asyncio, socket, ssl, time, random or logging.

Read `state.py` first (the life of a connection, as a table), then `frames.py` (the 16-byte header), `handshake.py`
(what the two ends tell each other before anything else), `lanes.py` and `outgoing.py` (sequences, fragments, what is
kept) and the parts of the engine, each on top of the one before: `outbound.py` (frames out, by lanes), `requests.py`,
`streaming.py` (items), `continuity.py` (credit, acknowledgements, how a session goes on), `inbound.py` (frames in) and
`engine.py`, which is the whole. `datagram.py` is messages in datagrams, which have none of that but the types. The
specification is `docs/reference/protocol.md`.
"""

from tomada.protocol.admission import Admission
from tomada.protocol.engine import Engine
from tomada.protocol.events import (
    Answered,
    Asked,
    Cancelled,
    Credited,
    Declared,
    Ended,
    Event,
    Item,
    Left,
    Opened,
    Ponged,
    Received,
    Refused,
    Resumed,
    Resuming,
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
    Session,
    TypeEntry,
    TypeKind,
    Welcome,
    encode,
)
from tomada.protocol.metadata import Trace
from tomada.protocol.state import Role, State

__all__ = [
    "HEADER_BYTES",
    "MAXIMUM_TYPES",
    "VERSION",
    "Admission",
    "Answered",
    "Asked",
    "Cancelled",
    "Credited",
    "Declared",
    "Ended",
    "Engine",
    "Event",
    "Failure",
    "FailureCode",
    "Field",
    "Goodbye",
    "GoodbyeCode",
    "Hello",
    "Item",
    "Kind",
    "Lane",
    "Left",
    "Opened",
    "PeerLimits",
    "Ponged",
    "Received",
    "Refused",
    "Resumed",
    "Resuming",
    "Role",
    "Session",
    "State",
    "Trace",
    "TypeEntry",
    "TypeKind",
    "Welcome",
    "encode",
]
