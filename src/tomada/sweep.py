"""Deadlines without a timer for each: a timing wheel, turned by one timer per event loop.

G. Varghese and T. Lauck, "Hashed and hierarchical timing wheels", 1987, scheme 6. Who has a deadline stands in the slot
of the tick at which somebody must look. To be busy costs nothing: when its slot is due, who is not late says when to
look again.
"""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    import asyncio

TICK: Final = 0.1
"""Seconds: what is late is noticed so much later, at most."""
NOWHERE: Final = -1
_STALLED: Final = 5
"""So many ticks late the wheel itself may be, before it takes that for a stop of the whole process."""
_AGAIN: Final = 1.0
"""Seconds until it looks again at what could not be looked at."""
_BURST: Final = 64
_SOON: Final = 5


class Watched(Protocol):
    """What stands in the wheel. Its `slot` is the wheel's, and `NOWHERE` at first."""

    slot: int

    def sweep(self, now: float) -> float:
        """End what is late, and say when to look again on the loop's clock; `inf`: not before somebody asks for it."""
        ...


class Sweep:
    """Looks at whatever is watched when it may be late: never too early, and at most a tick too late.

    Args:
        loop: Whose clock it goes by.
    """

    __slots__ = ("__weakref__", "_looking", "_loop", "_next", "_put_off", "_slots", "_timer", "_turned", "soon")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, dict[Watched, None]] = {}
        """Not sets: their order would be that of the places in memory, and no run of a simulation like another."""
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0
        """The tick of the timer."""
        self._put_off = False
        self._looking: set[int] = set()
        """The slots whose items are being looked at, some at a time."""
        self._turned = int(loop.time() / TICK)
        """The last tick that was looked at."""
        self.soon = self._turned + _SOON
        """Who stands in this slot, or before it, is looked at within half a second."""

    def watch(self, item: Watched, at: float) -> None:
        """Look at `item` at that time, or earlier where it was to be looked at before."""
        if at == inf:
            return
        slot = max(ceil(at / TICK), self._turned + 1)
        if item.slot != NOWHERE:
            if item.slot <= slot:
                return
            self._slots[item.slot].pop(item, None)
        item.slot = slot
        try:
            self._slots[slot][item] = None
        except KeyError:
            self._slots[slot] = {item: None}
            if self._timer is None or slot < self._next:
                self._wind(slot)

    def forget(self, item: Watched) -> None:
        """Look at `item` no more."""
        if item.slot != NOWHERE:
            self._slots[item.slot].pop(item, None)
            item.slot = NOWHERE

    def _wind(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = tick
        self._timer = self._loop.call_at(tick * TICK, self._turn)

    def _turn(self) -> None:
        now = self._loop.time()
        tick = int(now / TICK)
        self._timer = None
        if tick - self._next > _STALLED and not self._put_off:
            # This process was stopped, or its loop kept busy. What has come meanwhile is read before anybody is late.
            self._put_off = True
            self._wind(tick + 1)
            return
        self._put_off = False
        self._turned = max(tick, self._next)  # a clock of milliseconds may strike a little early
        self.soon = self._turned + _SOON
        for slot in [slot for slot in self._slots if slot <= self._turned and slot not in self._looking]:
            self._look(slot)
        waiting = [slot for slot in self._slots if slot > self._turned]
        if waiting:
            self._wind(min(waiting))

    def _look(self, slot: int) -> None:
        """Look at those of one slot, some at a time: thousands may be late together, and others want their turn."""
        items, now = self._slots[slot], self._loop.time()
        for _ in range(_BURST):
            if not items:
                break  # one that is looked at may make others be forgotten
            item, _ = items.popitem()
            item.slot = NOWHERE
            try:
                self.watch(item, item.sweep(now))
            except Exception as error:  # noqa: BLE001 - the others are looked at all the same
                self._loop.call_exception_handler({"message": f"looking at {item!r} failed", "exception": error})
                self.watch(item, now + _AGAIN)
        if items:
            self._looking.add(slot)
            self._loop.call_soon(self._look, slot)
        else:
            self._looking.discard(slot)
            del self._slots[slot]


_sweeps: Final[WeakValueDictionary[int, Sweep]] = WeakValueDictionary()


def sweep_of(loop: asyncio.AbstractEventLoop) -> Sweep:
    """The one wheel of `loop`, for as long as somebody has it."""
    sweep = _sweeps.get(id(loop))  # of a loop that lives: the wheel holds it
    if sweep is None:
        sweep = _sweeps[id(loop)] = Sweep(loop)
    return sweep
