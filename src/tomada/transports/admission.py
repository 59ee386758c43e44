"""How many connections there may be, in all and of one host, and how many of them at their handshake."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

from tomada.telemetry import LimitStruck, Outcome, emit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.settings import Limits

_LEAST_CHANCE: Final = 0.3
"""How likely a caller is dropped at the lower mark of handshakes; OpenSSH's own setting."""


def _chance() -> float:
    from random import random  # noqa: PLC0415 - it brings much along, and most programs are never flooded

    return random()  # noqa: S311 - it guards no secret


class Admission:
    """Counts the connections of one server, in whatever threads they are served.

    A caller gets a `Ticket` when it is accepted, which enters when its handshake is complete, and is released when the
    connection has ended, whatever has ended it.

    Args:
        limits: How many there may be.
        chance: A random number from 0 to 1, for the early drop.
    """

    __slots__ = ("_chance", "_hosts", "_limits", "_lock", "accepted", "greeting", "open", "turned_away")

    def __init__(self, limits: Limits, chance: Callable[[], float] | None = None) -> None:
        self._limits = limits
        self._chance = chance or _chance
        self._hosts: dict[str, int] = {}
        self._lock = Lock()
        self.accepted = 0
        """How many callers have been accepted so far, also those that were refused later on."""
        self.turned_away: dict[str, int] = {}
        """How many callers were dropped or refused so far, by the limit that they met."""
        self.greeting = 0
        """How many are at their handshake."""
        self.open = 0
        """How many are open."""

    def admit(self, host: str) -> Ticket | None:
        """What a caller that has just been accepted gets; ``None``: it is to be dropped, before it costs anything."""
        limits = self._limits
        with self._lock:
            greeting = self.greeting
            if greeting < limits.handshakes_early or not self._is_dropped(greeting):
                self.accepted += 1
                self.greeting = greeting + 1
                return Ticket(self, host)
        self._turn_away("handshakes" if greeting >= limits.handshakes else "handshakes_early", host, Outcome.DROPPED)
        return None

    def _is_dropped(self, greeting: int) -> bool:
        limits = self._limits
        if greeting >= limits.handshakes:
            return True
        share = (greeting - limits.handshakes_early) / (limits.handshakes - limits.handshakes_early)
        return self._chance() < _LEAST_CHANCE + (1 - _LEAST_CHANCE) * share

    def why_full(self, host: str) -> str:
        """Why there is no room for one more open connection of `host`; empty where there is. Nothing is counted."""
        return self._refused(self._lacking(host), host)

    def enter(self, host: str) -> str:
        """Count a handshake less, and an open connection more; or why there is no room for it."""
        with self._lock:
            lacking = self._lacking(host)
            if not lacking:
                self.greeting -= 1
                self.open += 1
                if host:
                    self._hosts[host] = self._hosts.get(host, 0) + 1
        return self._refused(lacking, host)

    def _lacking(self, host: str) -> str:
        """The limit that is met; empty where there is room."""
        limits = self._limits
        if self.open >= limits.connections:
            return "connections"
        return "connections_per_host" if self._hosts.get(host, 0) >= limits.connections_per_host else ""

    def _refused(self, limit: str, host: str) -> str:
        if not limit:
            return ""
        self._turn_away(limit, host, Outcome.REFUSED)
        allowed = getattr(self._limits, limit)
        has = f"the server has {allowed:,} connection{'' if allowed == 1 else 's'}"
        if limit == "connections":
            return f"{has}, and takes no more; try again later"
        return f"{has} of {host}, and takes no more of it; close one of them"

    def _turn_away(self, limit: str, host: str, outcome: Outcome) -> None:
        with self._lock:
            self.turned_away[limit] = self.turned_away.get(limit, 0) + 1
        if LimitStruck.subscribers:
            emit(LimitStruck(limit=limit, allowed=getattr(self._limits, limit), outcome=outcome, where=host))

    def leave(self, host: str, *, was_open: bool) -> None:
        """Count one open connection less; or one handshake, where it never was open."""
        with self._lock:
            if not was_open:
                self.greeting -= 1
                return
            self.open -= 1
            left = self._hosts.pop(host, 0) - 1
            if left > 0:
                self._hosts[host] = left


class Admitted(Protocol):
    """What a protocol is given whose connection is counted."""

    def called(self, host: str) -> None:
        """A proxy says who it really is. Without effect once it has entered."""
        ...

    def why_not(self) -> str:
        """Why it could not enter just now; empty where it could. For those who can tell a caller early."""
        ...

    def enter(self) -> str:
        """The handshake is complete: why there is no room for the connection; empty where there is."""
        ...

    def release(self) -> None:
        """The connection has ended. To call it again does nothing."""
        ...


class Ticket:
    """One caller, from the moment it is accepted to its end.

    Args:
        admission: Where it is counted; ``None``: nowhere.
        host: Whose it is; empty where that is not known: then it counts for no host.
        refusal: Why it may not enter, whatever room there is.
    """

    __slots__ = ("_admission", "_is_open", "_refusal", "host")

    def __init__(self, admission: Admission | None, host: str, refusal: str = "") -> None:
        self._admission = admission
        self._is_open = False
        self._refusal = refusal
        self.host = host

    def called(self, host: str) -> None:
        """A proxy says who it really is. Without effect once it has entered."""
        if not self._is_open:
            self.host = host

    def refuse(self, reason: str) -> None:
        """It may not enter, whatever room there is."""
        self._refusal = reason

    def why_not(self) -> str:
        """Why it could not enter just now; empty where it could. For those who can tell a caller early."""
        admission = self._admission
        if self._refusal or admission is None or self._is_open:
            return self._refusal
        return admission.why_full(self.host)

    def enter(self) -> str:
        """The handshake is complete: the connection is counted as open. Or why there is no room for it, for good."""
        admission = self._admission
        if self._refusal or admission is None or self._is_open:
            return self._refusal
        self._refusal = admission.enter(self.host)
        self._is_open = not self._refusal
        return self._refusal

    def release(self) -> None:
        """The connection has ended. To call it again does nothing."""
        admission, self._admission = self._admission, None
        if admission is not None:
            admission.leave(self.host, was_open=self._is_open)
