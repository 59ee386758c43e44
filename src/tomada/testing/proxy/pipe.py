"""One direction of one connection: takes what one end sends, and passes it on to the other as the faults say.

There is no task in it. Without faults what comes is written in the same call; else it waits in a queue, and a timer of
the loop passes on what is due.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Final

from tomada.testing.proxy.faults import Faults, Hold
from tomada.transports import unacknowledged

if TYPE_CHECKING:
    from random import Random

    from tomada.testing.proxy.pair import Pair

_TICK: Final = 0.01
"""Seconds of the bandwidth that are passed on in one piece, and that a late timer may make up for."""
_SLACK: Final = 1e-6
"""A timer may be early by so much: clocks are numbers with an end."""
_WEIGHT: Final = 128
"""What a piece costs beside its bytes, so that single ones cannot fill the memory either."""


class Mark(Enum):
    """What comes behind the last byte."""

    END = "the end"
    RESET = "a reset"


class Pipe:
    """Bytes in order, from one end to the other.

    Args:
        pair: Told when a mark has come through, and when so much has that the connection is to be reset.
        faults: What it does at first.
        random: Decides sizes.
        most: Bytes that wait here before reading pauses.
        hold: Who has it stand still from the start.
    """

    __slots__ = (
        "_clogged",
        "_drops",
        "_faults",
        "_free_at",
        "_hold",
        "_is_paused",
        "_is_plain",
        "_loop",
        "_most",
        "_pair",
        "_queue",
        "_random",
        "_timer",
        "_until_cut",
        "_until_reset",
        "_waiting",
        "has_ended",
        "relayed",
        "source",
        "target",
    )

    def __init__(self, pair: Pair, faults: Faults, random: Random, most: int, hold: Hold) -> None:
        self._loop = asyncio.get_running_loop()
        self._pair = pair
        self._random = random
        self._most = most
        self._hold = hold
        self._queue: deque[tuple[float, bytes | memoryview | Mark]] = deque()
        """What has come and was not passed on, each with when it came."""
        self._waiting = 0
        self._timer: asyncio.Handle | None = None
        self._clogged = False
        """The target takes no more just now."""
        self._is_paused = False
        """The source is not read."""
        self._drops = False
        """Nothing more is taken: the end was said, or there is nobody to give it to."""
        self.source: asyncio.Transport | None = None
        """Who sends; nobody before it is there, and when it has sent all."""
        self.target: asyncio.Transport | None = None
        self.has_ended = False
        """The target was told that nothing more comes."""
        self.relayed = 0
        """Bytes passed on."""
        self._use(faults)

    @property
    def is_held(self) -> bool:
        """Whether somebody has it stand still."""
        return bool(self._hold)

    def use(self, faults: Faults) -> None:
        """Let these be the faults from now on, also for what waits."""
        self._use(faults)
        self._pump_anew()

    def _use(self, faults: Faults) -> None:
        self._faults = faults
        self._is_plain = faults == _NONE
        self._free_at = -inf
        self._until_cut = 0
        self._until_reset = faults.reset_after

    def hold(self, who: Hold) -> None:
        """Pass nothing on until `release`, and read nothing."""
        self._hold |= who
        self._balance()

    def release(self, who: Hold) -> None:
        """Go on, unless somebody else holds it too."""
        self._hold &= ~who
        self._pump_anew()

    # From the source.

    def take(self, data: bytes) -> None:
        """What has come."""
        if self._drops:
            return
        if self._is_plain and not self._queue and self._may_pass():
            self._write(data)
            return
        self._queue.append((self._loop.time(), data))
        self._waiting += len(data) + _WEIGHT
        self._pump_unless_waiting()

    def finish(self, mark: Mark) -> None:
        """Nothing more comes but the mark, which follows behind all that has. After the end a reset may still come."""
        if self.target is not None and self.target.is_closing():
            return
        if self._drops and mark is Mark.END:
            return
        self._drops = True
        self._queue.append((self._loop.time(), mark))
        self._pump_unless_waiting()

    # To the target.

    def attach(self, target: asyncio.Transport) -> None:
        """Pass on to it what has come so far, and all that will."""
        self.target = target
        self._pump_unless_waiting()

    def clog(self) -> None:
        """The target takes no more just now."""
        self._clogged = True
        self._balance()

    def unclog(self) -> None:
        """The target takes more."""
        self._clogged = False
        self._pump_unless_waiting()

    def stop(self) -> None:
        """Forget what waits, and take nothing more."""
        self._drops = True
        self._queue.clear()
        self._waiting = 0
        self._cancel()
        self._balance()

    def is_delivered(self) -> bool:
        """Whether the target's peer, or its system, has all that was passed on, as far as one can know."""
        target = self.target
        return target is None or target.is_closing() or not (target.get_write_buffer_size() or unacknowledged(target))

    # What waits.

    def _may_pass(self) -> bool:
        return not (self._hold or self._clogged or self.target is None or self.target.is_closing())

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pump_anew(self) -> None:
        self._cancel()
        self._pump()

    def _pump_unless_waiting(self) -> None:
        if self._timer is None:
            self._pump()
        else:
            self._balance()

    def _pump(self) -> None:
        """Pass on what is due, and come back for what will be."""
        self._timer = None
        while self._may_pass():
            if self._until_reset == 0:
                self._pair.reset_behind(self)
                break
            if not self._queue:
                break
            now = self._loop.time()
            arrived, item = self._queue[0]
            due = max(arrived + self._faults.latency, self._free_at)
            if due > now + _SLACK:
                self._timer = self._loop.call_at(due, self._pump)
                break
            if isinstance(item, Mark):
                self._queue.popleft()
                self._pass_mark(item)
                continue
            self._pass_piece(item, now)
            if self._faults.slice and self._queue:
                # Not by call_soon: who reads on this loop too shall have its turn in between.
                self._timer = self._loop.call_later(0, self._pump)
                break
        self._balance()

    def _pass_piece(self, item: bytes | memoryview, now: float) -> None:
        size = self._size(len(item))
        if size == len(item):
            self._queue.popleft()
            self._waiting -= size + _WEIGHT
            piece = bytes(item)
        else:
            view = memoryview(item)
            self._queue[0] = self._queue[0][0], view[size:]
            self._waiting -= size
            piece = bytes(view[:size])
        if self._faults.bandwidth < inf:
            self._free_at = max(self._free_at, now - _TICK) + size / self._faults.bandwidth
        if self._until_reset is not None:
            self._until_reset -= size
        self._write(piece)

    def _size(self, most: int) -> int:
        """How much of `most` bytes is passed on at once."""
        faults = self._faults
        size = most
        if faults.bandwidth < inf:
            size = min(size, max(1, int(faults.bandwidth * _TICK)))
        if self._until_reset is not None:
            size = min(size, self._until_reset)
        if faults.slice:
            # Where it is cut follows from the seed, and not from the pieces in which it came.
            if not self._until_cut:
                fixed = faults.slice
                self._until_cut = fixed if isinstance(fixed, int) else self._random.randint(*fixed)
            size = min(size, self._until_cut)
            self._until_cut -= size
        return size

    def _write(self, data: bytes) -> None:
        assert self.target is not None, "asked before"  # noqa: S101 - the house's own order
        self.relayed += len(data)
        self.target.write(data)

    def _pass_mark(self, mark: Mark) -> None:
        self.has_ended = True
        self._pair.passed(self, mark)

    def _balance(self) -> None:
        """Read no faster than is passed on."""
        source = self.source
        if source is None or source.is_closing():
            return
        bound = self._most // 2 if self._is_paused else self._most
        is_full = bool(self._hold) or (not self._drops and (self._clogged or self._waiting >= bound))
        if is_full is not self._is_paused:
            self._is_paused = is_full
            if is_full:
                source.pause_reading()
            else:
                source.resume_reading()


_NONE: Final = Faults()
