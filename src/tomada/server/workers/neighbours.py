"""The other workers, as one of them sees them: who keeps which session, and how its connection gets there.

A session belongs to a place, from 1 to the number of workers; its id begins with it. One process at a time keeps the
sessions of a place: the newest there, once those before it are gone. So a session is never alive in two.
"""

from __future__ import annotations

import time
from functools import partial
from secrets import token_bytes
from struct import Struct
from typing import TYPE_CHECKING, Final

from tomada.endpoint import log
from tomada.protocol import encode
from tomada.protocol.frames import HEADER, Kind, Lane
from tomada.server.workers.mailbox import Full, Gone, Handed, probe, receive, send
from tomada.sessions.elsewhere import Fate
from tomada.transports import passable

if TYPE_CHECKING:
    import asyncio
    import socket

    from tomada.protocol import Hello
    from tomada.server.server import Server
    from tomada.survival import Survival

_PLACE: Final = Struct("!H")
_PER_TURN: Final = 64
"""So many connections are taken over in one turn of the loop."""
_LATE: Final = 10.0
"""Who has waited for so many seconds to be taken over is dropped: its client has given up, or will try again."""


class Neighbours:
    """Hands connections over, and takes over those that others hand to this worker.

    Args:
        number: This worker's place.
        workers: How many places there are.
        inbox: Where others hand connections over to this one; it is closed by the end of the process, not before: what
            this worker stores, it has stored then.
    """

    def __init__(self, number: int, workers: int, inbox: socket.socket) -> None:
        self._number = number
        self._workers = workers
        self._inbox = inbox
        self._boxes: dict[int, list[socket.socket]] = {}
        """By place, the newest worker last; for this one's own place those before it."""
        self._taking: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """In a process that was forked from this one: nothing of this is its own."""
        self._inbox.close()
        for boxes in self._boxes.values():
            for box in boxes:
                box.close()
        self._boxes.clear()

    def meet(self, number: int, box: socket.socket) -> None:
        """Hand over through `box` what belongs to a place: to the newest worker there, as long as it lives."""
        self._boxes.setdefault(number, []).append(box)

    def identity(self, length: int) -> bytes:
        """A new id for a session that is kept here."""
        return _PLACE.pack(self._number - 1) + token_bytes(length - _PLACE.size)

    def _place(self, identity: bytes) -> int:
        """Where a session belongs: also one that was begun when there were more workers, or no workers at all."""
        if len(identity) < _PLACE.size:
            return self._number
        (number,) = _PLACE.unpack_from(identity)
        return int(number) % self._workers + 1

    def pass_on(self, caller: Survival, hello: Hello) -> Fate:
        """Hand over a caller whose session is not alive in this process."""
        assert hello.session is not None, "else it had not come here"  # noqa: S101 - the house's own order
        place = self._place(hello.session.id)
        boxes = self._boxes.get(place, [])
        can_pass = _is_passable(caller)
        while boxes:
            try:
                if can_pass:
                    self._send(boxes[-1], caller, hello)
                else:
                    probe(boxes[-1])
            except Gone:
                boxes.pop().close()
            except Full:
                return Fate.LATER
            else:
                return Fate.PASSED if can_pass else Fate.LATER
        # Where it is another's, a worker is being started there.
        return Fate.OURS if place == self._number else Fate.LATER

    def _send(self, box: socket.socket, caller: Survival, hello: Hello) -> None:
        assert caller.transport is not None, "a hello came over it"  # noqa: S101 - the house's own order
        payload = encode(hello)
        heard = HEADER.pack(len(payload), Kind.HELLO, Lane.CONTROL, 0, 0, 0) + payload
        descriptor = caller.transport.get_extra_info("socket").fileno()
        send(box, Handed(time.monotonic(), caller.peer, heard), descriptor)

    # What others hand over.

    def listen(self, loop: asyncio.AbstractEventLoop, server: Server) -> None:
        """Take over from now on; what has been handed over before has waited."""
        loop.add_reader(self._inbox, self._take, loop, server)

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take over nothing any more."""
        loop.remove_reader(self._inbox)

    def _take(self, loop: asyncio.AbstractEventLoop, server: Server) -> None:
        for _ in range(_PER_TURN):
            try:
                came = receive(self._inbox)
            except ValueError as error:
                log.error("a connection that another worker handed over was dropped: %s", error)
                continue
            if came is None:
                return
            handed, accepted = came
            if time.monotonic() - handed.at > _LATE:
                accepted.close()
                continue
            task = loop.create_task(server.take_over(accepted, handed.peer, handed.heard))
            self._taking.add(task)
            task.add_done_callback(partial(self._taken, accepted))

    def _taken(self, accepted: socket.socket, task: asyncio.Task[None]) -> None:
        self._taking.discard(task)
        if task.cancelled():
            accepted.close()
        elif (error := task.exception()) is not None:
            log.error("a connection that another worker handed over could not be served", exc_info=error)


def _is_passable(caller: Survival) -> bool:
    """Whether its connection is a socket and nothing more, and all that came over it is the hello."""
    return caller.transport is not None and not caller.engine.unfinished and passable(caller.transport)
