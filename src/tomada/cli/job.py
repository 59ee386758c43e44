"""What a server process is to do, in one structure: what `tomada serve` was told, and what its workers are told."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import tomada
from tomada.address import Address
from tomada.cli.output import UsageError
from tomada.cli.serve_options import Access, Keeping
from tomada.errors import TomadaError
from tomada.server.activation import Activation
from tomada.server.inherited import Inherited
from tomada.settings import TLS, Children, Deadlines, Isolation, Limits

if TYPE_CHECKING:
    from tomada.app import App
    from tomada.server import Serving

DEFAULT_ADDRESS = "tcp://127.0.0.1:4477"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One server to be.

    Attributes:
        target: Where the application is.
        bind: Where to listen; empty: where sockets were given, or the default.
        given: Where sockets were given to the process.
        tls: The certificate.
        origins: The web pages that may connect.
        limits: Of each process.
        deadlines: Of each connection.
        isolation: Where each connection is served.
        children: The processes of connections, where they have some.
        access: Who may connect.
        keeping: Whether sessions are kept, and where.
        feed: The dashboard's folder; empty: nobody watches.
    """

    target: str
    bind: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    tls: TLS | None = None
    origins: tuple[str, ...] = ()
    limits: Limits = Limits()
    deadlines: Deadlines = Deadlines()
    isolation: Isolation = "task"
    children: Children | None = None
    access: Access = Access()
    keeping: Keeping = Keeping()
    feed: str = ""

    def serving(self, app: App, number: int = 0) -> Serving:
        """The server, not running yet.

        Args:
            app: What it serves.
            number: Of the worker; 0 where there is no other process.

        Raises:
            UsageError: An option is of no use where it listens, or names what there is not.
        """
        addresses: list[Any] = list(self.bind or self._given_for_messages(app))
        if not addresses and not (app.has_addresses and not app.handlers):
            addresses.append(DEFAULT_ADDRESS)
        try:
            serving = tomada.serve(
                app,
                *addresses,
                tls=self.tls,
                origins=self.origins,
                limits=self.limits,
                deadlines=self.deadlines,
                isolation=self.isolation,
                children=self.children,
                sessions=self.keeping.sessions,
                store=self.keeping.store,
                **msgspec.structs.asdict(self.access),
            )
        except ValueError as error:
            if isinstance(error, TomadaError):
                raise
            raise UsageError(str(error)) from error
        if self.feed:
            types = frozenset(kind.__name__ for kind in app.handlers)
            self._let_watch(serving, number, types)
        return serving

    def _let_watch(self, serving: Serving, number: int, types: frozenset[str]) -> None:
        from tomada.feed.beside import open_feed
        from tomada.feed.collector import About

        told = About(serving.name, number, is_guarded=bool(self.access.proxied_by), types=types)
        serving.accompany(lambda server: open_feed(server, Path(self.feed), told))

    def _given_for_messages(self, app: App) -> list[Address]:
        """The addresses of the sockets that were given, but for those that the application's own handlers name."""
        own = [handler.address for handler in app.stream_handlers]
        own += [handler.address for handler in app.datagram_handlers]
        places = [Address.parse(given) for given in self.given]
        return [place for place in places if not any(_is_same(place, named) for named in own)]


def _is_same(given: Address, named: Address) -> bool:
    return (given.port, given.path) == (named.port, named.path) if given.port is None else given.port == named.port


def take_over(activation: Activation, serving: Serving) -> None:
    """Let `serving` use the sockets that were given to this process.

    Raises:
        ListenFailed: One of them is at an address where nothing is served.
    """
    inherited = Inherited()
    for address, _ in serving.places():
        reserved = activation.take(address)
        if reserved is not None:
            inherited.add(address, tuple(reserved.sockets))
    activation.check_used()
    serving.inherit(inherited)


def check_system() -> None:
    """Raise `UsageError` where there can be no workers."""
    if sys.platform == "win32":
        raise UsageError("workers need Unix sockets and signals, which Windows has not: use `tomada serve FILE` alone")


def log_to_standard_error(*, of_several: bool) -> None:
    """A line per event; with the process's id where there are several. At a terminal only what needs attention."""
    process = "[%(process)d] " if of_several else ""
    form = f"%(asctime)s %(levelname)s {process}%(message)s"
    logging.basicConfig(level=logging.INFO, format=form, stream=sys.stderr)


def be_quiet_at_a_terminal() -> None:
    """Of tomada itself, show what needs attention only; what the application logs is shown as it wants it."""
    logging.getLogger("tomada").setLevel(logging.WARNING if sys.stderr.isatty() else logging.INFO)
