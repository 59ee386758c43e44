"""All that is told, by name; and readings, which are added up where several processes serve."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Labels: TypeAlias = "tuple[str, ...]"


class Family(NamedTuple):
    """One name. Units stand in names, and are seconds and bytes; what only grows ends in ``_total``."""

    kind: Kind
    text: str
    labels: Labels = ()
    join: Literal["sum", "least", "most"] = "sum"
    """What it is of several processes."""


def _counter(text: str, *labels: str) -> Family:
    return Family("counter", text, labels)


def _gauge(text: str, *labels: str) -> Family:
    return Family("gauge", text, labels)


DURATION: Final = "tomada_request_duration_seconds"

FAMILIES: Final[dict[str, Family]] = {
    "tomada_build_info": Family("gauge", "Always 1; which tomada and which Python.", ("version", "python"), "most"),
    "tomada_start_time_seconds": Family("gauge", "When the server was started, since 1970.", (), "least"),
    "tomada_connections": _gauge("Open connections of messages, and byte streams.", "kind"),
    "tomada_callers_accepted_total": _counter("Callers that were accepted, whatever became of them."),
    "tomada_callers_turned_away_total": _counter("Callers that were dropped or refused, by the limit.", "limit"),
    "tomada_connections_opened_total": _counter("Connections and byte streams whose handshake was completed."),
    "tomada_connections_failed_total": _counter("Those of them that ended by a fault."),
    "tomada_connections_interrupted_total": _counter("Connections that were lost while their session was kept."),
    "tomada_handshakes_in_progress": _gauge("Callers at their handshake."),
    "tomada_handshakes_total": _counter("Handshakes that ended: completed, failed, or given up.", "outcome"),
    "tomada_handshake_duration_seconds": Family("histogram", "From a caller's acceptance to its open connection."),
    "tomada_received_bytes_total": _counter("Bytes that came over connections and byte streams."),
    "tomada_sent_bytes_total": _counter("Bytes that went over connections and byte streams."),
    "tomada_received_messages_total": _counter("Requests, one-way messages and answers that came."),
    "tomada_sent_messages_total": _counter("Requests, one-way messages and answers that went."),
    "tomada_waiting_bytes": _gauge("To be sent, and not taken by the system yet."),
    "tomada_unacknowledged_bytes": _gauge("Sent, and not handled by the peers yet, or not said so."),
    "tomada_held_bytes": _gauge("Come, and not handled yet."),
    "tomada_handlers": _gauge("Handlers that have begun and wait for something."),
    DURATION: Family("histogram", "How long handlers took, by the type of what they handled.", ("type",)),
    "tomada_requests_failed_total": _counter("Handlers that raised, or were cancelled.", "type"),
    "tomada_limits_struck_total": _counter("How often somebody met a limit, and what it did.", "limit", "outcome"),
    "tomada_deadlines_struck_total": _counter("How often something was later than a deadline allows.", "deadline"),
    "tomada_sessions": _gauge("Sessions, with and without a connection.", "state"),
    "tomada_sessions_resumed_total": _counter("Sessions that went on over a new connection."),
    "tomada_sessions_refused_total": _counter("Callers that wanted to go on with a session, and were refused."),
    "tomada_sessions_lost_total": _counter("Sessions that ended with messages whose fate is not known."),
    "tomada_sessions_evicted_total": _counter("Sessions that a store dropped, by the bound.", "reason"),
    "tomada_commit_failures_total": _counter("How often what changes in sessions could not be stored."),
    "tomada_accept_failures_total": _counter("How often the system gave no more connections."),
    "tomada_loop_blocked_total": _counter("How often a handler kept the event loop to itself."),
    "tomada_loop_blocked_seconds_total": _counter("For how long handlers kept it so."),
    "tomada_datagrams_received_total": _counter("Datagrams that were taken from the system.", "address"),
    "tomada_datagrams_sent_total": _counter("Datagrams that were handed to the system.", "address"),
    "tomada_datagrams_lost_total": _counter("Datagrams that were given up, and why.", "address", "reason"),
    "tomada_trace_contexts_ignored_total": _counter("Messages whose trace context could not be read."),
    "tomada_children": _gauge("Child processes that serve connections."),
    "tomada_children_ended_total": _counter("Child processes that ended: as they should, or by a fault.", "outcome"),
    "tomada_workers": _gauge("Processes that serve, and were read."),
    "tomada_workers_started_total": _counter("Workers that began to accept."),
    "tomada_workers_ended_total": _counter("Workers that ended: as they should, or by a fault.", "outcome"),
    "tomada_reloads_total": _counter("How often the application was loaded anew, or could not be.", "outcome"),
    "tomada_cpu_seconds_total": _counter("Processor time of the processes that serve."),
    "tomada_resident_memory_bytes": _gauge("Memory of the processes that serve; shared pages count in each."),
}
"""Labels are bounded: types, limits, deadlines, outcomes, reasons and the server's own addresses; never peers."""


class Number(msgspec.Struct, array_like=True, frozen=True):
    """One value of a counter or a gauge."""

    name: str
    value: float
    labels: Labels = ()


class Distribution(msgspec.Struct, array_like=True, frozen=True):
    """One histogram."""

    name: str
    seconds: float
    """The sum."""
    buckets: tuple[tuple[float, int], ...]
    """For each bound how many were not above it, the last one's being infinite: cumulative."""
    labels: Labels = ()


class Reading(msgspec.Struct, array_like=True, frozen=True):
    """All that one process told at one moment."""

    numbers: list[Number]
    distributions: list[Distribution]


class Sum:
    """Readings added up."""

    __slots__ = ("_distributions", "_numbers")

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, Labels], float] = {}
        self._distributions: dict[tuple[str, Labels], Distribution] = {}

    def add(self, reading: Reading, *, is_gone: bool = False) -> None:
        """Add one; of a process that `is_gone` only what it has counted. What has no name here is passed over."""
        for number in reading.numbers:
            family = FAMILIES.get(number.name)
            if family is None or len(family.labels) != len(number.labels):
                continue
            if family.kind == "counter" or not is_gone:
                self._add(family, number)
        for one in reading.distributions:
            known = self._distributions.get((one.name, one.labels))
            if one.name in FAMILIES:
                self._distributions[one.name, one.labels] = one if known is None else _together(known, one)

    def _add(self, family: Family, number: Number) -> None:
        key = number.name, number.labels
        known = self._numbers.get(key)
        if known is None:
            self._numbers[key] = number.value
        elif family.join == "sum":
            self._numbers[key] = known + number.value
        else:
            self._numbers[key] = (min if family.join == "least" else max)(known, number.value)

    @property
    def reading(self) -> Reading:
        """What it comes to."""
        numbers = [Number(name, value, labels) for (name, labels), value in self._numbers.items()]
        return Reading(numbers, list(self._distributions.values()))


def _together(one: Distribution, other: Distribution) -> Distribution:
    if [bound for bound, _ in one.buckets] != [bound for bound, _ in other.buckets]:
        return other  # of another version, after a reload
    pairs = zip(one.buckets, other.buckets, strict=True)
    buckets = tuple((bound, first + second) for (bound, first), (_, second) in pairs)
    return Distribution(one.name, one.seconds + other.seconds, buckets, one.labels)
