"""The methods of `ssl.SSLSocket` and `ssl.SSLObject`: what the program says in clear text, and the handshake.

What OpenSSL itself writes to the socket of an `SSLSocket`, and reads from it, goes past Python and is not seen. An
`SSLObject` has no socket: it gets a number of its own, but asyncio's are found to belong to one.
"""

from __future__ import annotations

import sys

from tomada_recorder.calls import ALWAYS, Method, Wrapping, alone, around
from tomada_recorder.outcomes import Outcomes
from tomada_recorder.sockets import READABLE, WRITABLE, Known
from tomada_recorder.standin import install
from tomada_recorder.text import text_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from tomada_recorder.recorder import Call, Recorder


class _Clear(Outcomes):
    """What is shown of calls that carry clear text."""

    def shaken(self, known: Known, socket: Any, _args: tuple[Any, ...], _result: Any) -> str:
        """Version and cipher; offsets of clear text begin."""
        known.sent = known.received = 0
        cipher = socket.cipher()
        return text_field("value", "%s, %s" % (socket.version(), cipher[0] if cipher else "no cipher"))

    def read(self, known: Known, _socket: Any, args: tuple[Any, ...], result: Any) -> str:
        """What came; into a buffer, if one was given."""
        size, content = (result, args[1]) if isinstance(result, int) else (len(result), result)
        return self._came(known, size, content, 0)


def _methods() -> tuple[Method, ...]:
    to = _Clear
    return (
        Method("do_handshake", to.plain, to.shaken, ALWAYS),
        Method("read", to.plain, to.read, READABLE, len=1024, buffer=None),
        Method("recv", to.plain, to.received, READABLE, buflen=1024, flags=0),
        Method("recv_into", to.buffer_and_flags, to.received_into, READABLE, buffer=b"", nbytes=None, flags=0),
        Method("write", to.outgoing, to.sent, WRITABLE, data=b""),
        Method("send", to.outgoing, to.sent, WRITABLE, data=b"", flags=0),
        Method("sendall", to.outgoing, to.sent, WRITABLE, data=b"", flags=0),
        Method("unwrap", to.plain, to.nothing, ALWAYS),
    )


def wrap_ssl(recorder: Recorder, module: ModuleType) -> None:
    """Record the methods of both kinds of TLS connections of the module `ssl`."""
    import socket

    outcomes = _Clear(recorder, socket)
    for method in _methods():
        _wrap(recorder, module.SSLSocket, method, outcomes)
        if hasattr(module.SSLObject, method.name):
            in_memory = _InMemory(recorder, method, outcomes)
            in_memory.normal = (module.SSLWantReadError, module.SSLWantWriteError)
            install(module.SSLObject, method.name, around(in_memory, getattr(module.SSLObject, method.name)))


class _Clearly(Wrapping):
    """What is done around a method of TLS."""

    further = ',"tls":true'

    def announce(self, call: Call, known: Known, socket: Any, args: tuple[Any, ...]) -> None:
        """Tell of a call that has to wait: not where OpenSSL has something in store."""
        if not socket.pending():
            super().announce(call, known, socket, args)


class _InMemory(_Clearly):
    """The same of a connection that has no socket: where it needs the network, it says so and does nothing."""

    def __init__(self, recorder: Recorder, method: Method, outcomes: _Clear) -> None:
        super().__init__(recorder, method, outcomes)
        self.find = self._find

    def announce(self, call: Call, known: Known, socket: Any, args: tuple[Any, ...]) -> None:
        """It never waits."""

    def _find(self, sslobject: Any) -> Known:
        recorder = self.recorder
        known: Known | None = vars(sslobject).get("_tomada_known")
        if known is not None and known.inode == recorder.pid:
            return known
        below = _socket_below(recorder)
        known = Known(recorder.sockets.next_number() if below is None else below.number, -1, recorder.pid)
        known.type = "SOCK_STREAM"
        if below is None:
            known.family, known.origin = "TLS", "in memory"
            known.local = "server" if sslobject.server_side else "client"
            known.peer = sslobject.server_hostname or ""
            recorder.write(known.line(recorder.pid))
        sslobject._tomada_known = known  # noqa: SLF001 - it lives as long as the object
        return known


def _wrap(recorder: Recorder, kind: Any, method: Method, outcomes: _Clear) -> None:
    original = getattr(kind, method.name)
    recorded = around(_Clearly(recorder, method, outcomes), alone(recorder, original))

    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Without TLS the plain methods are called, which record.
        return (original if self._sslobj is None else recorded)(self, *args, **kwargs)

    install(kind, method.name, wrapped)


def _socket_below(recorder: Recorder) -> Known | None:
    """The socket that carries it, where asyncio made it: nothing but its caller knows."""
    owner = sys._getframe(4).f_locals.get("self")  # noqa: SLF001 - the only way to it
    transport = getattr(owner, "_transport", None)
    if transport is None or not hasattr(transport, "get_extra_info"):
        return None
    socket = transport.get_extra_info("socket")
    return None if socket is None else recorder.sockets.by_descriptor(socket.fileno())
