"""What one end sends in one lane: what waits, and what is kept until the other end has handled it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from tomada.errors import ProtocolError
from tomada.protocol.frames import U32
from tomada.protocol.lanes import extended, is_after, split_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK_BYTES: Final = 65_536
"""So much is gathered into one piece; an urgent message waits for one such piece at the most."""
_SMALL: Final = 4_096
_JOINED: Final = 16_384


class Chunk:
    """Whole frames of one lane, in order, that have been sent or are about to be.

    Attributes:
        data: The frames.
        last: The sequence of the last one.
        number: Its number in a store that outlives the process; 0 where there is none.
        is_copy: Whether nobody else holds the data.
    """

    __slots__ = ("data", "is_copy", "last", "number")

    def __init__(self, data: bytearray, last: int, number: int = 0, *, is_copy: bool = False) -> None:
        self.data = data
        self.last = last
        self.number = number
        self.is_copy = is_copy


class Outgoing:
    """One lane's outgoing side.

    Args:
        lane: Its number.
    """

    __slots__ = (
        "acknowledged",
        "brim",
        "closed",
        "closed_bytes",
        "credit",
        "exceptions",
        "gathered",
        "gone",
        "handed",
        "lane",
        "left",
        "limit",
        "near",
        "offset",
        "retained",
        "retained_bytes",
        "retains",
        "sequence",
        "stragglers",
        "taken",
    )

    def __init__(self, lane: int) -> None:
        self.lane = lane
        self.retains = False
        """Whether what has been sent is kept until it is acknowledged."""
        self.sequence = 1
        """Of the next frame."""
        self.gathered = bytearray()
        """The frames that were queued last."""
        self.closed: deque[Chunk] = deque()
        """Those that were queued before them and wait as well."""
        self.closed_bytes = 0
        self.taken = 0
        """The sequence of the last frame that was handed out, over this connection or before what is to come again."""
        self.handed = 0
        """The sequence of the last frame that was ever handed out: no peer can have seen one after it."""
        self.retained: deque[Chunk] = deque()
        """What was handed out and is not acknowledged."""
        self.stragglers: dict[int, bytes] = {}
        """Frames before `acknowledged` that the peer has, and has not handled."""
        self.gone: list[int] = []
        """The numbers of chunks that are not needed any more, and a store still has."""
        self.retained_bytes = 0
        self.acknowledged = 0
        self.exceptions: set[int] = set()
        """Which frames before that are not."""
        self.near = 0
        """`acknowledged`, counted on beyond 2**32."""
        self.offset = 0
        """How many bytes were queued before `gathered`, since the session began."""
        self.credit = 0
        """Up to which offset a message may be begun."""
        self.brim = 0
        """How much was held here when the last message was begun that filled it; what came since are answers."""
        self.left = 0
        """How long `gathered` may become, by credit and by the buffer's bound, before nothing new may be begun."""
        self.limit = 0
        """How long it may become before somebody looks: at `left`, or at the end of a chunk."""

    @property
    def unsent(self) -> int:
        """How many bytes wait to be handed out."""
        return self.closed_bytes + len(self.gathered)

    @property
    def kept(self) -> int:
        """How many bytes are held here: waiting, or sent and not acknowledged."""
        return self.closed_bytes + len(self.gathered) + self.retained_bytes

    @property
    def oldest(self) -> int:
        """The sequence of the oldest frame that can be sent again, or of the next one where there is none."""
        if self.stragglers:
            return min(self.stragglers, key=lambda sequence: sequence - self.acknowledged - 1 & U32)
        for chunk in (*self.retained, *self.closed):
            return next(split_frames(chunk.data))[0]
        return next((sequence for sequence, _ in split_frames(self.gathered)), self.sequence)

    def weigh(self, bound: int) -> None:
        """Say anew how much may be queued; `bound` is of all that is held here."""
        room = bound - self.closed_bytes - self.retained_bytes
        self.left = min(room, self.credit - self.offset)
        self.limit = min(self.left, CHUNK_BYTES)
        if len(self.gathered) < room:
            self.brim = 0

    def is_stuffed(self, bound: int) -> bool:
        """Whether no more answers may be queued.

        What waits for the peer to read is bounded; and so is what it has read and not acknowledged. Messages that this
        end has begun do not count there: they are acknowledged when the peer's handlers have ended, which may wait for
        just such answers. Answers are acknowledged when they come, so both ends get on whatever both have begun.
        """
        return self.unsent >= bound or self.kept >= max(bound, self.brim) + bound

    def close(self) -> None:
        """End the chunk that is being gathered."""
        if self.gathered:
            size = len(self.gathered)
            self.closed.append(Chunk(self.gathered, self.sequence - 1 & U32))
            self.closed_bytes += size
            self.offset += size
            self.left -= size
            self.limit = min(self.left, CHUNK_BYTES)
            self.gathered = bytearray()

    def take(self) -> bytearray:
        """The next frames to be sent, about `CHUNK_BYTES` at the most."""
        if self.closed:
            chunk = self.closed.popleft()
            self.closed_bytes -= len(chunk.data)
            if self.retains:
                self._retain(chunk)
            if is_after(chunk.last, self.taken):  # what is sent again may be older
                self.taken = chunk.last
            if is_after(chunk.last, self.handed):
                self.handed = chunk.last
            return chunk.data
        data = self.gathered
        if data:
            size = len(data)
            self.gathered = bytearray()
            self.taken = self.handed = self.sequence - 1 & U32
            self.offset += size
            self.left -= size
            self.limit = min(self.left, CHUNK_BYTES)
            if self.retains:
                self._retain(Chunk(data, self.taken))
        return data

    def _retain(self, chunk: Chunk) -> None:
        self.retained_bytes += len(chunk.data)
        if len(chunk.data) < _SMALL and not chunk.number:
            # Joined, in copies: a chunk for each small message would weigh more than the message.
            last = self.retained[-1] if self.retained else None
            if last is not None and last.is_copy and not last.number and len(last.data) < _JOINED:
                last.data += chunk.data
                if is_after(chunk.last, last.last):  # what is sent again may be older
                    last.last = chunk.last
                return
            chunk = Chunk(bytearray(chunk.data), chunk.last, is_copy=True)
        self.retained.append(chunk)

    # What the peer says.

    def acknowledge(self, up_to: int, exceptions: Iterable[int]) -> None:
        """Let go of all frames up to `up_to`, but for the exceptions.

        Raises `ProtocolError` where that was never sent, or where it goes back.
        """
        if is_after(up_to, self.taken):
            raise ProtocolError(f"sequence {up_to} was acknowledged, {self.taken} is the last that was sent")
        if is_after(self.acknowledged, up_to):
            raise ProtocolError(f"sequence {up_to} was acknowledged after {self.acknowledged}")
        held = set(exceptions)
        if any(is_after(sequence, up_to) for sequence in held):
            raise ProtocolError("an exception from an acknowledgement is later than what it acknowledges")
        self.acknowledged, self.exceptions = up_to, held
        self.near = extended(up_to, self.near)
        for sequence in [sequence for sequence in self.stragglers if sequence not in held]:
            self.retained_bytes -= len(self.stragglers.pop(sequence))
        while self.retained and not is_after(self.retained[0].last, up_to):
            chunk = self.retained.popleft()
            self.retained_bytes -= len(chunk.data)
            if chunk.number:
                self.gone.append(chunk.number)
            if held:
                for sequence, frame in split_frames(chunk.data):
                    if sequence in held:
                        self.stragglers[sequence] = bytes(frame)
                        self.retained_bytes += len(frame)

    def covers(self, received: int, missing: Iterable[int]) -> bool:
        """Whether all can be sent again that a peer lacks which has received up to `received`, but for `missing`."""
        if is_after(received, self.taken) or is_after(self.acknowledged, received):
            return False
        lacking = set(missing)
        lacking -= self.stragglers.keys()
        if lacking:
            # Also what waits: the connection before may have been lost before it went out again.
            held = (*self.retained, *self.closed)
            lacking -= {sequence for chunk in held for sequence, _ in split_frames(chunk.data)}
        return not lacking

    def rewind(self, received: int, missing: Iterable[int]) -> None:
        """On a new connection: let all wait again that the peer lacks, in order."""
        lacking = set(missing)
        again = {sequence: self.stragglers.pop(sequence) for sequence in lacking & self.stragglers.keys()}
        kept: deque[Chunk] = deque()
        later: list[Chunk] = []
        for chunk in self.retained:
            here, there = bytearray(), bytearray()
            last_here = last_there = 0
            for sequence, frame in split_frames(chunk.data):
                if sequence in lacking:
                    again[sequence] = bytes(frame)
                elif is_after(sequence, received):
                    there += frame
                    last_there = sequence
                else:
                    here += frame
                    last_here = sequence
            if here:
                kept.append(Chunk(here, last_here, chunk.number))
            if there:
                later.append(Chunk(there, last_there, 0 if here else chunk.number))
            elif not here and chunk.number:
                self.gone.append(chunk.number)  # all of it goes again, in chunks of its own
        self.retained = kept
        self.taken = received
        self.closed.extendleft(reversed([*_joined(again, received), *later]))
        self.closed_bytes = sum(len(chunk.data) for chunk in self.closed)
        self.retained_bytes = sum(map(len, self.stragglers.values())) + sum(len(chunk.data) for chunk in kept)

    def restore(self, stored: Iterable[tuple[int, bytes]], exceptions: Iterable[int]) -> None:
        """Keep what a store has, chunks by number, of which some may repeat frames of others."""
        self.exceptions = set(exceptions)
        seen: set[int] = set()
        chunks = []
        for number, data in stored:
            frames = [(sequence, frame) for sequence, frame in split_frames(data) if sequence not in seen]
            if frames:
                seen.update(sequence for sequence, _ in frames)
                chunks.append((frames[0][0], Chunk(bytearray().join(f for _, f in frames), frames[-1][0], number)))
        chunks.sort(key=lambda entry: entry[0] - self.acknowledged & U32)
        self.retained = deque(chunk for _, chunk in chunks)
        self.retained_bytes = sum(len(chunk.data) for chunk in self.retained)

    def frames(self) -> Iterator[tuple[int, memoryview]]:
        """All frames that are held here and not acknowledged, in order."""
        for frame in self.stragglers.values():
            yield from split_frames(frame)
        for data in (*[chunk.data for chunk in (*self.retained, *self.closed)], self.gathered):
            for sequence, part in split_frames(data):
                # A chunk stays until the last of it is acknowledged.
                if is_after(sequence, self.acknowledged) or sequence in self.exceptions:
                    yield sequence, part

    def clear(self) -> None:
        """Let go of everything."""
        self.gathered = bytearray()
        self.closed.clear()
        self.retained.clear()
        self.stragglers.clear()
        self.closed_bytes = self.retained_bytes = 0


def _joined(frames: dict[int, bytes], received: int) -> Iterator[Chunk]:
    """Frames up to `received`, by their sequences, as chunks in order."""
    data, last = bytearray(), 0
    for sequence in sorted(frames, key=lambda one: one - received - 1 & U32):
        data += frames[sequence]
        last = sequence
        if len(data) >= CHUNK_BYTES:
            yield Chunk(data, last)
            data = bytearray()
    if data:
        yield Chunk(data, last)
