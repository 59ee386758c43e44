"""What a transport needs to know beyond the address."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import msgspec

from tomada.settings import TLS
from tomada.transports.admission import Admission
from tomada.transports.rights import FileRights

if TYPE_CHECKING:
    from tomada.address import Address


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
    proxied_by: tuple[str, ...] = ()
    """At the accepting end, over TCP: the networks of proxies, each of whose connections begins with a PROXY header."""
    rights: FileRights = FileRights()
    """At the accepting end: what a socket file is made with."""
    allow_users: tuple[str | int, ...] = ()
    """At a unix address: the users whose processes may connect, by name or by number; empty: all."""

    def check(self, addresses: list[Address]) -> None:
        """Raise `ValueError` where what guards an address is wrong, or guards none of these."""
        for name in ("proxied_by", "allow_users"):
            if not isinstance(getattr(self, name), tuple):
                raise ValueError(f"{name} is {getattr(self, name)!r}, it must be a tuple, such as ('…',)")  # noqa: TRY004 - as the settings
        if self.proxied_by:
            from tomada.transports.proxied import networks  # noqa: PLC0415 - few servers need it

            networks(self.proxied_by)
            _find(addresses, ("tcp", "tls", "ws", "wss"), "proxied_by")
        if self.allow_users:
            _find(addresses, ("unix",), "allow_users")
        if self.rights != FileRights():
            _find(addresses, ("unix", "unixgram"), "unix_mode and unix_owner")


def _find(addresses: list[Address], schemes: tuple[str, ...], option: str) -> None:
    if not any(address.scheme in schemes for address in addresses):
        given = ", ".join(map(str, addresses))
        raise ValueError(f"{option}: of use at {', '.join(schemes)} addresses alone, and there is none in {given}")
