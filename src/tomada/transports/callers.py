"""Who calls at a listening socket: the host that it counts for, and why it may not come in."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

from tomada.transports import rights
from tomada.transports.credentials import credentials

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network
    from typing import Self

    from tomada.address import Address
    from tomada.transports.options import Options


class Callers(NamedTuple):
    """What is known of callers at one address by their socket alone."""

    users: frozenset[int] | None = None
    """At a Unix socket: the users that may connect; ``None``: all."""
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Who speaks for others. Their connections count for nobody until they have said for whom they are."""

    @classmethod
    def at(cls, address: Address, options: Options) -> Self:
        """What `options` say. Raises `ListenFailed`: one of the users is not known."""
        if not options.proxied_by:
            return cls(rights.allowed_users(address, options.allow_users))
        from tomada.transports.proxied import networks  # noqa: PLC0415 - few servers need it

        return cls(rights.allowed_users(address, options.allow_users), networks(options.proxied_by))

    def known(self, accepted: socket.socket, name: object) -> tuple[str, str]:
        """The host of a caller, or its user over a Unix socket, where that is known; and why it may not come in."""
        if accepted.family == getattr(socket, "AF_UNIX", None):
            peer = credentials(accepted)
            who = "" if peer is None else f"user {peer.user}"
            if self.users is None or (peer is not None and peer.user in self.users):
                return who, ""
            return who, f"{who or 'an unknown user'} may not connect"
        host = name[0] if isinstance(name, tuple) else ""
        return "" if self.proxies and self._is_proxy(host) else host, ""

    def _is_proxy(self, host: str) -> bool:
        from tomada.transports.proxied import is_in  # noqa: PLC0415 - few servers need it

        return is_in(host, self.proxies)
