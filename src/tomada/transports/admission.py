"""How many connections there may be, in all and of one host, and how many of them at their handshake."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, Protocol

from tomada.telemetry import LimitStruck, Outcome, emit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.settings import Limits

_LEAST_CHANCE: Final = 0.3
"""How likely a caller is dropped at the lower mark of handshakes; OpenSSH's own setting."""


class Admission:
    """Counts the connections of one server.

    Args:
        limits: How many there may be.
        chance: A random number from 0 to 1, for the early drop.
    """

    __slots__ = ("_chance", "_hosts", "_limits", "greeting", "is_closing", "open")

    def __init__(self, limits: Limits, chance: Callable[[], float] = random.random) -> None:
        self._limits = limits
        self._chance = chance
        self._hosts: dict[str, int] = {}
        self.greeting = 0
        """How many are at their handshake."""
        self.open = 0
        """How many are open."""
        self.is_closing = False
        """Whether the server stops."""

    def admit(self, host: str) -> Ticket | None:
        """What a caller that has just been accepted gets; ``None``: it is to be dropped, before it costs anything."""
        limits, greeting = self._limits, self.greeting
        if greeting >= limits.handshakes_early and self._is_dropped(greeting):
            if LimitStruck.subscribers:
                name, allowed = "handshakes_early", limits.handshakes_early
                if greeting >= limits.handshakes:
                    name, allowed = "handshakes", limits.handshakes
                emit(LimitStruck(limit=name, allowed=allowed, outcome=Outcome.DROPPED, where=host))
            return None
        self.greeting += 1
        return Ticket(self, host)

    def _is_dropped(self, greeting: int) -> bool:
        limits = self._limits
        if greeting >= limits.handshakes:
            return True
        share = (greeting - limits.handshakes_early) / (limits.handshakes - limits.handshakes_early)
        return self._chance() < _LEAST_CHANCE + (1 - _LEAST_CHANCE) * share

    def enter(self, host: str) -> str:
        """Count one more open connection; or why there is no room for it."""
        limits = self._limits
        if self.open >= limits.connections:
            self._refused("connections", limits.connections, host)
            return f"the server has {limits.connections:,} connections, and takes no more; try again later"
        of_host = self._hosts.get(host, 0)
        if of_host >= limits.connections_per_host:
            self._refused("connections_per_host", limits.connections_per_host, host)
            return (
                f"the server has {limits.connections_per_host:,} connections of {host or 'this machine'}, "
                "and takes no more; close one of them"
            )
        self.open += 1
        self._hosts[host] = of_host + 1
        return ""

    def leave(self, host: str) -> None:
        """Count one open connection less."""
        self.open -= 1
        left = self._hosts[host] - 1
        if left:
            self._hosts[host] = left
        else:
            del self._hosts[host]

    @staticmethod
    def _refused(name: str, allowed: int, host: str) -> None:
        if LimitStruck.subscribers:
            emit(LimitStruck(limit=name, allowed=allowed, outcome=Outcome.REFUSED, where=host))


class Admitted(Protocol):
    """What a protocol is given whose connection is counted."""

    def enter(self) -> str:
        """The handshake is complete: why there is no room for the connection; empty where there is."""
        ...

    def release(self) -> None:
        """The connection has ended. To call it again does nothing."""
        ...


class Ticket:
    """One caller, from the moment it is accepted to its end."""

    __slots__ = ("_admission", "_is_open", "host")

    def __init__(self, admission: Admission, host: str) -> None:
        self._admission: Admission | None = admission
        self._is_open = False
        self.host = host

    @property
    def is_late(self) -> bool:
        """Whether the server stops by now."""
        return self._admission is not None and self._admission.is_closing

    def enter(self) -> str:
        """The handshake is complete: the connection is counted as open. Or why there is no room for it."""
        admission = self._admission
        if admission is None or self._is_open:
            return ""
        refusal = admission.enter(self.host)
        if not refusal:
            admission.greeting -= 1
            self._is_open = True
        return refusal

    def release(self) -> None:
        """The connection has ended. To call it again does nothing."""
        admission, self._admission = self._admission, None
        if admission is None:
            return
        if self._is_open:
            admission.leave(self.host)
        else:
            admission.greeting -= 1
