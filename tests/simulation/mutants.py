"""The product with one of its safeguards switched off: the simulation must notice each, or it proves nothing.

A mutant is a function that is given a `Patch` and puts something in the place of what the product has. To add one,
write it and decorate it with its name. One whose target is gone fails loudly, so that none is ever passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias
from unittest import mock

import msgspec

from tests.simulation.cluster import Outcome, run, undisturbed
from tomada.handling import Handling
from tomada.lifetime import Lifetime
from tomada.link import Link
from tomada.protocol.continuity import Continuity
from tomada.protocol.frames import U32
from tomada.protocol.outbound import Outbound
from tomada.protocol.outgoing import Outgoing
from tomada.protocol.requests import Requests
from tomada.sessions import registry
from tomada.sessions.registry import Registry

MOST: Final = 2_000
"""Each is caught within so many seeds."""
_PORTION: Final = 20


class Patch:
    """Puts mutated methods in place, and takes them back."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Let ``owner.name`` be what `make` makes of it."""
        self._stack.enter_context(mock.patch.object(owner, name, make(getattr(owner, name))))


Mutant: TypeAlias = Callable[[Patch], None]
MUTANTS: Final[dict[str, Mutant]] = {}


def mutant(name: str) -> Callable[[Mutant], Mutant]:
    """Register a mutant."""

    def register(function: Mutant) -> Mutant:
        MUTANTS[name] = function
        return function

    return register


@mutant("lane order off")
def _lane_order(patch: Patch) -> None:
    """What waits for its handler is started from the wrong end."""

    def make(original: Any) -> Any:
        def start_first(self: Any) -> None:
            line = self._urgent or self._waiting
            line.move_to_end(next(reversed(line)), last=False)
            original(self)

        return start_first

    patch.replace(Handling, "_start_first", make)


@mutant("cancel not sent")
def _cancel(patch: Patch) -> None:
    """Who gives a request up tells nobody."""

    def make(_: Any) -> Any:
        def cancel(self: Any, id_: int) -> None:
            if id_ in self._asked:
                self._asked[id_] = None

        return cancel

    patch.replace(Requests, "cancel", make)


@mutant("buffer bound off")
def _bound(patch: Patch) -> None:
    """Senders wait for a moment, whatever there is."""

    def make(_: Any) -> Any:
        async def until_writable(_: Any, **__: Any) -> None:
            await asyncio.sleep(0.001)

        return until_writable

    patch.replace(Link, "until_writable", make)


@mutant("no deduplication")
def _twice(patch: Patch) -> None:
    """A message is given to its handler once more, now and then."""

    def make(original: Any) -> Any:
        def handle(self: Any, route: Any, message: Any, id_: int, origin: int) -> Any:
            if not id_ and self.engine.received_messages % 8 == 0:
                original(self, route, message, id_, origin)
            return original(self, route, message, id_, origin)

        return handle

    patch.replace(Handling, "handle", make)


@mutant("answers doubled")
def _answers(patch: Patch) -> None:
    """A request is answered twice."""

    def make(original: Any) -> Any:
        def reply(self: Any, id_: int, type_: int, payload: bytes) -> None:
            limit = self._open.get(id_)
            original(self, id_, type_, payload)
            if limit is None and self.normal.sequence % 8 == 0:
                self._open[id_] = limit
                original(self, id_, type_, payload)

        return reply

    patch.replace(Requests, "reply", make)


@mutant("a loss not told")
def _loss(patch: Patch) -> None:
    """Calls that were open when the connection was lost hear nothing of it."""

    def make(original: Any) -> Any:
        def drop(self: Any, reason: str) -> list[Any]:
            original(self, reason)
            return []

        return drop

    patch.replace(Outbound, "drop", make)


@mutant("no heartbeat")
def _heartbeat(patch: Patch) -> None:
    """A silent peer is trusted for ever."""

    def make(_: Any) -> Any:
        return lambda self, now: now + self.endpoint.deadlines.heartbeat

    patch.replace(Lifetime, "_sweep_silence", make)


@mutant("acknowledge early")
def _early(patch: Patch) -> None:
    """What has come counts as handled at once."""
    patch.replace(Continuity, "hold", lambda _: lambda self, origin, size: None)  # noqa: ARG005 - as it is called


@mutant("credit ignored")
def _credit(patch: Patch) -> None:
    """A sender goes by its own buffer alone."""

    def make(original: Any) -> Any:
        def weigh(self: Any, bound: int) -> None:
            told, self.credit = self.credit, self.offset + bound
            original(self, bound)
            self.credit = told

        return weigh

    patch.replace(Outgoing, "weigh", make)


@mutant("replay from the wrong end")
def _replay(patch: Patch) -> None:
    """After a loss it is sent again what comes after the first frame that the peer lacks."""

    def make(original: Any) -> Any:
        return lambda self, received, missing: original(self, received + 1 & U32, missing)

    patch.replace(Outgoing, "rewind", make)


@mutant("no fence")
def _fence(patch: Patch) -> None:
    """The older connection of a session goes on being read when there is a newer one."""

    def make(original: Any) -> Any:
        def take_over(self: Any, other: Any, resume: Any) -> None:
            older = self.transport
            if older is not None:
                self.transport = _Unfenced()
            original(self, other, resume)

        return take_over

    patch.replace(Link, "take_over", make)


class _Unfenced:
    """In place of an older transport: what would fence it off does nothing."""

    def set_protocol(self, _: object) -> None:
        pass

    def abort(self) -> None:
        pass


@mutant("no epoch check")
def _epoch(patch: Patch) -> None:
    """A server goes on with a session of which its client has seen more than it knows."""

    def make(original: Any) -> Any:
        def resume(self: Any, caller: Any, resume: Any, link: Any) -> None:
            original(self, caller, resume if link is None else msgspec.structs.replace(resume, epoch=0), link)

        return resume

    patch.replace(Registry, "_resume", make)


@mutant("token check off")
def _token(patch: Patch) -> None:
    """Any token is as good as the right one."""
    patch.replace(registry, "compare_digest", lambda _: lambda one, other: len(one) == len(other))


@contextlib.contextmanager
def mutated(name: str) -> Iterator[None]:
    """The product as this mutant, for a while."""
    with contextlib.ExitStack() as stack:
        MUTANTS[name](Patch(stack))
        yield


def hunt(name: str, most: int = MOST, first: int = 0) -> Outcome | None:
    """The first seed that notices the mutant; ``None`` where none of so many does."""
    for start in range(first, first + most, _PORTION):
        with mutated(name), undisturbed():
            for seed in range(start, min(start + _PORTION, first + most)):
                outcome = run(seed)
                if outcome.violations:
                    return outcome
    return None
