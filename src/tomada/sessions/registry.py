"""The sessions of one server that are alive in this process, and who may go on with them."""

from __future__ import annotations

import logging
from collections import OrderedDict
from functools import partial
from hmac import compare_digest
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

from tomada.errors import StoreFailed
from tomada.protocol import GoodbyeCode, Session, State
from tomada.protocol.durability import StoredChunk, token_of
from tomada.sessions.elsewhere import Fate
from tomada.sessions.journal import Journal
from tomada.sessions.store import Change
from tomada.telemetry import LimitStruck, Outcome, SessionRefused, emit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.endpoint import Endpoint
    from tomada.protocol import Hello
    from tomada.protocol.handshake import Resume
    from tomada.sessions.elsewhere import Elsewhere
    from tomada.sessions.store import Store, Stored
    from tomada.settings import Sessions
    from tomada.survival import Survival

log: Final = logging.getLogger("tomada")
UNKNOWN: Final = "there is no such session here: it has ended, or never was"
"""One text for what is unknown, has expired, or came with a wrong token: who guesses learns nothing."""
_ELSEWHERE: Final = "another worker keeps the session, and cannot take this connection: try again"
_ID_BYTES: Final = 16
_TOKEN_BYTES: Final = 32
_NO_TOKEN: Final = bytes(_TOKEN_BYTES)
_FREE_GUESSES: Final = 3
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 4.0
_SOURCES: Final = 4_096
_FORGIVEN: Final = 60.0


