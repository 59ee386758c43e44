"""Spans of OpenTelemetry: who asked whom, and what that took, across connections and processes.

`enable` turns them on in this process; ``tomada serve --tracing`` calls it. Which of them are kept, and where they go,
is up to the provider of spans that the program has set up. Needs ``tomada[tracing]``.
"""

from __future__ import annotations

import logging
import re
from asyncio import CancelledError
from collections import deque
from contextlib import suppress
from importlib.metadata import version
from threading import Lock, Thread
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from tomada.errors import RemoteError
from tomada.telemetry.tracer import Span, Streaming, Tracer

try:
    from opentelemetry import context, trace
except ModuleNotFoundError as error:
    missing = f"tomada.tracing needs {error.name}, which is not installed: pip install 'tomada[tracing]'"
    raise ModuleNotFoundError(missing, name=error.name) from None

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tomada.address import Address
    from tomada.telemetry.tracer import Carried, Link

__all__ = ["disable", "enable", "ignored", "is_provided"]

_log: Final = logging.getLogger("tomada")
_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_MEMBER: Final = re.compile(
    r"([a-z][a-z0-9_*/-]{0,240}(?:@[a-z][a-z0-9_*/-]{0,13})?)="
    r"([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])"
)
_MOST_MEMBERS: Final = 32
_FIRST: Final = "00"
_NO_VERSION: Final = "ff"
_TRANSPORTS: Final = {"unix": "unix", "memory": "inproc"}
_GIVEN_UP: Final = (CancelledError, GeneratorExit)
_CLIENT, _SERVER = trace.SpanKind.CLIENT, trace.SpanKind.SERVER
_PRODUCER, _CONSUMER = trace.SpanKind.PRODUCER, trace.SpanKind.CONSUMER


def enable(provider: trace.TracerProvider | None = None) -> None:
    """From now on make a span of each call, each one-way message and each handler in this process.

    A handler's span belongs to its caller's: what tells them of each other travels with the message. Where a span is
    current when a call begins, such as a web framework's, the call belongs to it; in a handler, its own is.

    Args:
        provider: Makes the spans; by default the one that the program has set up for all.
    """
    Tracer.active = _OpenTelemetry(provider)


def disable() -> None:
    """Make no more spans; those of what is under way go on to their end."""
    Tracer.active = None


def is_provided() -> bool:
    """Whether the program has set up where spans go; else they go nowhere."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider)


def ignored() -> int:
    """How often a peer has said whose work its message is part of, and it could not be read, since `enable`."""
    return Tracer.active.ignored if isinstance(Tracer.active, _OpenTelemetry) else 0


class _OpenTelemetry(Tracer):
    """Makes spans of OpenTelemetry.

    Attributes:
        ignored: How many contexts of callers could not be read.
    """

    def __init__(self, provider: trace.TracerProvider | None) -> None:
        self._provider = trace.get_tracer_provider() if provider is None else provider
        self._tracer = trace.get_tracer("tomada", version("tomada"), provider)
        self._lock = Lock()
        self._open: dict[int, set[trace.Span]] = {}
        """By the link that they are of."""
        self._dropped: deque[tuple[_Begun, int]] = deque()
        self.ignored = 0

    def asking(self, link: Link, name: str) -> Span:
        return _Spanned(self._of_caller(link, name, _CLIENT))

    def streaming(self, link: Link, name: str) -> Streaming:
        return _Streamed(self._of_caller(link, name, _CLIENT))

    def sending(self, link: Link, name: str) -> Carried | None:
        begun = self._of_caller(link, name, _PRODUCER)
        begun.begin()
        try:
            return _carried(begun.span)
        finally:
            begun.end()

    def carried(self) -> Carried | None:
        return _carried(trace.get_current_span())

    def handling(self, link: Link, name: str, service: str, carried: Carried | None, *, is_request: bool) -> Span:
        attributes = {"rpc.system": "tomada", "rpc.service": service, "rpc.method": name}
        attributes |= _place(link.peer, "network.peer")
        # Nobody's work, where its caller says nothing; in any case not that of who started the server.
        parent = context.Context() if carried is None else self._context(carried)
        kind = _SERVER if is_request else _CONSUMER
        return _Spanned(_Begun(self, link, f"{service}/{name}", kind, attributes, parent))

    def resumed(self, link: Link) -> None:
        with self._lock:
            spans = tuple(self._open.get(id(link), ()))
        for span in spans:
            span.add_event("resumed")

    def flush(self, seconds: float) -> None:
        flush = getattr(self._provider, "force_flush", None)  # a matter of the SDK
        if flush is not None:
            sending = Thread(target=flush, name="tomada tracing", daemon=True)  # which may take as long as it likes
            sending.start()
            sending.join(seconds)
            if sending.is_alive():
                _log.warning("the process ends before its last spans were sent, which took more than %g s", seconds)

    def _of_caller(self, link: Link, name: str, kind: trace.SpanKind) -> _Begun:
        attributes = {"rpc.system": "tomada", "rpc.method": name} | _place(link.peer, "server")
        return _Begun(self, link, name, kind, attributes, None)

    def _context(self, carried: Carried) -> context.Context:
        known = _read(*carried)
        if known is None:
            self.ignored += 1
            return context.Context()
        return trace.set_span_in_context(trace.NonRecordingSpan(known), context.Context())

    # What is begun tells.

    def begin(self, begun: _Begun) -> trace.Span:
        """Its span."""
        while self._dropped:
            dropped, at = self._dropped.popleft()
            dropped.end(is_given_up=True, at=at)
        span = self._tracer.start_span(begun.name, begun.parent, begun.kind, begun.attributes)
        with self._lock:
            self._open.setdefault(id(begun.link), set()).add(span)
        return span

    def ended(self, begun: _Begun) -> None:
        """It is not to be told of its link any more."""
        key = id(begun.link)
        with self._lock:
            spans = self._open.get(key, set())
            spans.discard(begun.span)
            if not spans:
                self._open.pop(key, None)

    def drop(self, begun: _Begun) -> None:
        """End it with the next one that begins: no lock may be taken now."""
        self._dropped.append((begun, time_ns()))


class _Begun:
    """A span from its beginning to its end, whatever is current meanwhile."""

    __slots__ = ("_is_over", "_tracer", "attributes", "kind", "link", "name", "parent", "span")

    def __init__(
        self,
        tracer: _OpenTelemetry,
        link: Link,
        name: str,
        kind: trace.SpanKind,
        attributes: dict[str, Any],
        parent: context.Context | None,
    ) -> None:
        self._tracer = tracer
        self._is_over = False
        self.link = link
        """Kept, so that its id is no other's."""
        self.name = name
        self.kind = kind
        self.attributes = attributes
        self.parent = parent
        """None: whatever is current."""
        self.span: trace.Span = trace.INVALID_SPAN

    def begin(self) -> None:
        """Now."""
        self.span = self._tracer.begin(self)

    def end(self, error: BaseException | None = None, *, is_given_up: bool = False, at: int | None = None) -> None:
        """Once."""
        if self._is_over:
            return
        self._is_over = True
        self._tracer.ended(self)
        with suppress(Exception):  # an application's own error may have no text
            _tell(self.span, error, is_given_up=is_given_up, is_caller=self.kind in (_CLIENT, _PRODUCER))
        self.span.end(at)

    def drop(self) -> None:
        """Later, as if it were now."""
        self._tracer.drop(self)


