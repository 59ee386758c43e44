"""What a transport needs to know beyond the address."""

from __future__ import annotations

import socket

import msgspec

from tomada.settings import TLS
from tomada.transports.admission import Admission


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to listen or connect; made once per server or client."""

    handshake: float = 5.0
    """Seconds that the handshake of each layer (TLS, WebSocket) may take; single bytes do not renew it."""
    frame: float = 30.0
    """Seconds from the first byte of a WebSocket frame to its last."""
    tls: TLS | None = None
    """Certificates and trust, for ``tls`` and ``wss`` addresses."""
    origins: tuple[str, ...] = ()
    """The web pages, beside those of the same host and port, that may connect to ``ws`` and ``wss`` addresses."""
    subprotocol: str = ""
    """Of WebSocket: what both ends must agree to speak inside it; empty: nothing is agreed on."""
    admission: Admission | None = None
    """At the accepting end: says who is accepted. What the factory gives must then have a ``ticket`` to be set."""
    inherited: tuple[socket.socket, ...] = ()
    """At the accepting end: sockets that listen already, made by who started this process, to be accepted at."""
    reuse_port: bool = False
    """Whether others may listen on the same TCP port, each with an own share of the callers."""
