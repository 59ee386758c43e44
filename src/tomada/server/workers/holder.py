"""The sockets of all workers, held open here: what waits in their queues outlives the worker that would serve it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomada.address import Address
from tomada.transports import reservation

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from tomada.server.activation import Activation
    from tomada.server.workers.messages import Place
    from tomada.transports.reservation import Reservation


class _Held:
    """One place: its reservation, and the own sockets of the workers after the first, where they have some."""

    __slots__ = ("_twins", "reservation")

    def __init__(self, reserved: Reservation, workers: int, *, is_spread: bool) -> None:
        self.reservation = reserved
        self._twins: dict[int, list[socket.socket]] = {}
        if is_spread and not reserved.is_single:
            try:
                for number in range(2, workers + 1):
                    self._twins[number] = reserved.twins()
            except BaseException:
                self.close()
                raise

    def sockets(self, number: int) -> list[socket.socket]:
        if number > 1 and self.reservation.is_single:
            return []
        # Where the system spreads no callers, all share one socket.
        return self._twins.get(number) or self.reservation.sockets

    def close(self) -> None:
        for twins in self._twins.values():
            for own in twins:
                own.close()
        self.reservation.close()


class Holder:
    """All places of one supervisor.

    Args:
        activation: Sockets that were given to this process, which are used before others are bound.
        workers: How many there are.
        is_spread: Whether each worker has a socket of its own at TCP addresses, among which the system spreads callers;
            else all accept from one.
    """

    __slots__ = ("_activation", "_held", "_is_spread", "_workers")

    def __init__(self, activation: Activation, workers: int, *, is_spread: bool) -> None:
        self._activation = activation
        self._workers = workers
        self._is_spread = is_spread
        self._held: dict[tuple[Place, int], _Held] = {}

    def claim(self, places: Sequence[Place]) -> None:
        """Hold what is not held yet. Where it fails, nothing more is held than before.

        Raises:
            ListenFailed: The text says which address cannot be had, and why.
        """
        made: list[tuple[Place, int]] = []
        try:
            for key in _keys(places):
                if key not in self._held:
                    self._held[key] = self._hold(key[0])
                    made.append(key)
            self._activation.check_used()
        except BaseException:
            for key in made:
                self._held.pop(key).close()
            raise

    def _hold(self, place: Place) -> _Held:
        address = Address.parse(place.address)
        given = self._activation.take(address)
        if given is not None:
            return _Held(given, self._workers, is_spread=False)
        # A datagram that comes again must come to the worker that has had it: the system keeps peers apart by socket.
        is_spread = self._is_spread or address.scheme == "udp"
        reserved = reservation.reserve(address, place.datagrams, place.rights)
        if address.scheme == "udp" and not reservation.SPREADS:
            reserved.is_single = True
        return _Held(reserved, self._workers, is_spread=is_spread)

    def sockets(self, places: Sequence[Place], number: int) -> list[tuple[list[socket.socket], tuple[str, ...]]]:
        """For each place, claimed before, the sockets of the worker `number` (from 1), and where they are.

        None where another worker serves a place for all.
        """
        found = []
        for key in _keys(places):
            held = self._held[key]
            sockets = held.sockets(number)
            found.append((sockets, tuple(map(str, held.reservation.addresses)) if sockets else ()))
        return found

    def keep_only(self, places: Sequence[Place]) -> None:
        """Give up all others: a new version of the application does not serve there any more."""
        kept = set(_keys(places))
        for key in tuple(self._held):
            if key not in kept:
                self._held.pop(key).close()

    def close(self) -> None:
        """Give up all. Callers are refused from now on, once the workers have closed theirs, too."""
        while self._held:
            self._held.popitem()[1].close()
        self._activation.close()


def _keys(places: Sequence[Place]) -> list[tuple[Place, int]]:
    """The same place may be asked for twice: port 0 is another one each time."""
    seen: dict[Place, int] = {}
    keys = []
    for place in places:
        seen[place] = seen.get(place, 0) + 1
        keys.append((place, seen[place]))
    return keys
