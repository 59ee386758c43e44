"""Finds out which handler keeps the event loop to itself.

A thread looks about four times per turn where the loop's thread stands. Who stands there, and still does when it looks
again, and meanwhile the loop has not done what the thread has asked of it, is in one long step. So it is told from many
short ones, of which each for itself blocks nobody; and a loop that sleeps is left to sleep.
"""

from __future__ import annotations

import inspect
import sys
from math import inf
from threading import Event, Thread, get_ident
from time import monotonic, process_time
from typing import TYPE_CHECKING, Any, Final

from tomada.telemetry import LoopBlocked, emit

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping
    from types import CodeType, FrameType

_LOOKS: Final = 4
"""So many times per turn the thread looks."""
_CLOSER: Final = 5
"""Where it has found the same twice it looks so many times as often."""
_REST: Final = 1.0
"""Where nothing could run it asks so often whether that is still so, in seconds."""
_STILL: Final = 5.0
"""A block that lasts is reported after so many seconds, and then whenever it has lasted twice as long."""
_QUIET: Final = 10.0
"""A handler is reported once in so many seconds for each place; the rest is counted."""
_MOST: Final = 1_000
_REAL_LOOPS: Final = ("uvloop", "winloop")
_NOBODY: Final = frozenset({"tomada", "asyncio", "selectors", *_REAL_LOOPS})
"""Packages whose frames are not what keeps the loop: they run what does."""
_RUNNING: Final = frozenset({"_run_once", "run_forever", "run_until_complete"})


def codes(functions: Iterable[tuple[Callable[..., Any], str]]) -> dict[CodeType, str]:
    """The names of functions by their code. Where a wrapper serves several, it has no name, and what it wraps has."""
    found: dict[CodeType, str | None] = {}
    for function, name in functions:
        for each in {function, inspect.unwrap(function)}:
            code = getattr(each, "__code__", None)
            if code is not None:
                found[code] = name if found.get(code, name) == name else None
    return {code: name for code, name in found.items() if name is not None}


