"""What happens, as typed events: whoever wants to know subscribes.

The classes of events stand here; `tomada.subscribe` takes a function and those that it wants to be told. Snapshots of
what connections have done so far are here, too.

May import: nothing of the house. Read ``events.py`` first; ``hub.py`` carries the events to their subscribers, and
``log.py``, which writes them to the log, is one of those; ``spans.py`` measures handlers.
"""

from tomada.telemetry import log
from tomada.telemetry.events import (
    AcceptFailed,
    AcceptResumed,
    ChildEnded,
    ChildStarted,
    ConnectionEnded,
    ConnectionOpened,
    DeadlineStruck,
    Event,
    HandshakeEnded,
    LimitStruck,
    ListenerClosed,
    ListenerOpened,
    LoopBlocked,
    Outcome,
    Reloaded,
    RequestEnded,
    WorkerEnded,
    WorkerStarted,
)
from tomada.telemetry.hub import Subscription, emit, late, subscribe
from tomada.telemetry.statistics import ConnectionStatistics, StreamStatistics

__all__ = [
    "AcceptFailed",
    "AcceptResumed",
    "ChildEnded",
    "ChildStarted",
    "ConnectionEnded",
    "ConnectionOpened",
    "ConnectionStatistics",
    "DeadlineStruck",
    "Event",
    "HandshakeEnded",
    "LimitStruck",
    "ListenerClosed",
    "ListenerOpened",
    "LoopBlocked",
    "Outcome",
    "Reloaded",
    "RequestEnded",
    "StreamStatistics",
    "Subscription",
    "WorkerEnded",
    "WorkerStarted",
    "emit",
    "late",
    "subscribe",
]

log.start()
