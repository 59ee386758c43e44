"""The methods of `socket.socket`, wrapped.

Theory of operation: `methods` says per method what is shown of its arguments, what of its outcome, and what it waits
for. `wrap` puts a function in the method's place that calls it and records. A call that would wait is told before it
is made: whether it would is asked of the system, by a ``poll`` that does not wait itself.
"""

from __future__ import annotations

from tomada_recorder.interruption import pass_on
from tomada_recorder.outcomes import Outcomes, length
from tomada_recorder.recorder import Call
from tomada_recorder.sockets import READABLE, WRITABLE
from tomada_recorder.standin import install
from tomada_recorder.text import error_fields, text_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tomada_recorder.recorder import Recorder
    from tomada_recorder.sockets import Known

ALWAYS = -1
_LARGE = 1 << 16
"""So much may fill the kernel's buffer, though it has room at first."""


_OF_BUFFERS = ("sendmsg", "recvmsg_into")


class Method:
    """How one method is recorded.

    Args:
        name: Its own.
        arguments: What is shown of them.
        outcome: The fields of its result.
        waits: For what: `READABLE`, `WRITABLE`, `ALWAYS` where that cannot be asked before, 0 for a method that never
            waits.
        names: Of its parameters, with their defaults, where they may be given by name.
    """

    __slots__ = ("arguments", "name", "names", "outcome", "waits")

    def __init__(
        self,
        name: str,
        arguments: Callable[[Outcomes, tuple[Any, ...]], str],
        outcome: Callable[..., str],
        waits: int = 0,
        **names: Any,
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.outcome = outcome
        self.waits = waits
        self.names = names

    def in_order(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Its arguments, those that were given by name, too."""
        names = [*self.names][len(args) :]
        while names and names[-1] not in kwargs:
            names.pop()
        return (*args, *(kwargs.get(name, self.names[name]) for name in names))

    def described(self, outcomes: Outcomes, args: tuple[Any, ...]) -> str:
        """What is shown of its arguments, also where they are wrong, which the method itself will say."""
        try:
            return self.arguments(outcomes, args)
        except Exception as error:  # noqa: BLE001 - whatever they are
            pass_on(error)
            return outcomes.plain(args)

    def announce(self, call: Call, known: Known, socket: Any, args: tuple[Any, ...]) -> None:
        """Tell of a call that has to wait, or may have to, before it is made."""
        if not self.waits or socket.gettimeout() == 0:
            return
        if self.waits == ALWAYS:
            call.begun(is_sure=False)
        elif not known.is_ready(self.waits):
            call.begun()
        elif self.waits == WRITABLE and _is_large(*args[:1]):
            call.begun(is_sure=False)


def _is_large(content: Any = b"") -> bool:
    if isinstance(content, (list, tuple)):
        return any(map(_is_large, content))
    return isinstance(content, (bytes, bytearray, memoryview)) and length(content) >= _LARGE


def methods() -> tuple[Method, ...]:
    """What is recorded of `socket.socket`."""
    to = Outcomes
    into = {"buffer": b"", "nbytes": 0, "flags": 0}
    return (
        Method("bind", to.address, to.moved),
        Method("listen", to.plain, to.moved),
        Method("accept", to.plain, to.accepted, READABLE),
        Method("connect", to.address, to.moved, ALWAYS),
        Method("connect_ex", to.address, to.code, ALWAYS),
        Method("send", to.outgoing, to.sent, WRITABLE),
        Method("sendall", to.outgoing, to.sent, WRITABLE),
        Method("sendto", to.outgoing, to.sent, WRITABLE),
        Method("sendmsg", to.message, to.sent_message, WRITABLE),
        Method("sendfile", to.plain, to.sent_file, ALWAYS, file=None, offset=0, count=None),
        Method("recv", to.size_and_flags, to.received, READABLE),
        Method("recv_into", to.buffer_and_flags, to.received_into, READABLE, **into),
        Method("recvfrom", to.size_and_flags, to.received_from, READABLE),
        Method("recvfrom_into", to.buffer_and_flags, to.received_from_into, READABLE, **into),
        Method("recvmsg", to.plain, to.received_message, READABLE),
        Method("recvmsg_into", to.buffers, to.received_message, READABLE),
        Method("shutdown", to.way, to.nothing),
        Method("setsockopt", to.option, to.nothing),
        Method("settimeout", to.plain, to.nothing),
        Method("setblocking", to.plain, to.nothing),
        Method("dup", to.plain, to.duplicated),
    )


def failed(call: Call, known: Known | None, error: BaseException) -> None:
    """Record a call that raised."""
    if isinstance(error, BlockingIOError):  # a flag says not to wait, or an option for how long
        call.has_waited, call.may_wait = False, True
    try:
        call.ended(_failure(call, known, error))
    except Exception as fault:  # noqa: BLE001 - the program must not notice
        call.recorder.has_failed(fault)


def _failure(call: Call, known: Known | None, error: BaseException) -> str:
    fields = error_fields(error)
    if known is not None and call.name == "connect" and not known.peer:  # it may go on in the background
        fields += text_field("address", call.arguments)
    return fields


class Wrapping:
    """What is done around the calls of one method."""

    further = ""
    """Fields of each of its records."""
    normal: tuple[type[BaseException], ...] = ()
    """What it raises where nothing has happened: that is not recorded."""

    def __init__(self, recorder: Recorder, method: Method, outcomes: Outcomes) -> None:
        self.recorder = recorder
        self.method = method
        self.outcomes = outcomes
        self.find: Callable[[Any], Known | None] = recorder.sockets.find

    def begin(self, socket: Any, args: tuple[Any, ...]) -> tuple[Call, Known] | None:
        """Before the call; None where it cannot be recorded."""
        recorder, method = self.recorder, self.method
        try:
            known = self.find(socket)
            if known is None:
                return None
            call = Call(recorder, method.name, method.described(self.outcomes, args), known)
            self.announce(call, known, socket, args)
        except Exception as error:  # noqa: BLE001 - the program must not notice
            recorder.has_failed(error)
            return None
        return call, known

    def announce(self, call: Call, known: Known, socket: Any, args: tuple[Any, ...]) -> None:
        """Tell of a call that has to wait."""
        self.method.announce(call, known, socket, args)

    def end(self, begun: tuple[Call, Known], socket: Any, args: tuple[Any, ...], result: Any) -> None:
        """After the call."""
        call, known = begun
        try:
            call.ended(self.method.outcome(self.outcomes, known, socket, args, result) + self.further)
            known.settle()
        except Exception as error:  # noqa: BLE001 - the program must not notice
            self.recorder.has_failed(error)


def wrap(recorder: Recorder, kind: Any, method: Method, outcomes: Outcomes) -> None:
    """Put a function that records in the place of a method of `kind`."""
    original = getattr(kind, method.name, None)
    if original is None:  # not on this system
        return
    wrapping = Wrapping(recorder, method, outcomes)
    if method.name == "accept":
        function = around(wrapping, _accepting(recorder, original))
    elif hasattr(original, "__code__"):  # of Python's, which makes calls itself
        function = around(wrapping, alone(recorder, original))
    else:
        function = around(wrapping, original)
    install(kind, method.name, _listing(function) if method.name in _OF_BUFFERS else function)


def around(wrapping: Wrapping, original: Callable[..., Any]) -> Callable[..., Any]:
    """A method that is recorded."""
    local, begin, end, in_order = wrapping.recorder.local, wrapping.begin, wrapping.end, wrapping.method.in_order

    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        shown = in_order(args, kwargs) if kwargs else args
        begun = None if local.is_within else begin(self, shown)
        if begun is None:
            return original(self, *args, **kwargs)
        try:
            result = original(self, *args, **kwargs)
        except BaseException as error:
            if not isinstance(error, wrapping.normal):
                failed(*begun, error)
            raise
        end(begun, self, shown, result)
        return result

    return wrapped


def _listing(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method that takes several buffers, from an iterator, too: that can be gone through only once."""

    def listing(self: Any, *args: Any) -> Any:
        return function(self, *(_listed(argument) for argument in args[:2]), *args[2:])

    return listing


def _listed(argument: Any) -> Any:
    return argument if isinstance(argument, (list, tuple)) or not hasattr(argument, "__iter__") else list(argument)


def alone(recorder: Recorder, original: Callable[..., Any]) -> Callable[..., Any]:
    """A function, without a record of the calls that it makes itself."""
    local = recorder.local

    def unrecorded(*args: Any, **kwargs: Any) -> Any:
        before = local.is_within
        try:
            local.is_within = True
            return original(*args, **kwargs)
        finally:
            local.is_within = before

    return unrecorded


def _accepting(recorder: Recorder, original: Callable[..., Any]) -> Callable[..., Any]:
    """`accept`, with a note where the socket that it makes comes from.

    It is not alone: while it waits, a signal's handler may make calls of its own.
    """
    local = recorder.local

    def accept(self: Any) -> Any:
        known = recorder.sockets.find(self)
        before = local.origin, local.source
        try:
            local.origin, local.source = "accepted", known.number if known is not None else 0
            return original(self)
        finally:
            local.origin, local.source = before

    return accept
