"""What was sent, what was handled, and what its sender was told: the books from which the promises are checked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World


class Flow:
    """Numbered one-way messages, which one task sends one after the other over one connection, in one lane.

    Where there are sessions, over one session.
    """

    def __init__(self, name: str, sender: Process) -> None:
        self.name = name
        self.sender = sender
        self.sent = 0
        """So many have been accepted: their numbers go from 1 to this."""
        self.handled = 0
        """The number of the last that was handled."""
        self.handler: Process | None = None
        """Who handled it."""
        self.is_told = False
        """Whether the sender knows that what it sent may not have come."""
        self.connection = ""
        """What it was sent over, where the sender knows no more than whether that came to a whole end."""
        self.in_session = False
        """Whether it was sent in a session: then each message has been handled to the end, or was given back."""
        self.done: set[int] = set()
        """What was handled to the end."""
        self.undelivered: set[int] = set()
        """What the sender was given back, as its fate is unknown."""

    def lost(self, whole: set[str]) -> list[int]:
        """What was lost in silence. `whole`: the connections that came to a whole end."""
        if self.sender.is_dead:
            return []
        if self.in_session:
            return sorted(set(range(1, self.sent + 1)) - self.done - self.undelivered)
        is_told = self.is_told or (self.connection and self.connection not in whole)
        return [] if is_told else list(range(self.handled + 1, self.sent + 1))


class Call(NamedTuple):
    """Something that is to end in time."""

    what: str
    process: Process
    begun: float
    paused: float
    within: float


class Asked:
    """One request, at the end that handles it."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.begun = 1
        self.running = 1
        self.is_answered = False
        """Whether its caller has its answer."""


class Course:
    """The items of one stream, at the end that takes them."""

    def __init__(self) -> None:
        self.came = 0
        self.maker = ""
        """Which process made them: never two of them, for what has begun is not begun anew."""
        self.is_left = False
        """Whether who takes them left before the end."""