class Registry:
    """Begins sessions, and finds them again.

    Args:
        endpoint: The server.
        settings: What sessions may use; none: there are no sessions.
    """

    __slots__ = (
        "_digest",
        "_elsewhere",
        "_endpoint",
        "_guesses",
        "_journal",
        "_links",
        "_loading",
        "_lost",
        "_lost_bytes",
        "_make",
        "_removed",
        "_settings",
        "_store",
    )

    def __init__(self, endpoint: Endpoint, settings: Sessions | None) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._links: dict[bytes, Survival] = {}
        self._lost: OrderedDict[Survival, int] = OrderedDict()
        """Those without a connection, the longest lost first, and how many bytes each holds."""
        self._lost_bytes = 0
        self._guesses: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """By the host of callers: how often they named a session that is not there, and when last."""
        self._store: Store | None = None
        self._journal: Journal | None = None
        self._make: Callable[[], Survival] | None = None
        self._digest = b""
        self._loading: set[bytes] = set()
        self._removed: set[bytes] = set()
        """Those that have ended, and are in the store until that is committed."""
        self._elsewhere: Elsewhere | None = None

    def join(self, others: Elsewhere) -> None:
        """Others serve at the same addresses: what belongs to one of them is handed over to it."""
        self._elsewhere = others

    async def open(self, store: Store, make: Callable[[], Survival], digest: bytes) -> None:
        """Keep the sessions in a store, too, where it outlives the process.

        Args:
            store: It is not open yet; it is closed by `close`.
            make: Makes the link of a session that is in the store only.
            digest: Of the server's catalogue.
        """
        await store.open()
        self._store = store
        if store.is_durable:
            self._journal = Journal(store, self._endpoint.loop)
            self._make = make
            self._digest = digest

    async def close(self) -> None:
        """Store what is to be stored yet, and close the store."""
        try:
            if self._journal is not None:
                await self._journal.close()
        finally:
            if self._store is not None:
                await self._store.close()

    @property
    def is_durable(self) -> bool:
        """Whether sessions outlive the process."""
        return self._journal is not None

    def record(self, change: Change, done: Callable[[], None]) -> None:
        """Store a change, then call `done`."""
        assert self._journal is not None, "only durable links record"  # noqa: S101 - the house's own order
        self._journal.record(change, done)

    def remove(self, identity: bytes) -> None:
        """Take a session that has ended out of the store; from now on nobody goes on with it."""
        self.record(Change(identity, removed=True), partial(self._removed.discard, identity))
        self._removed.add(identity)

    def __len__(self) -> int:
        return len(self._links)

    @property
    def lost(self) -> int:
        """How many sessions have no connection just now."""
        return len(self._lost)

    def begin(self, link: Survival) -> Session | None:
        """A session for a connection that is new."""
        if self._settings is None:
            return None
        make = token_bytes if self._elsewhere is None else self._elsewhere.identity
        session = Session(make(_ID_BYTES), token_bytes(_TOKEN_BYTES), 0, self._settings.keep)
        self._links[session.id] = link
        link.engine.own_digest = self._digest
        return session

    def forget(self, link: Survival) -> None:
        """It has ended."""
        session = link.engine.session
        if session is not None and self._links.get(session.id) is link:
            del self._links[session.id]
        self._lost_bytes -= self._lost.pop(link, 0)

    def lose(self, link: Survival) -> None:
        """Its connection is lost; it is kept, within the bounds of all that are."""
        self._lost.setdefault(link, 0)
        self.weigh(link)

    def weigh(self, link: Survival) -> None:
        """Count what a session that is lost holds by now: something may have been sent to it. It keeps its turn."""
        if link not in self._lost:
            return
        held = link.held()
        self._lost_bytes += held - self._lost[link]
        self._lost[link] = held
        self._evict()

    def _evict(self) -> None:
        """End the longest lost until the others are within the bounds."""
        assert self._settings is not None, "else there were no sessions"  # noqa: S101 - the house's own order
        while len(self._lost) > self._settings.most or self._lost_bytes > self._settings.most_bytes:
            limit = "most" if len(self._lost) > self._settings.most else "most_bytes"
            if LimitStruck.subscribers:
                allowed = getattr(self._settings, limit)
                emit(
                    LimitStruck(limit=f"sessions.{limit}", allowed=allowed, outcome=Outcome.REFUSED, where="the server")
                )
            oldest = next(iter(self._lost))
            oldest.end(f"the connection was lost, and more sessions than the server keeps wait for theirs ({limit})")

    def resume(self, caller: Survival, hello: Hello) -> None:
        """Give the caller's connection to the session that it names, or refuse it."""
        resume = hello.session
        assert resume is not None, "else it had not come here"  # noqa: S101 - the house's own order
        if caller.engine.state is not State.GREETED:
            return  # it went on without waiting for the answer, which ended it
        link = self._links.get(resume.id)
        if link is None and self._elsewhere is not None and not self._is_ours(caller, hello, self._elsewhere):
            return
        is_stored = self._journal is not None and resume.id not in self._removed
        if link is None and is_stored and self._store is not None:
            self._endpoint.spawn(self._load(caller, resume, self._store))
        else:
            self._resume(caller, resume, link)

    def _is_ours(self, caller: Survival, hello: Hello, others: Elsewhere) -> bool:
        """Whether a session that is not alive here belongs here; else its caller has been answered, or handed over."""
        fate = others.pass_on(caller, hello)
        if fate is Fate.PASSED:
            caller.part_with()
        elif fate is Fate.LATER:
            self._refuse(caller, _ELSEWHERE, code=GoodbyeCode.GOING_AWAY)
        return fate is Fate.OURS

    async def _load(self, caller: Survival, resume: Resume, store: Store) -> None:
        """Go on with a session that a process before this one has stored."""
        if resume.id in self._loading:
            # Its own caller, perhaps, whose attempt before this one was cut: it tries again.
            self._refuse(caller, "another caller goes on with it just now", code=GoodbyeCode.REFUSED)
            return
        self._loading.add(resume.id)
        try:
            stored = await store.load(resume.id)
        except StoreFailed as error:
            log.error("%s: a session could not be loaded: %s", caller.peer, error)  # noqa: TRY400 - the reason says all
            self._refuse(caller, "the sessions of this server cannot be read just now", code=GoodbyeCode.FAILED)
            return
        finally:
            self._loading.discard(resume.id)
        if caller.engine.state is not State.GREETED or caller.ended.done():
            return  # it has gone
        # Before anything is told of the session: who has not its token learns not even that it is there.
        token = b"" if stored is None else token_of(stored.head)
        is_right = compare_digest(token or _NO_TOKEN, resume.token)
        if stored is None or not token or not is_right:
            self._refuse_late(caller, "unknown session or wrong token")
        else:
            self._restore(caller, resume, stored)

    def _restore(self, caller: Survival, resume: Resume, stored: Stored) -> None:
        assert self._make is not None, "a durable store came with it"  # noqa: S101 - the house's own order
        link = self._make()
        chunks = [StoredChunk(chunk.number, chunk.lane, chunk.data) for chunk in stored.chunks]
        reason = link.engine.restore(stored.head, chunks, self._digest)
        session = link.engine.session
        if reason or session is None:
            self._refuse(caller, reason)
        else:
            self._links[session.id] = link
            link.restored(caller.peer)
            self._resume(caller, resume, link)

    def _resume(self, caller: Survival, resume: Resume, link: Survival | None) -> None:
        session = None if link is None else link.engine.session
        is_right = compare_digest(_NO_TOKEN if session is None else session.token, resume.token)
        if link is None or not is_right or not link.engine.goes_on:
            self._refuse_late(caller, "unknown session or wrong token")
            return
        engine = link.engine
        if resume.generation <= engine.generation:
            self._refuse(caller, f"attempt {resume.generation} to go on comes after {engine.generation}")
            return
        if resume.epoch > engine.epoch:
            reason = f"epoch {resume.epoch} is later than {engine.epoch}: what is kept here is older than what was seen"
        else:
            reason = engine.disagreement(resume.positions)
        if reason:
            self._refuse(caller, reason)
            link.end(reason)
            return
        if link.ticket is not None:
            link.ticket.release()  # the older connection's place is the newer one's
            link.ticket = None
        refusal = caller.admit()
        if refusal is not None:
            self._refuse(caller, refusal[1], code=refusal[0])
            return
        self._lost_bytes -= self._lost.pop(link, 0)
        link.take_over(caller, resume)

    def _refuse_late(self, caller: Survival, why: str) -> None:
        """The more often callers from one host guess, the later they learn that they were wrong."""
        now = self._endpoint.loop.time()
        host = caller.peer.host or ""
        count, at = self._guesses.pop(host, (0, now))
        count = 1 if now - at > _FORGIVEN else count + 1
        self._guesses[host] = count, now
        if len(self._guesses) > _SOURCES:
            self._guesses.popitem(last=False)
        if count <= _FREE_GUESSES:
            self._refuse(caller, UNKNOWN, why)
        else:
            pause = min(_FIRST_PAUSE * 2 ** min(count - _FREE_GUESSES - 1, 10), _LONGEST_PAUSE)
            self._endpoint.loop.call_later(pause, self._refuse, caller, UNKNOWN, why)

    def _refuse(
        self, caller: Survival, reason: str, why: str = "", code: GoodbyeCode = GoodbyeCode.SESSION_LOST
    ) -> None:
        if SessionRefused.subscribers:
            emit(SessionRefused(peer=str(caller.peer), reason=why or reason))
        if caller.engine.state is State.GREETED:
            caller.engine.refuse_session(reason, code)
            caller.write()
            caller.settle()
