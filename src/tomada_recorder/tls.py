"""The methods of `ssl.SSLSocket` and `ssl.SSLObject`: what the program says in clear text, and the handshake.

What OpenSSL itself writes to the socket of an `SSLSocket`, and reads from it, goes past Python and is not seen. An
`SSLObject` has no socket: it gets a number of its own, but asyncio's are found to belong to one.
"""

from __future__ import annotations

import sys

from tomada_recorder.calls import Method, Wrapping, failed, install
from tomada_recorder.outcomes import Outcomes
from tomada_recorder.recorder import Call, now
from tomada_recorder.sockets import READABLE, WRITABLE, Known
from tomada_recorder.text import text_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from tomada_recorder.recorder import Recorder

_TLS = ',"tls":true'


class _Clear(Outcomes):
    """What is shown of calls that carry clear text."""

    def shaken(self, known: Known, socket: Any, _args: tuple[Any, ...], _result: Any) -> str:
        """Version and cipher; offsets of clear text begin."""
        known.sent = known.received = 0
        cipher = socket.cipher()
        return text_field("value", "%s, %s" % (socket.version(), cipher[0] if cipher else "no cipher"))

    def read(self, known: Known, _socket: Any, args: tuple[Any, ...], result: Any) -> str:
        """What came; into a buffer, if one was given."""
        if isinstance(result, int):
            return self._came(known, result, args[1], 0)
        return self._came(known, len(result), result, 0)


def _methods() -> tuple[Method, ...]:
    to = _Clear
    return (
        Method("do_handshake", to.plain, to.shaken, -1),
        Method("read", to.plain, to.read, READABLE),
        Method("recv", to.plain, to.received, READABLE),
        Method("recv_into", to.buffer_and_flags, to.received_into, READABLE),
        Method("write", to.outgoing, to.sent, WRITABLE),
        Method("send", to.outgoing, to.sent, WRITABLE),
        Method("sendall", to.outgoing, to.sent, WRITABLE),
        Method("unwrap", to.plain, to.nothing, -1),
    )


def wrap_ssl(recorder: Recorder, module: ModuleType) -> None:
    """Record the methods of both kinds of TLS connections of the module `ssl`."""
    import socket

    outcomes = _Clear(recorder, socket)
    normal = (module.SSLWantReadError, module.SSLWantWriteError)
    for method in _methods():
        _wrap(recorder, module.SSLSocket, method, outcomes)
        if hasattr(module.SSLObject, method.name):
            _wrap_object(recorder, module.SSLObject, method, outcomes, normal)


class _Clearly(Wrapping):
    """What is done around a method of TLS."""

    def announce(self, call: Call, known: Known, socket: Any, args: tuple[Any, ...]) -> None:
        """Tell of a call that has to wait: not where OpenSSL has something in store."""
        if not socket.pending():
            super().announce(call, known, socket, args)

    def end(self, begun: tuple[Call, Known], socket: Any, args: tuple[Any, ...], result: Any) -> None:
        """After the call."""
        call, known = begun
        try:
            call.ended(self.method.outcome(self.outcomes, known, socket, args, result) + _TLS)
            known.settle()
        except Exception as error:  # noqa: BLE001 - the program must not notice
            self.recorder.has_failed(error)


def _wrap(recorder: Recorder, kind: Any, method: Method, outcomes: _Clear) -> None:
    original, local = getattr(kind, method.name), recorder.local
    wrapping = _Clearly(recorder, method, outcomes)

    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Without TLS the plain methods are called, which record.
        begun = None if local.is_within or self._sslobj is None else wrapping.begin(self, args, kwargs)
        if begun is None:
            return original(self, *args, **kwargs)
        try:
            local.is_within = True
            result = original(self, *args, **kwargs)
        except BaseException as error:
            failed(*begun, error)
            raise
        finally:
            local.is_within = False
        wrapping.end(begun, self, _positional(args, kwargs), result)
        return result

    install(kind, method.name, original, wrapped)


def _wrap_object(
    recorder: Recorder, kind: Any, method: Method, outcomes: _Clear, normal: tuple[type[BaseException], ...]
) -> None:
    original, wrapping = getattr(kind, method.name), _Clearly(recorder, method, outcomes)

    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            known = _object(recorder, self)
            call = Call(recorder, method.name, method.described(outcomes, args, kwargs), known)
        except Exception as error:  # noqa: BLE001 - the program must not notice
            recorder.has_failed(error)
            return original(self, *args, **kwargs)
        try:
            result = original(self, *args, **kwargs)
        except normal:  # it needs more bytes from the network, or has some for it: nothing has happened yet
            raise
        except BaseException as error:
            failed(call, known, error)
            raise
        wrapping.end((call, known), self, _positional(args, kwargs), result)
        return result

    install(kind, method.name, original, wrapped)


def _positional(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """``read(1024, buffer=b)`` as ``read(1024, b)``."""
    if "buffer" in kwargs:
        return (*args, *([1024] if not args else []), kwargs["buffer"])
    return args


def _object(recorder: Recorder, sslobject: Any) -> Known:
    known: Known | None = vars(sslobject).get("_tomada_known")
    if known is not None and known.inode == recorder.pid:
        return known
    below = _socket_below(recorder)
    known = Known(recorder.sockets.next_number() if below is None else below.number, -1, recorder.pid)
    known.type = "SOCK_STREAM"
    if below is None:
        known.family, known.origin = "TLS", "in memory"
        known.at = now()
        known.local = "server" if sslobject.server_side else "client"
        known.peer = sslobject.server_hostname or ""
        recorder.write(known.line(recorder.pid))
    sslobject._tomada_known = known  # noqa: SLF001 - it lives as long as the object
    return known


def _socket_below(recorder: Recorder) -> Known | None:
    """The socket that carries it, where asyncio made it: nothing but its caller knows."""
    owner = sys._getframe(3).f_locals.get("self")  # noqa: SLF001 - the only way to it
    transport = getattr(owner, "_transport", None)
    if transport is None or not hasattr(transport, "get_extra_info"):
        return None
    socket = transport.get_extra_info("socket")
    return None if socket is None else recorder.sockets.by_descriptor(socket.fileno())
