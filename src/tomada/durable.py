"""The link of a session that is stored: what it sends goes out after all that it follows from has been committed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tomada.link import Link
from tomada.protocol.state import FINAL
from tomada.sessions.store import Change, Chunk

if TYPE_CHECKING:
    import asyncio

    from tomada.connection import Connection
    from tomada.endpoint import Endpoint
    from tomada.protocol.durability import StoredChunk

_AT_ONCE: Final = 262_144
"""So much is handed out for one commit."""
_TOUCHES: Final = 4
"""A session that is in use says so this often in the time that it is kept."""


class DurableLink(Link):
    """What is under one connection of a server with a store that outlives its process.

    One commit at a time: what comes and goes meanwhile is in the next.

    Args:
        endpoint: As of `Link`.
        connection_type: As of `Link`.
    """

    __slots__ = ("_committing", "_has_more", "_reading", "_stored_at")

    def __init__(self, endpoint: Endpoint, connection_type: type[Connection]) -> None:
        super().__init__(endpoint, connection_type)
        self._committing = False
        self._reading = False
        """Whether what has come is just being handed to the handlers: what waits for its turn there is held by nobody,
        and would be stored as handled; or one that had to wait is, which would be stored as held beside its answer."""
        self._has_more = False
        """Whether something came up that is to be stored, while a commit was under way, or in the middle of reading."""
        self._stored_at = 0.0

    def write(self) -> None:
        """Store what has changed, and then send."""
        engine = self.engine
        if engine.session is None:
            super().write()
            return
        if self._committing or self._reading:
            self._has_more = True
            return
        self._has_more = False
        engine.report(at_once=True)
        changes = engine.changes()
        pieces = self._pieces()
        self._committing = True
        self._stored_at = self.loop.time()
        self.endpoint.sessions.record(
            Change(
                engine.session.id,
                head=changes.head,
                added=tuple(map(_chunk, changes.added)),
                dropped=changes.dropped,
                whole=changes.is_whole,
            ),
            partial(self._committed, self.transport, pieces),
        )

    def _pieces(self) -> list[bytearray]:
        pieces: list[bytearray] = []
        size = 0
        while self.transport is not None and size < _AT_ONCE and (not self.clogged or self.engine.state in FINAL):
            piece = self.engine.take()
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        return pieces

    def _committed(self, transport: asyncio.Transport | None, pieces: list[bytearray]) -> None:
        self._committing = False
        # Over another connection than that it was taken for all of it is sent again, from what is kept.
        if transport is not None and transport is self.transport and not transport.is_closing():
            for piece in pieces:
                self.sent_bytes += len(piece)
                if self.tap is not None:
                    self.tap.sent(piece)
                transport.write(piece)
            if pieces:
                self.watch_progress()
        if self.ended.done():
            return
        if self._has_more or (self.engine.unsent and not self.clogged):
            self.write()
        elif self.engine.state in FINAL:
            self.finish()
        self.let_go_on()

    def data_received(self, data: bytes) -> None:
        """As `Link.data_received`; what was handled is stored soon, and then acknowledged."""
        self._reading = True
        try:
            super().data_received(data)
        finally:
            self._reading = False
        if self._has_more and not self._committing:
            self.write()
        elif self.engine.state in FINAL:
            self.finish()
        if self.engine.session is not None and self.engine.begins:
            self.wake()

    def _start_first(self) -> None:
        self._reading = True
        try:
            super()._start_first()
        finally:
            self._reading = False

    def _flush(self) -> None:
        super()._flush()
        if self.engine.session is not None and self.engine.state not in FINAL:
            self.write()

    def finish(self) -> None:
        """As `Link.finish`, when the last words have been sent."""
        if not (self._committing or self._reading):
            super().finish()

    def sweep(self, now: float) -> float:
        """As `Link.sweep`; a store forgets who is not heard of."""
        due = super().sweep(now)
        session = self.engine.session
        if session is None or self.ended.done():
            return due
        touch = self._stored_at + session.seconds / _TOUCHES
        if now >= touch and not self._committing and self.transport is not None:
            self.write()
            touch = now + session.seconds / _TOUCHES
        return min(due, touch)

    def _over(self, reason: str, error: Exception | None) -> None:
        session = self.engine.session
        if session is not None and not self.lives_on:
            self.endpoint.sessions.remove(session.id)
        super()._over(reason, error)

    @property
    def lives_on(self) -> bool:
        """Whether the server stops: it leaves its sessions to the one that is started after it."""
        return self.endpoint.is_closing and not self.engine.parted


def _chunk(chunk: StoredChunk) -> Chunk:
    return Chunk(chunk.number, chunk.lane, chunk.data)
