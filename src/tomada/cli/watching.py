"""What can be seen of a server from outside: ``--metrics`` and ``--tracing``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tomada.cli.groups import Choice, Group
from tomada.cli.output import UsageError, print_json

if TYPE_CHECKING:
    from tomada.metrics import MetricsPage
    from tomada.metrics.beside import Beside
    from tomada.server import Server


class Watching(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for.

    Attributes:
        metrics: Where the page for Prometheus is served; of a worker, the folder in which its supervisor reads it.
        tracing: Whether spans are made.
    """

    metrics: str = ""
    tracing: bool = False


WATCHING = Group(
    "Watching",
    Watching,
    {
        "metrics": Choice(
            "--metrics",
            "Serve what is counted, for Prometheus, at http://ADDRESS/metrics; as :9477, which is for this machine "
            "alone. Needs tomada[metrics].",
            metavar="ADDRESS",
            shown="off",
        ),
        "tracing": Choice(
            "--tracing",
            "Make OpenTelemetry spans, which belong to those of the callers. Needs tomada[tracing].",
            annotation=bool,
            shown="off",
        ),
    },
)
"""What `Watching` has."""

WatchingOptions = Annotated[Watching, WATCHING]


def check_watching(watching: Watching) -> None:
    """Raise `UsageError` where what was asked for is not installed."""
    try:
        if watching.metrics:
            import tomada.metrics
        if watching.tracing:
            import tomada.tracing  # noqa: F401 - as above
    except ModuleNotFoundError as error:
        raise UsageError(str(error)) from None


def begin_tracing() -> None:
    """Make spans from now on; the application is loaded, and has set up where they go."""
    from tomada import tracing
    from tomada.endpoint import log

    tracing.enable()
    if not tracing.is_provided():
        log.warning(
            "--tracing: the spans go nowhere, for the application has set up no OpenTelemetry provider: "
            "let it do so, or start it with opentelemetry-instrument"
        )


class Page:
    """The page for Prometheus, as people and programs are told of it.

    Args:
        address: Where it is to be; empty: there is none.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._url = ""

    def tell(self, *, as_json: bool) -> None:
        """Where it is, if there is one."""
        if not self._url:
            return
        if as_json:
            print_json({"event": "metrics", "url": self._url})
        else:
            typer.echo(f"metrics at {typer.style(self._url, fg='cyan')}")

    async def begin(self, server: Server) -> MetricsPage:
        """Let it be served beside a server that serves alone."""
        from tomada.metrics import MetricsPage

        page = MetricsPage(server, self._address)
        self._url = page.url
        return page

    @contextmanager
    def of_workers(self) -> Iterator[str]:
        """Serve it for all workers together; the folder in which they let themselves be read."""
        if not self._address:
            yield ""
            return
        from tomada.metrics.crew import Crew
        from tomada.metrics.page import Page as Served

        with tempfile.TemporaryDirectory(prefix="tomada-", ignore_cleanup_errors=True) as folder:
            crew = Crew(Path(folder))
            try:
                with Served(self._address, crew.read) as served:
                    self._url = served.url
                    yield folder
            finally:
                crew.close()


async def be_read(folder: Path, server: Server) -> Beside:
    """Let a worker be read by its supervisor."""
    from tomada.metrics.beside import Beside

    return await Beside.begin(folder, server)
