"""The server's own part where connections are served in children: it accepts, and gives away what it has accepted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tomada import transports
from tomada.endpoint import log
from tomada.errors import ListenFailed
from tomada.server.children.channel import Plan
from tomada.server.children.origin import template_of
from tomada.server.children.pool import Pool
from tomada.server.children.process import Stage
from tomada.transports import stack

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from tomada.address import Address
    from tomada.app import App
    from tomada.errors import ChildrenFailed
    from tomada.server.children.origin import Template
    from tomada.server.inherited import Inherited
    from tomada.settings import Children, Deadlines, Limits


def plan_of(
    addresses: Sequence[Address],
    limits: Limits,
    deadlines: Deadlines,
    options: transports.Options,
    children: Children,
) -> Plan:
    """What children are told.

    Args:
        addresses: Of messages, for connections only.
        limits: Of the server.
        deadlines: Of the server.
        options: Of the transports.
        children: How many, and within what bounds.
    """
    told = replace(options, admission=None, inherited=())
    return Plan(addresses=tuple(addresses), limits=limits, deadlines=deadlines, options=told, children=children)


class Front:
    """Listens for the children.

    Args:
        app: The application.
        plan: What the children are told.
        template: Which forks them, if it had to be made before; else it is made now.
    """

    __slots__ = ("_app", "_listeners", "_plan", "_pool", "_template")

    def __init__(self, app: App, plan: Plan, template: Template | None = None) -> None:
        self._app = app
        self._plan = plan
        self._template = template
        self._pool: Pool | None = None
        self._listeners: list[transports.Listener] = []

    async def open(self, options: transports.Options, inherited: Inherited) -> list[transports.Listener]:
        """Have children, and accept for them from now on.

        Args:
            options: Of the transports.
            inherited: Sockets that are bound already.

        Raises:
            ListenFailed: An address cannot be listened on, or its certificate is not to be used.
            ChildrenFailed: There can be no children.
        """
        handlers = self._app.stream_handlers
        addresses = [*self._plan.addresses, *(handler.address for handler in handlers)]
        for address in addresses:
            if address.scheme == "memory":
                raise ListenFailed(f"cannot listen on {address}: it is inside of one process; serve it in tasks")
            stack.certificates(address, options)
        template = self._template or template_of(self._app, self._plan)
        schemes = [(one.scheme, place >= len(self._plan.addresses)) for place, one in enumerate(addresses)]
        pool = self._pool = Pool(template, self._plan, schemes)
        await pool.start()
        pool.failed.add_done_callback(self._failed)
        for place, address in enumerate(addresses):
            own = inherited.options(address, options)
            if own is None:
                continue  # another process serves it for all
            listener = await transports.accept(address, partial(pool.take, place), options=own)
            if place < len(self._plan.addresses):
                # Else a few hundred callers that say nothing would have all the children there may be.
                listener.defer(self._plan.deadlines.handshake)
            self._listeners.append(listener)
            pool.gate(listener)
        return self._listeners

    def _failed(self, failed: asyncio.Future[ChildrenFailed]) -> None:
        log.critical("nobody is served any more: %s", failed.result())
        for listener in self._listeners:
            listener.close()

    @property
    def failed(self) -> asyncio.Future[ChildrenFailed] | None:
        """Done when there can be no children any more, and why."""
        return None if self._pool is None else self._pool.failed

    @property
    def children(self) -> int:
        """How many there are now."""
        return 0 if self._pool is None else len(self._pool._children)  # noqa: SLF001 - one house

    @property
    def serving(self) -> int:
        """How many of them have a connection now."""
        children = () if self._pool is None else tuple(self._pool._children.values())  # noqa: SLF001 - as above
        return sum(child.stage is Stage.SERVING for child in children)

    def renew(self) -> None:
        """Let children go that have an old certificate, when what they do has ended."""
        if self._pool is not None:
            self._pool.renew()

    def cut(self) -> None:
        """End all children at once."""
        if self._pool is not None:
            self._pool.cut()

    async def close(self) -> None:
        """Let children end what they do, up to `Deadlines.drain`; then end all."""
        if self._pool is not None:
            await self._pool.close()
        elif self._template is not None:
            self._template.drop()
