"""What a store of sessions is: what it is given, what it gives back, what it promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import msgspec

from tomada.telemetry import SessionEvicted, emit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tomada.settings import Sessions

SESSION_BYTES: Final = 256
"""What a session counts beside its head and chunks, so that empty ones are bounded, too."""
CHUNK_BYTES: Final = 64
"""What a chunk counts beside its data."""


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """What one end of a session has sent and the other has not acknowledged yet."""

    number: int
    """Ever increasing within the session, and unique there; from 0 to 2**63 - 1."""
    lane: int
    data: bytes


class Change(msgspec.Struct, frozen=True):
    """What changes in one session. One that has nothing but the `id` says that the session is in use still."""

    id: bytes
    """16 bytes, which may be known to anybody."""
    head: bytes | None = None
    """Replaces the older one; None leaves it."""
    added: tuple[Chunk, ...] = ()
    """One with the number of an older one takes its place."""
    dropped: tuple[int, ...] = ()
    """Numbers of chunks, of older ones and of those just added. That of no chunk means nothing."""
    removed: bool = False
    """The session has ended: all of it goes. The other fields mean nothing then."""
    whole: bool = False
    """This is all there is of the session: what the store had of it goes first. The first change of a session must be
    whole. Others, of a session that the store does not have, are passed over: it was dropped for a bound, and half a
    session is worse than none."""


class Stored(msgspec.Struct, frozen=True):
    """What a store has of one session."""

    head: bytes
    chunks: tuple[Chunk, ...]
    """By number."""


class StoreStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One store, at one moment. Got from `Store.statistics`."""

    sessions: int
    """How many there are, without those that have expired."""
    bytes: int
    """What they have together: heads, chunks, and what the store counts for each beside them."""
    most: int
    """The bound of `sessions`."""
    most_bytes: int
    """The bound of `bytes`."""
    keep: float
    """The bound of age since the last change, in seconds."""
    evicted: int
    """How many were dropped for a bound of number or bytes, since the store was opened."""
    expired: int
    """How many were dropped for their age, since the store was opened."""
    passed_over: int
    """How many changes were of sessions that the store did not have, since it was opened."""


@runtime_checkable
class Store(Protocol):
    """Where the state of sessions lives. All of it is opaque to the store.

    A store has its bounds from `tomada.Sessions`. What is too much goes: first a session that is larger than all may be
    together, then those that were untouched for longest. A change touches its session, reading it does not. ``str()``
    of a store names it in events and errors.

    `tomada.testing.store_conformance.StoreConformance` says whether a store keeps all of this.
    """

    survives: str
    """What sessions outlive, for people: ``a lost connection``, ``a killed server``."""
    is_durable: bool
    """Whether what is committed outlives the process. Where not, a server need not commit what is alive in it."""

    async def open(self) -> None:
        """Make it ready; before that, and after `close`, all else raises.

        Raises:
            StoreFailed: It cannot be used; the text says why, and what to do.
        """

    async def close(self) -> None:
        """Let go of files and connections. To close it again does nothing."""

    async def load(self, identity: bytes, /) -> Stored | None:
        """What it has of a session, as of the last commit; None where it is not known, or has expired.

        Raises:
            StoreFailed: It could not be read.
        """

    async def commit(self, changes: Sequence[Change]) -> None:
        """Take all of these changes, in their order, or, where it raises or is cancelled, all or none of them.

        They are durable when it returns, if the store is. To commit the same changes again does no harm.

        Raises:
            StoreFailed: They could not be taken.
        """

    async def statistics(self) -> StoreStatistics:
        """What it has, and how near it is to its bounds.

        Raises:
            StoreFailed: It could not be read.
        """


class Tally(msgspec.Struct):
    """What a store counts of what it did not keep."""

    most: int = 0
    most_bytes: int = 0
    keep: int = 0
    passed_over: int = 0

    def add(self, other: Tally) -> None:
        """Count what another has counted."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def tell(self, store: object) -> None:
        """One event for each bound that sessions were dropped for."""
        if SessionEvicted.subscribers:
            for bound in ("most", "most_bytes", "keep"):
                if sessions := getattr(self, bound):
                    emit(SessionEvicted(store=str(store), reason=bound, sessions=sessions))

    def statistics(self, bounds: Sessions, sessions: int, size: int, aged: int = 0) -> StoreStatistics:
        """With what the store has, and how many have expired that it has not dropped yet."""
        return StoreStatistics(
            sessions=sessions,
            bytes=size,
            most=bounds.most,
            most_bytes=bounds.most_bytes,
            keep=bounds.keep,
            evicted=self.most + self.most_bytes,
            expired=self.keep + aged,
            passed_over=self.passed_over,
        )
