"""Lets the feed of one server listen beside it, in the same event loop: in a folder that only this user may enter."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import tomada
from tomada.address import Address
from tomada.endpoint import log
from tomada.errors import TomadaError
from tomada.feed.app import inner_app
from tomada.feed.collector import About, Collector
from tomada.settings import Deadlines, Limits

if TYPE_CHECKING:
    from pathlib import Path

    from tomada.server import Server

FEED: Final = ".feed"
"""How the names of the feeds' socket files end, behind the number of their process."""
APPLICATION: Final = ".app"
"""How those of the applications end."""
_LIMITS: Final = Limits(
    connections=64,
    connections_per_host=64,
    handshakes=64,
    handshakes_early=64,
    handlers=64,
    requests=64,
    message_bytes=4_194_304,
    all_buffer_bytes=67_108_864,
)
_DEADLINES: Final = Deadlines(drain=0.5, turn=float("inf"))


class Beside:
    """A feed that listens. Got from `open_feed`."""

    def __init__(self, collector: Collector, server: Server | None) -> None:
        self._collector = collector
        self._server = server

    async def close(self) -> None:
        """End it, whoever watches."""
        if self._server is not None:
            self._server.cut()
            await self._server.close()
        await self._collector.shut()


async def open_feed(server: Server, folder: Path, about: About) -> Beside:
    """Let the feed of `server` listen in `folder`, and the application once more, for the dashboard's own users.

    Where that cannot be the log says so: a server does not depend on who watches it.

    Args:
        server: It listens already.
        folder: Of the dashboard; only this user may enter it.
        about: What is told of the server.
    """
    name = folder / str(os.getpid())
    application = Address("unix", path=f"{name}{APPLICATION}")
    collector = Collector(server, about, application.path)
    opened: Server | None = None
    try:
        await server.listen_privately(application)
        address = Address("unix", path=f"{name}{FEED}")
        opened = await tomada.serve(
            inner_app(collector), address, limits=_LIMITS, deadlines=_DEADLINES, sessions=None, unix_mode=0o600
        )
        for endpoint in opened.endpoints:
            endpoint.is_hidden = True  # a recording is of the application
    except (TomadaError, OSError) as error:
        log.error("the dashboard will not see this process: %s", error)
    return Beside(collector, opened)


def forget(folder: Path, pid: int) -> None:
    """Remove what a process has left behind that could not do so itself."""
    for end in (FEED, APPLICATION):
        with suppress(OSError):
            (folder / f"{pid}{end}").unlink()
