"""Where spans are made, if anywhere: nothing here knows of OpenTelemetry, and nothing is paid until `active` is set."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from tomada.address import Address

T = TypeVar("T")

Carried: TypeAlias = "tuple[str, str]"
"""What travels of a span: ``traceparent`` and ``tracestate``, which may be empty."""


class Link(Protocol):
    """One end of a connection. Its spans are told when its session goes on over another one."""

    @property
    def peer(self) -> Address:
        """The address of the other end."""


class Span(AbstractContextManager[None]):
    """The body is what the span tells of, and whatever it does belongs to that; what it raises is told, and goes on."""

    async def within(self, work: Awaitable[T]) -> T:
        """What `work` gives, which is done inside of the span."""
        with self:
            return await work


class Streaming(AbstractContextManager[object]):
    """The span of a request that a stream of items answers: in the ``with`` the request is sent, and it goes on."""

    def end(self, error: BaseException | None = None, *, is_given_up: bool = False) -> None:
        """The last item has come, or nobody wants more. To call it again does nothing."""
        raise NotImplementedError

    def end_sometime(self) -> None:
        """Nobody wants more: as `end`, from whatever thread, in the middle of whatever it does."""
        raise NotImplementedError


class Tracer:
    """Makes spans.

    Attributes:
        active: The one that is asked, if any. Who begins something looks here, and that is all it costs without one.
    """

    active: ClassVar[Tracer | None] = None

    def asking(self, link: Link, name: str) -> Span:
        """Of a call that asks `name` and waits for its one answer."""
        raise NotImplementedError

    def streaming(self, link: Link, name: str) -> Streaming:
        """Of a request `name` that a stream of items answers."""
        raise NotImplementedError

    def sending(self, link: Link, name: str) -> Carried | None:
        """Tell of a one-way message that is sent now; what travels with it."""
        raise NotImplementedError

    def carried(self) -> Carried | None:
        """What travels with a request that is sent now; None where it is part of nothing."""
        raise NotImplementedError

    def handling(self, link: Link, name: str, service: str, carried: Carried | None, *, is_request: bool) -> Span:
        """Of a handler of the application `service`, with what its caller has sent, which may be anything."""
        raise NotImplementedError

    def resumed(self, link: Link) -> None:
        """Its session goes on over another connection, and what was under way with it."""
        raise NotImplementedError

    def flush(self, seconds: float) -> None:
        """Send what has not been sent, before the process ends at once; give up after so many seconds."""
        raise NotImplementedError


@contextmanager
def untraced() -> Iterator[None]:
    """No span is made in the ``with``, or the function that it stands above, until somebody wants some anew."""
    tracer, Tracer.active = Tracer.active, None
    try:
        yield
    finally:
        if Tracer.active is None:
            Tracer.active = tracer
