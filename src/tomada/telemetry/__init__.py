"""What happens, as typed events: whoever wants to know subscribes.

The classes of events stand here; `tomada.subscribe` takes a function and those that it wants to be told.

May import: nothing of the house. Read ``events.py`` first; ``hub.py`` carries the events to their subscribers, and
``log.py``, which writes them to the log, is one of those; ``spans.py`` measures
handlers, ``statistics.py`` has the snapshots of what was counted.
"""

from tomada.telemetry import log
from tomada.telemetry.events import (
    AcceptFailed,
    AcceptResumed,
    ChildEnded,
    ChildStarted,
    CommitFailed,
    CommitResumed,
    ConnectionEnded,
    ConnectionInterrupted,
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
    SessionEnded,
    SessionEvicted,
    SessionRefused,
    SessionResumed,
    WorkerEnded,
    WorkerStarted,
)
from tomada.telemetry.hub import Subscription, emit, late, subscribe

__all__ = [
    "AcceptFailed",
    "AcceptResumed",
    "ChildEnded",
    "ChildStarted",
    "CommitFailed",
    "CommitResumed",
    "ConnectionEnded",
    "ConnectionInterrupted",
    "ConnectionOpened",
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
    "SessionEnded",
    "SessionEvicted",
    "SessionRefused",
    "SessionResumed",
    "Subscription",
    "WorkerEnded",
    "WorkerStarted",
    "emit",
    "late",
    "subscribe",
]

log.start()
