"""What waits in one stream, counted together with what waits in all others of its server.

Between the sending half of a `Flow` and the receiving one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomada.capacity import PORTION
from tomada.streams.buffer import ReceiveBuffer
from tomada.streams.outflow import Outflow

if TYPE_CHECKING:
    from tomada.capacity import Room
    from tomada.settings import Deadlines, Limits


class Backlog(Outflow):
    """What has come and was not received, and what waits to be sent. Who receives it is the subclass's.

    Args:
        limits: Of the stream.
        deadlines: How long things may take.
        room: What all that waits in the streams of a server shares; ``None``: this stream is alone.
    """

    __slots__ = ("buffer", "drops", "is_paused", "is_squeezed", "next_unread", "room")

    def __init__(self, limits: Limits, deadlines: Deadlines, room: Room | None) -> None:
        super().__init__(limits, deadlines)
        self.room = room
        self.buffer = ReceiveBuffer()
        self.next_unread = PORTION
        """When so much has come and was not received, it is counted anew."""
        self.drops = False
        """Whether what comes is dropped."""
        self.is_paused = False
        """Whether so much has come that reading pauses."""
        self.is_squeezed = False
        """Whether too much waits in all streams together, and some of it here."""

    @property
    def _has_reader(self) -> bool:
        """Whether somebody waits to receive."""
        raise NotImplementedError

    def weigh(self) -> None:
        """Count what waits here."""
        if self.room is None:
            self.held()
        else:
            self.room.weigh(self)

    def held(self) -> int:
        """How many bytes wait here: to be sent, or to be received."""
        unread = self.buffer.size
        self.next_unread = unread + PORTION
        return unread + self.unsent()

    def end(self, reason: str) -> None:
        """As `cut`: a byte stream has nothing that outlives it."""
        self.cut(reason)

    def squeeze(self, *, squeezed: bool) -> None:
        """Read no more while something waits here; or go on. Who waits to receive gets what was waited for."""
        if squeezed is self.is_squeezed:
            return
        self.is_squeezed = squeezed
        if not squeezed:
            self.relax()
        elif not self.drops and not self.transport.is_closing() and (self.clogged or not self._has_reader):
            self.is_paused = True
            self.transport.pause_reading()

    def relax(self) -> None:
        """Receive again where there is room."""
        if self.is_squeezed:
            self.weigh()
        if self.is_paused and not self.is_squeezed and self.buffer.size < self.limits.receive_bytes // 2:
            self._resume()

    def _resume(self) -> None:
        self.is_paused = False
        if not self.transport.is_closing():
            self.transport.resume_reading()
