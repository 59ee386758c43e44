"""One small connection of a process with itself, before there is a real one.

The first run of any code is the slow one: the interpreter specialises it, and fills its caches. In the template that is
done for all children. And what a forked process writes to is copied page by page, when it first does; in a child that
has rehearsed that is over before somebody waits for an answer.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.app import App
from tomada.catalogue import Catalogue
from tomada.connection import Connection
from tomada.endpoint import Endpoint
from tomada.message import Request
from tomada.protocol import GoodbyeCode, Hello, Kind, Role, encode
from tomada.protocol.frames import CONTROL, HEADER, NORMAL
from tomada.protocol.handshake import encode_goodbye
from tomada.server.children.noting import NotingLink
from tomada.settings import Deadlines, Limits
from tomada.telemetry import Event, tally
from tomada.telemetry.tracer import untraced

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Rehearsed(Request[bytes]):
    data: bytes


app: Final = App("rehearsal")


@app.on
async def _echo(request: _Rehearsed) -> bytes:
    return request.data


@cache
def words() -> bytes:
    """What a client says."""
    catalogue = Catalogue((_Rehearsed,))
    hello = encode(Hello(catalogue=tuple(catalogue.entries)))
    asked = msgspec.msgpack.encode(_Rehearsed(b"1"))
    goodbye = encode_goodbye(GoodbyeCode.CLOSED, "")
    return b"".join(
        (
            HEADER.pack(len(hello), Kind.HELLO, CONTROL, 0, 0, 0) + hello,
            HEADER.pack(len(asked), Kind.ASK, NORMAL, catalogue.numbers[_Rehearsed], 1, 1) + asked,
            HEADER.pack(len(goodbye), Kind.GOODBYE, CONTROL, 0, 0, 0) + goodbye,
        )
    )


async def rehearse() -> None:
    """Serve the connection, without any of the application's own code, and without a word to subscribers."""
    with silence(), untraced():
        endpoint = Endpoint(Role.ACCEPTING, app, Limits(), Deadlines(), Connection)
        endpoint.is_hidden = True
        await endpoint.start()
        client, accepted = socket.socketpair()
        with client:
            client.send(words())
            accepted.setblocking(False)  # noqa: FBT003 - a socket's own
            link = NotingLink(endpoint, bytearray(2))
            await asyncio.get_running_loop().connect_accepted_socket(lambda: link, accepted)
            await link.ended
        await endpoint.stop()


@contextmanager
def silence() -> Iterator[None]:
    """Nobody is told of events, and nothing is counted; whoever subscribes meanwhile is told later."""
    silenced = [(kind, kind.subscribers) for kind in _kinds(Event)]
    who, is_metered = tally.subscribers, tally.is_metered
    tally.wanted_by((), is_metered=False)
    for kind, _ in silenced:
        kind.subscribers = ()
    try:
        yield
    finally:
        for kind, subscribers in silenced:
            kind.subscribers = (*subscribers, *kind.subscribers)
        tally.wanted_by((*who, *tally.subscribers), is_metered=is_metered or tally.is_metered)


def _kinds(kind: type[Event]) -> Iterator[type[Event]]:
    for below in kind.__subclasses__():
        yield below
        yield from _kinds(below)
