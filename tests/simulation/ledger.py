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


class Ledger:
    """The books of one world. They belong to no process: what is written here is never lost."""

    def __init__(self, world: World) -> None:
        self._world = world
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

    def handled(self, name: str, number: int) -> None:
        """A handler was given a message."""
        flow = self.flows[name]
        self.messages += 1
        self._world.history.note(f"handled {name} {number}")
        if number <= flow.handled:
            self._world.violate(f"{name}: {number} was handled after {flow.handled}: doubled, or out of order")
        elif number > flow.handled + 1:
            self._world.violate(f"{name}: {number} was handled after {flow.handled}: a gap")
        elif number > flow.sent + 1:
            self._world.violate(f"{name}: {number} was handled, and not sent")
        flow.handled = max(flow.handled, number)

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
        if answer != key:
            self._world.violate(f"{key} was answered with what belongs to {answer}")

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
