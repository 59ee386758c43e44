"""The sessions of one server that are alive in this process, and who may go on with them."""

from __future__ import annotations

from collections import OrderedDict
from hmac import compare_digest
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

from tomada.protocol import Session, State
from tomada.telemetry import LimitStruck, Outcome, SessionRefused, emit

if TYPE_CHECKING:
    from tomada.endpoint import Endpoint
    from tomada.protocol import Hello
    from tomada.settings import Sessions
    from tomada.survival import Survival

UNKNOWN: Final = "there is no such session here: it has ended, or never was"
"""One text for what is unknown, has expired, or came with a wrong token: who guesses learns nothing."""
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

    __slots__ = ("_endpoint", "_guesses", "_links", "_lost", "_lost_bytes", "_settings")

    def __init__(self, endpoint: Endpoint, settings: Sessions | None) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._links: dict[bytes, Survival] = {}
        self._lost: OrderedDict[Survival, int] = OrderedDict()
        """Those without a connection, the longest lost first, and how many bytes each holds."""
        self._lost_bytes = 0
        self._guesses: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """By the host of callers: how often they named a session that is not there, and when last."""

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
        session = Session(token_bytes(_ID_BYTES), token_bytes(_TOKEN_BYTES), 0, self._settings.keep)
        self._links[session.id] = link
        return session

    def forget(self, link: Survival) -> None:
        """It has ended."""
        session = link.engine.session
        if session is not None and self._links.get(session.id) is link:
            del self._links[session.id]
        self._lost_bytes -= self._lost.pop(link, 0)

    def lose(self, link: Survival) -> None:
        """Its connection is lost; it is kept, within the bounds of all that are."""
        assert self._settings is not None, "else it had no session"  # noqa: S101 - the house's own order
        held = link.held()
        self._lost[link] = held
        self._lost_bytes += held
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

    def _refuse(self, caller: Survival, reason: str, why: str = "") -> None:
        if SessionRefused.subscribers:
            emit(SessionRefused(peer=str(caller.peer), reason=why or reason))
        if caller.engine.state is State.GREETED:
            caller.engine.refuse_session(reason)
            caller.write()
            caller.settle()