class Ledger:
    """The books of one world. They belong to no process: what is written here is never lost."""

    def __init__(self, world: World, *, is_durable: bool) -> None:
        self._world = world
        self._is_durable = is_durable
        """Whether sessions outlive the server's process: then its successor may handle again what was under way."""
        self.courses: dict[str, Course] = {}
        self.parts: dict[str, tuple[Process, int]] = {}
        """The number of the last part of an upload that was handled, and by whom."""
        self.cut = 0
        """How many streams ended with their outcome unknown."""
        self.flows: dict[str, Flow] = {}
        self.asked: dict[str, Asked] = {}
        self.calls: dict[int, Call] = {}
        self.whole: set[str] = set()
        """The connections that both ends have closed in order: all that was sent over them has come."""
        self.never: set[str] = set()
        """Requests of which their callers know that they never left."""
        self._count = 0
        self.messages = 0
        """How many messages, requests and replies have come to where they were to come."""
        self.connections = 0
        """How many handshakes clients have completed."""
        self.resumes = 0
        """How many sessions went on over another connection."""
        self.longest = 0.0
        """How long the longest call took, in seconds."""
        self.most_waiting = 0
        """How many bytes waited in one connection, at most."""

    # One-way messages.

    def flow(self, name: str, sender: Process) -> Flow:
        """A new one."""
        flow = self.flows[name] = Flow(name, sender)
        return flow

    def handled(self, name: str, number: int, process: Process) -> None:
        """A handler was given a message."""
        flow = self.flows[name]
        self.messages += 1
        self._world.history.note(f"handled {name} {number}")
        if flow.handler is not process:
            # The successor begins with what its predecessor has not handled to the end, or has not said so.
            if flow.handler is not None and not self._succeeds(flow.handler):
                self._world.violate(
                    f"{name}: {number} was handled by {process.name}, and others by {flow.handler.name}"
                )
            flow.handler, flow.handled = process, 0
        gap = [other for other in range(flow.handled + 1, number) if other not in flow.done]
        if number <= flow.handled:
            self._world.violate(f"{name}: {number} was handled after {flow.handled}: doubled, or out of order")
        elif gap:
            self._world.violate(f"{name}: {number} was handled after {flow.handled}: a gap")
        elif number > flow.sent + 1:
            self._world.violate(f"{name}: {number} was handled, and not sent")
        flow.handled = max(flow.handled, number)

    def _succeeds(self, predecessor: Process) -> bool:
        return self._is_durable and (predecessor.is_dead or predecessor.is_over)

    def done(self, name: str, number: int) -> None:
        """Its handler has ended."""
        self.flows[name].done.add(number)

    def give_back(self, name: str, number: int) -> None:
        """The sender is told that nobody knows whether it was handled."""
        flow = self.flows[name]
        self._world.history.note(f"undelivered {name} {number}")
        if number > flow.sent + 1:
            self._world.violate(f"{name}: {number} was given back, and not sent")
        flow.undelivered.add(number)

    # Requests.

    def begin(self, key: str, process: Process) -> None:
        """A handler was given a request. Once more is one too many."""
        asked = self.asked.get(key)
        self._world.history.note(f"begun {key}")
        if key in self.never:
            self._world.violate(f"{key} was begun, and its caller was told that it was not sent")
        if asked is None:
            self.asked[key] = Asked(process)
            return
        if asked.is_answered:
            self._world.violate(f"{key} was begun again by {process.name}, when it was answered")
        if asked.process is not process and self._succeeds(asked.process):
            asked.process, asked.running = process, 1
            return
        self._world.violate(f"{key} was handled {asked.begun + 1} times")
        asked.begun += 1
        asked.running += 1

    def end(self, key: str) -> None:
        """Its handler has ended, in whatever way."""
        self.asked[key].running -= 1

    def not_sent(self, key: str) -> None:
        """Who asked was told that the other end has never seen it."""
        if key in self.asked:
            self._world.violate(f"{key} was begun, and its caller was told that it was not sent")
        self.never.add(key)

    def answered(self, key: str, answer: str) -> None:
        """The reply has come to who asked."""
        self.messages += 2
        self._world.history.note(f"answered {key}")
        if key not in self.asked:
            self._world.violate(f"{key} was answered, and nobody handled it")
        else:
            self.asked[key].is_answered = True
        if answer != key:
            self._world.violate(f"{key} was answered with what belongs to {answer}")

    # Streams.

    def item(self, key: str, answer: str, number: int, maker: str) -> None:
        """An item has come to who asked."""
        course = self.courses.setdefault(key, Course())
        self.messages += 1
        self._world.history.note(f"item {key} {number}")
        if answer != key:
            self._world.violate(f"{key} was answered with an item that belongs to {answer}")
        if number != course.came + 1:
            self._world.violate(f"{key}: item {number} came after {course.came}")
        if maker != (course.maker or maker):
            self._world.violate(f"{key}: item {number} is of {maker}, those before it of {course.maker}")
        course.came, course.maker = number, maker

    def leave(self, key: str) -> None:
        """Who asked has had enough."""
        self.courses.setdefault(key, Course()).is_left = True

    def is_left(self, key: str) -> bool:
        """Whether that is so."""
        return key in self.courses and self.courses[key].is_left

    def complete(self, key: str, count: int) -> None:
        """Who asked was told that there are no more items."""
        self._world.history.note(f"complete {key}")
        came = self.courses[key].came if key in self.courses else 0
        if came != count:
            self._world.violate(f"{key}: {came} items came, of {count}")
        self.answered(key, key)

    def cut_short(self, key: str) -> None:
        """Who asked was told that nobody knows what became of it."""
        self.cut += 1
        self._world.history.note(f"cut short {key}")

    def part(self, key: str, number: int, process: Process) -> None:
        """A part has come to its handler."""
        self.messages += 1
        self._world.history.note(f"part {key} {number}")
        before, last = self.parts.get(key, (process, 0))
        if before is not process:
            last = 0 if self._succeeds(before) else last
        if number != last + 1:
            self._world.violate(f"{key}: part {number} came after {last}")
        self.parts[key] = process, number

    # Calls.

    @contextlib.contextmanager
    def call(self, what: str, process: Process, within: float) -> Iterator[None]:
        """A call that must end within so many seconds, in which its process does not stand still."""
        self._count += 1
        count = self._count
        call = self.calls[count] = Call(what, process, self._world.now, process.paused, within)
        try:
            yield
        finally:
            if self.calls.pop(count, None) is not None and not process.is_dead:
                took = self.age(call)
                self.longest = max(self.longest, took)
                self._world.history.note(f"ended {what}")
                if took > within:
                    self._world.violate(f"{process.name}: {what} took {took:.1f} s, not {within:g} s")

    def age(self, call: Call) -> float:
        """How long it lasts, without the time in which its process stands still."""
        return self._world.now - call.begun - (call.process.paused - call.paused)
