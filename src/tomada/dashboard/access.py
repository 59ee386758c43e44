"""Who may see what: the headers Host and Origin, and the token.

A web page of somebody else must not get at this one, though both are in the same browser: not by its own name for
this address (DNS rebinding, so the header Host must be one of ours), and not by a WebSocket (so its Origin must be
ours). The token is never in a cookie: browsers would give that to every server of the same host.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
import socket
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from tomada.transports.websocket.server import is_allowed

if TYPE_CHECKING:
    from tomada.dashboard.told import Told

_HOST: Final = re.compile(r"(?:\[(?P<number>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?")
_SECONDS_PER_GUESS: Final = 0.5
_MOST_WAITING: Final = 16
_MOST_HOSTS: Final = 1_024


class Rights(NamedTuple):
    """What a caller may."""

    watch: bool
    act: bool


class TooManyGuesses(Exception):
    """So many wrong tokens came from there that no further one is looked at for now."""


class Access:
    """Decides, by what this dashboard was told.

    Args:
        told: Where it listens, and its token.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        names = {"localhost", told.host.lower()}
        if told.is_remote:
            names |= {socket.gethostname().lower(), f"{socket.gethostname().lower()}.local"}
        self._names = names - {""}
        self._guesses: OrderedDict[str, _Guesses] = OrderedDict()

    def is_host(self, header: str) -> bool:
        """Whether a header Host names this machine: by a number, which no foreign name can stand behind, or by name."""
        name = _name_of(header)
        try:
            number = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return self._told.is_remote or number.is_loopback or name in self._names

    @staticmethod
    def is_origin(origin: str | None, host: str) -> bool:
        """Whether a WebSocket may be opened from there: pages of this dashboard may, and programs, which name none."""
        return origin is None or is_allowed(origin, host, ())

    async def rights(self, token: str, caller: str) -> Rights | None:
        """What who gives this token may; None: it is a wrong one. Without one there may be something to see.

        Args:
            token: As it was given; empty: none was.
            caller: The host that it comes from. Wrong ones of the same host are answered one after the other.

        Raises:
            TooManyGuesses: Too many wait for that.
        """
        if not token:
            return Rights(watch=not self._told.is_remote, act=False)
        guesses = self._guesses.get(caller)
        if guesses is not None and guesses.waiting >= _MOST_WAITING:
            raise TooManyGuesses
        wanted = self._told.token
        if wanted and hmac.compare_digest(token.encode(errors="replace"), wanted.encode()):
            return Rights(watch=True, act=True)
        await self._slow_down(caller)
        return None

    async def _slow_down(self, caller: str) -> None:
        guesses = self._guesses.setdefault(caller, _Guesses())
        self._guesses.move_to_end(caller)
        while len(self._guesses) > _MOST_HOSTS:
            self._guesses.popitem(last=False)
        guesses.waiting += 1
        try:
            async with guesses.turn:
                await asyncio.sleep(_SECONDS_PER_GUESS)
        finally:
            guesses.waiting -= 1
            if not guesses.waiting and self._guesses.get(caller) is guesses:
                del self._guesses[caller]


class _Guesses:
    """Those of one host that wait for their answer."""

    __slots__ = ("turn", "waiting")

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.waiting = 0


def _name_of(header: str) -> str:
    """The host in a header Host, without its port and brackets; empty where it is not written as one."""
    found = _HOST.fullmatch(header.lower())
    return (found["number"] or found["name"]) if found is not None else ""
