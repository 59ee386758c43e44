"""How sockets begin and end: made, given away, closed by the program or by the garbage collector."""

from __future__ import annotations

from tomada_recorder.calls import alone, failed
from tomada_recorder.recorder import Call
from tomada_recorder.standin import install
from tomada_recorder.text import address_text, shortened, text_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tomada_recorder.outcomes import Outcomes
    from tomada_recorder.recorder import Recorder
    from tomada_recorder.sockets import Known

_ADDRESS_INFO = 5
"""Family, type, protocol, canonical name, address."""


def wrap_beginning(recorder: Recorder, kind: Any) -> None:
    """Record ``socket.socket(…)``, and notice sockets that are made of a descriptor."""
    original, local = kind.__init__, recorder.local

    def __init__(self: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None) -> None:  # noqa: A002, N807
        if local.is_within or fileno is not None:
            original(self, family, type, proto, fileno)
            if not local.is_within:
                _adopt(recorder, self, "")
            return
        call = Call(recorder, "socket", "", None)
        try:
            original(self, family, type, proto, fileno)
        except BaseException as error:
            failed(call, None, error)
            raise
        known = _adopt(recorder, self, "created")
        if known is not None:
            call.socket = known.number
            call.arguments = "%s, %s" % (known.family, known.type)
            call.ended("")

    install(kind, "__init__", __init__)


def _adopt(recorder: Recorder, socket: Any, origin: str) -> Known | None:
    local = recorder.local
    before = local.origin
    try:
        local.origin = origin or before
        return recorder.sockets.adopt(socket)
    except Exception as error:  # noqa: BLE001 - the program must not notice
        recorder.has_failed(error)
        return None
    finally:
        local.origin = before


def wrap_end(recorder: Recorder, kind: Any) -> None:
    """Record ``close``, when it is called and when the system is told, and ``detach``."""
    close, really_close, detach = kind.close, kind._real_close, kind.detach  # noqa: SLF001 - where the system is told

    def _real_close(self: Any, *args: Any) -> None:
        with _ending(recorder, self, "close"):
            really_close(self, *args)

    def wrapped_close(self: Any) -> None:
        close(self)
        ending = _ending(recorder, self, "close")
        if ending.call is not None:  # a file that was made of it is still open
            ending.call.ended(',"deferred":true')

    def wrapped_detach(self: Any) -> int:
        with _ending(recorder, self, "detach"):
            descriptor: int = detach(self)
        return descriptor

    for name, function in (("_real_close", _real_close), ("close", wrapped_close), ("detach", wrapped_detach)):
        install(kind, name, function)


class _ending:  # noqa: N801 - used like a function
    """Around a call that ends what the program has of a socket."""

    def __init__(self, recorder: Recorder, socket: Any, name: str) -> None:
        self.socket = socket
        self.call: Call | None = None
        self.known: Known | None = None
        try:
            if socket.fileno() < 0:  # closed before
                return
            known = recorder.sockets.find(socket)
            if known is None or (known.owner is not None and known.owner() is not socket):  # TLS has taken it over
                return
            self.known, self.call = known, Call(recorder, name, "", known)
        except Exception as error:  # noqa: BLE001 - the program must not notice
            recorder.has_failed(error)

    def __enter__(self) -> None:
        if self.known is not None and self.call is not None and self.call.name == "close":
            # Before, for another thread may get the descriptor for a new socket at once.
            self.call.recorder.sockets.close(self.known, self.socket)

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if self.call is None:
            return
        if error is not None:
            failed(self.call, self.known, error)
            return
        if self.call.name == "detach" and self.known is not None:
            self.known.owner = None
        self.call.ended("")


def wrap_pair(recorder: Recorder, module: Any) -> None:
    """Record ``socket.socketpair``."""
    pair = alone(recorder, module.socketpair)

    def socketpair(*args: Any, **kwargs: Any) -> Any:
        purpose = _purpose()
        call = Call(recorder, "socketpair", "", None)
        try:
            made = pair(*args, **kwargs)
        except BaseException as error:
            failed(call, None, error)
            raise
        _told(recorder, call, made, purpose)
        return made

    install(module, "socketpair", socketpair)


def _told(recorder: Recorder, call: Call, made: Any, purpose: str) -> None:
    first, second = (_adopt(recorder, socket, purpose + "socketpair") for socket in made)
    if first is not None and second is not None:
        call.socket = first.number
        call.arguments = "%s, %s" % (first.family, first.type)
        call.ended(',"new":%d' % second.number)


def _purpose() -> str:
    """Whether asyncio makes the pair for itself, to wake its loop."""
    import sys

    frame = sys._getframe(2)  # noqa: SLF001 - the only way to know the caller
    return "asyncio's " if frame.f_code.co_name == "_make_self_pipe" else ""


def wrap_question(recorder: Recorder, kind: Any, outcomes: Outcomes) -> None:
    """Record `getsockopt` where it asks how a connect in the background has ended."""
    original, constants = kind.getsockopt, outcomes.constants

    def getsockopt(self: Any, level: int, option: int, *args: Any) -> Any:
        result = original(self, level, option, *args)
        if option == constants.error and level == constants.socket_level and not recorder.local.is_within:
            known = recorder.sockets.find(self)
            if known is not None:
                call = Call(recorder, "getsockopt", "SOL_SOCKET, SO_ERROR", known)
                call.ended(outcomes.code(known, self, (), result))
        return result

    install(kind, "getsockopt", getsockopt)


def wrap_functions(recorder: Recorder, module: Any, names: tuple[str, ...]) -> None:
    """Record functions that ask for names and addresses; they belong to no socket."""
    for name in names:
        if hasattr(module, name):
            install(module, name, _asking(recorder, name, getattr(module, name)))


def _asking(recorder: Recorder, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    local, ask = recorder.local, alone(recorder, original)

    def asking(*args: Any, **kwargs: Any) -> Any:
        if local.is_within:
            return original(*args, **kwargs)
        call = Call(recorder, name, _asked(recorder, args, kwargs), None)
        call.begun(is_sure=False)
        try:
            result = ask(*args, **kwargs)
        except BaseException as error:
            failed(call, None, error)
            raise
        call.ended(text_field("value", _answer(result)))
        return result

    return asking


def _asked(recorder: Recorder, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    try:
        words = [repr(value) for value in args] + ["%s=%r" % (key, value) for key, value in kwargs.items()]
    except Exception as error:  # noqa: BLE001 - the program must not notice
        recorder.has_failed(error)
        return ""
    return ", ".join(words)[:200]


def _answer(result: Any) -> str:
    """The addresses that ``getaddrinfo`` gives, each once; else what came back."""
    if isinstance(result, list) and all(isinstance(found, tuple) and len(found) == _ADDRESS_INFO for found in result):
        return shortened(", ".join(dict.fromkeys(address_text(found[-1]) for found in result)))[1:-1]
    return shortened(result)