class Watchdog:
    """Reports who blocks one event loop, with `LoopBlocked`, from a thread of its own.

    Where several watch over one loop the first does the work for all, by its own time.

    Args:
        loop: The loop. One whose clock is not the machine's, as in a simulation, is not watched: a step takes no time
            there, however long it takes.
        seconds: Whoever keeps the loop for longer is reported; `inf`: nobody is. What takes less than three quarters of
            it never is, unless the machine is too busy to look.
        names: What handlers are called, by their code. Whatever else blocks is told by the function that the loop ran.
        is_needed: Whether anything could run at present; asked from the watchdog's thread. While nothing could it
            looks nowhere, and `wake` must be called before the first thing runs.
    """

    __slots__ = (
        "_answered",
        "_base",
        "_current",
        "_ident",
        "_is_asking",
        "_is_resting",
        "_is_stopped",
        "_looked",
        "_loop",
        "_needed_at",
        "_seconds",
        "_step",
        "_stirred",
        "_thread",
        "_told",
        "is_needed",
        "names",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        names: Mapping[CodeType, str],
        is_needed: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._step = seconds / _LOOKS
        self.names = names
        self.is_needed = is_needed
        self._stirred = Event()
        self._told: dict[tuple[str, str], _Told] = {}
        self._thread: Thread | None = None
        self._is_stopped = False
        self._is_resting = False
        self._is_asking = False
        """Whether the loop has been asked for a sign, and has not given it."""
        self._answered = self._looked = self._needed_at = 0.0
        self._ident: int | None = None
        """Of the loop's thread; known with its first sign."""
        self._base: FrameType | None = None
        """Who runs the loop, where that is not asyncio: what is above it in the stack is the loop's work."""
        self._current: _Span | None = None

    def start(self) -> None:
        """Begin to watch; in the loop's thread."""
        if self._seconds == inf or not keeps_real_time(self._loop):
            return
        company = _company.setdefault(id(self._loop), [])
        company.append(self)
        if company[0] is self:
            self._lead()

    def stop(self) -> None:
        """Watch no more; in the loop's thread. Without effect where it does not."""
        company = _company.get(id(self._loop), [])
        if self not in company:
            return
        was_first = company[0] is self
        company.remove(self)
        if not was_first:
            return
        self._is_stopped = True
        self._stirred.set()
        if self._thread is not None:
            self._thread.join(_REST)
        self._base = self._current = None
        if company:
            company[0]._lead()  # noqa: SLF001 - its own class
        else:
            del _company[id(self._loop)]

    def wake(self) -> None:
        """Something is about to run; in the loop's thread."""
        for first in _company.get(id(self._loop), ())[:1]:
            if first._is_resting:  # noqa: SLF001 - its own class
                first._rise()  # noqa: SLF001 - as above

    def _lead(self) -> None:
        self._rise()
        self._is_asking = True
        self._loop.call_soon(self._sign)
        self._thread = Thread(target=self._watch, name="tomada watchdog", daemon=True)
        self._thread.start()

    def _rise(self) -> None:
        self._looked = self._needed_at = monotonic()
        self._is_resting = False
        self._stirred.set()

    def _sign(self) -> None:
        """The loop goes on: the step that was under way has ended."""
        if self._is_stopped:
            return
        self._ident = get_ident()
        caller = sys._getframe(1)  # noqa: SLF001 - documented, and there is no other way
        self._base = None if _package(caller) == "asyncio" else caller
        self._answered = monotonic()
        self._is_asking = False

    # In the watchdog's thread.

    def _watch(self) -> None:
        while not (self._is_stopped or self._loop.is_closed()):
            if self._is_resting or not self._loop.is_running():
                self._stirred.wait(_REST)
                self._stirred.clear()
                if self._is_resting and self._is_any_needed():
                    self._rise()
                continue
            current = self._current
            is_same = current is not None and current.last > current.first
            at = self._pause(self._step / _CLOSER if is_same else self._step)
            if not self._is_stopped:
                self._look(at)

    def _is_any_needed(self) -> bool:
        return any(each.is_needed() for each in _company.get(id(self._loop), ()))

    def _pause(self, seconds: float) -> float:
        """Sleep; the time since when what is found now may have been there.

        That is now, or when this thread was to wake up, where the process ran and let it not: code that runs outside of
        Python, and does not let go of the interpreter's lock, keeps this thread as well.
        """
        begun, used = monotonic(), process_time()
        if self._stirred.wait(seconds):
            self._stirred.clear()
        now = monotonic()
        late = now - begun - seconds
        return begun + seconds if late > self._step and process_time() - used > late / 2 else now

    def _look(self, at: float) -> None:
        """Note who runs. Where the loop has given its sign since, who ran before has ended: this is another step."""
        found = self._find()
        is_asking, answered, now = self._is_asking, self._answered, monotonic()
        current = self._current
        if current is not None and not (is_asking and found is not None and found.frame is current.frame):
            self._judge(current, at if is_asking else answered)
            current = None
        if found is not None:
            if current is None:
                current = found
                current.before, current.first = max(self._looked, answered), at
                self._ask()
            current.last, current.place = now, found.place
            if now - current.first > current.told:
                self._tell(current, now - current.first, is_over=False)
                current.told *= 2
        self._current = current
        self._looked = at
        if current is not None or self._is_any_needed():
            self._needed_at = now
        elif now - self._needed_at > _REST:
            self._is_resting = True

    def _ask(self) -> None:
        """Let the loop give a sign when it is free."""
        if not self._is_asking and not self._loop.is_closed():
            self._is_asking = True
            self._loop.call_soon_threadsafe(self._sign)

    def _find(self) -> _Span | None:
        """Where the loop's thread stands: the outermost function that is neither tomada's nor the loop's."""
        if self._ident is None or not self._loop.is_running():
            return None
        frame = sys._current_frames().get(self._ident)  # noqa: SLF001 - documented, for such as this
        outermost = named = None
        while frame is not None and frame is not self._base and not _is_loop(frame):
            if _package(frame) not in _NOBODY:
                outermost = frame
                if self._name(frame.f_code):
                    named = frame
            frame = frame.f_back
        if outermost is None:
            return None
        shown = named or outermost
        handler = self._name(shown.f_code) or shown.f_code.co_qualname
        return _Span(outermost, handler, f"{shown.f_code.co_filename}:{shown.f_lineno}")

    def _name(self, code: CodeType) -> str:
        return next((each.names[code] for each in _company.get(id(self._loop), ()) if code in each.names), "")

    def _judge(self, span: _Span, end: float) -> None:
        """Report who ran for too long: surely for half of it, and by the looks before and after for all of it."""
        most, least = end - span.before, min(span.last, end) - span.first
        if most > self._seconds and least >= self._seconds / 2:
            self._tell(span, (most + end - span.first) / 2, is_over=True)

    def _tell(self, span: _Span, seconds: float, *, is_over: bool) -> None:
        now = monotonic()
        key = span.handler, span.place
        told = self._told.get(key)
        has_lasted = span.told > _STILL
        if told is not None and now - told.at < _QUIET and is_over and not has_lasted:
            told.more += 1
            return
        more = 0 if told is None else told.more
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[key] = _Told(now)
        if LoopBlocked.subscribers:
            emit(LoopBlocked(handler=span.handler, place=span.place, seconds=seconds, is_over=is_over, unreported=more))


class _Span:
    """For how long a function has been found running, in one step of the loop."""

    __slots__ = ("before", "first", "frame", "handler", "last", "place", "told")

    def __init__(self, frame: FrameType, handler: str, place: str) -> None:
        self.frame = frame
        self.handler = handler
        self.place = place
        self.before = 0.0
        """When it did not run yet."""
        self.first = self.last = 0.0
        """When it was found."""
        self.told = _STILL
        """When it is reported although it goes on, in seconds."""


class _Told:
    """When something was reported, and how often it was not since."""

    __slots__ = ("at", "more")

    def __init__(self, at: float) -> None:
        self.at = at
        self.more = 0


_company: Final[dict[int, list[Watchdog]]] = {}
"""Who watches over each loop, by its id, for as long as somebody does."""


def keeps_real_time(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop's clock is the machine's.

    A simulation's begins somewhere else, and its steps take none of its time. The clocks of uvloop and winloop are the
    machine's, if not the one that Python reads on every system.
    """
    return type(loop).__module__.partition(".")[0] in _REAL_LOOPS or abs(loop.time() - monotonic()) < 1


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _is_loop(frame: FrameType) -> bool:
    """Whether all below in the stack has called the loop, and is not called by it."""
    module = frame.f_globals.get("__name__")
    return module == "asyncio.runners" or (module == "asyncio.base_events" and frame.f_code.co_name in _RUNNING)
