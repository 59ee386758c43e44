"""What happens, as typed events: whoever wants to know subscribes.

May import: nothing of the house. Read ``events.py`` first; ``hub.py`` carries the events to their subscribers, and
``log.py``, which writes them to the log, is one of those.
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
from tomada.telemetry.hub import Subscription, emit, subscribe

__all__ = [
    "AcceptFailed",
    "AcceptResumed",
    "ChildEnded",
    "ChildStarted",
    "ConnectionEnded",
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
    "Subscription",
    "WorkerEnded",
    "WorkerStarted",
    "emit",
    "subscribe",
]

log.start()