class _Spanned(Span):
    """The current span in the ``with``, from its beginning to its end."""

    __slots__ = ("_begun", "_token")

    def __init__(self, begun: _Begun) -> None:
        self._begun = begun

    def __enter__(self) -> None:
        self._begun.begin()
        self._token = context.attach(trace.set_span_in_context(self._begun.span))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        context.detach(self._token)
        self._begun.end(error)


class _Streamed(Streaming):
    """The current span only while the request is sent: who takes the items does other things between them."""

    __slots__ = ("_begun", "_token")

    def __init__(self, begun: _Begun) -> None:
        self._begun = begun

    def __enter__(self) -> Self:
        self._begun.begin()
        self._token = context.attach(trace.set_span_in_context(self._begun.span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        context.detach(self._token)
        if error is not None:
            self._begun.end(error)

    def end(self, error: BaseException | None = None, *, is_given_up: bool = False) -> None:
        self._begun.end(error, is_given_up=is_given_up)

    def end_sometime(self) -> None:
        self._begun.drop()


def _tell(span: trace.Span, error: BaseException | None, *, is_given_up: bool, is_caller: bool) -> None:
    """How it ended. What an application refuses in its own words is no fault of its handler."""
    if is_given_up or isinstance(error, _GIVEN_UP):
        span.add_event("cancelled")
    elif isinstance(error, RemoteError):
        span.set_attribute("error.type", error.name)
        span.add_event(error.name, {"exception.type": error.name, "exception.message": error.message})
        if is_caller:
            span.set_status(trace.StatusCode.ERROR, str(error))
    elif error is not None:
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(trace.StatusCode.ERROR, str(error))
        span.record_exception(error)


def _place(address: Address, prefix: str) -> dict[str, Any]:
    """Where the other end is, as the semantic conventions have it."""
    place: dict[str, Any] = {"network.transport": _TRANSPORTS.get(address.scheme, "tcp")}
    if address.host or address.path:
        place[f"{prefix}.address"] = address.host or address.path
    if address.port is not None:
        place[f"{prefix}.port"] = address.port
    return place


def _carried(span: trace.Span) -> Carried | None:
    known = span.get_span_context()
    if not known.is_valid:
        return None
    parent = f"{_FIRST}-{known.trace_id:032x}-{known.span_id:016x}-{known.trace_flags:02x}"
    return parent, known.trace_state.to_header()


def _read(parent: str, state: str) -> trace.SpanContext | None:
    """What W3C Trace Context makes of a peer's words; None where it is nothing."""
    found = _PARENT.fullmatch(parent)
    if found is None or found[1] == _NO_VERSION or (found[1] == _FIRST and found[5]):
        return None
    known = trace.SpanContext(
        trace_id=int(found[2], 16),
        span_id=int(found[3], 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(found[4], 16) & trace.TraceFlags.SAMPLED),
        trace_state=_state(state),
    )
    return known if known.is_valid else None


def _state(text: str) -> trace.TraceState | None:
    """What vendors say of the trace; None where one of them says it wrongly, as W3C Trace Context has it."""
    # Their own reader writes to the log of whatever is wrong, which is not for peers to fill.
    found = [_MEMBER.fullmatch(member.strip(" \t")) for member in text.split(",")]
    members = {match[1]: match[2] for match in found if match is not None}
    is_right = len(members) == len(found) <= _MOST_MEMBERS
    return trace.TraceState(list(members.items())) if is_right else None
