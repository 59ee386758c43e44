"""What a child has before it is forked: everything that can be made once for all of them."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from tomada.connection import Connection
from tomada.endpoint import SUBPROTOCOL, log
from tomada.server.children import limits, sandbox
from tomada.transports import stack
from tomada.transports.tls.certificates import Unusable

if TYPE_CHECKING:
    from tomada.address import Address
    from tomada.app import App
    from tomada.server.children.channel import Plan
    from tomada.transports import Options
    from tomada.transports.tls.certificates import Certificates


class Seed:
    """All that the children of one template share.

    Args:
        app: The application.
        plan: What the server says.
        pages: The file of the children's pages.
        bounds: Of each child.
    """

    __slots__ = ("app", "bounds", "certificates", "pages", "plan")

    def __init__(self, app: App, plan: Plan, pages: int, bounds: limits.Bounds) -> None:
        self.app = app
        self.plan = plan
        self.pages = pages
        self.bounds = bounds
        self.certificates: list[Certificates | None] = [
            stack.certificates(address, plan.options) for address, _ in places(app, plan)
        ]
        """By place; read before any child has lost the right to."""

    def renew(self) -> None:
        """Use certificates that were renewed."""
        for secured in self.certificates:
            if secured is not None:
                try:
                    secured.renew()
                except Unusable as error:
                    log.warning("the certificate stays as it was: %s", error)


def places(app: App, plan: Plan) -> list[tuple[Address, Options]]:
    """Where connections come from, by number: the addresses of messages, then those of byte streams."""
    from msgspec.structs import replace  # noqa: PLC0415 - one use

    messages = replace(plan.options, subprotocol=SUBPROTOCOL)
    return [
        *((address, messages) for address in plan.addresses),
        *((handler.address, plan.options) for handler in app.stream_handlers),
    ]


def prepare(app: App, plan: Plan, pages: int) -> Seed:
    """Make everything that is the same for all children, in the process that forks them.

    Raises:
        TomadaError: The application, a certificate or a bound cannot be.
        OSError: A file cannot be read.
    """
    # libuv's ring would be another way past the sandbox, and costs more to make than one connection gains by it.
    os.environ["UV_USE_IO_URING"] = "0"
    app.check(Connection)
    _ = app.catalogue
    if plan.children.sandbox:
        sandbox.check()
    seed = Seed(app, plan, pages, limits.bounds_of(plan.children))
    _import_all(app, plan)
    return seed


def _import_all(app: App, plan: Plan) -> None:
    """Import what is imported only where it is needed: children may not open files, and their peers should not wait."""
    import concurrent.futures.thread  # noqa: PLC0415 - as this function says

    _ = concurrent.futures.thread
    for address, options in places(app, plan):
        stack.accepting(address, asyncio.Protocol, options, set(), None)
    with suppress(ImportError):
        import_module("uvloop")
    logging.LogRecord("tomada", logging.DEBUG, "", 0, "", (), None)
    try:
        raise ValueError  # noqa: TRY301 - to print a traceback imports several modules
    except ValueError:
        logging.Formatter().formatException(sys.exc_info())
        traceback.format_exc()
