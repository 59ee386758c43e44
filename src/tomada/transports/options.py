"""What a transport needs to know beyond the address."""

from __future__ import annotations

import msgspec

from tomada.settings import TLS


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
