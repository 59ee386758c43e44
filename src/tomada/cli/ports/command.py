"""``tomada ports``: who listens where on this machine."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tomada.cli.output import Json, UsageError, errors_told, print_json

if TYPE_CHECKING:
    from tomada.cli.ports.survey import Wanted

EXAMPLES = """
[bold]Examples:[/bold]

  tomada ports

  tomada ports 4477 --all

  tomada ports 8000-9000 python

  tomada ports --watch
"""
INTERVAL: Final = 2.0

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PORT | TEXT]…",
        help="Ports (4477), ranges of them (8000-9000), or text that address, process, user or service contain.",
        show_default=False,
    ),
]
All = Annotated[bool, typer.Option("--all", "-a", help="Connections, too, with their states and queues.")]
Unix = Annotated[bool, typer.Option("--unix", "-u", help="All Unix sockets, not just those of tomada's servers.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Look again every 2 seconds, until Ctrl-C.")]


def ports(
    words: Words = None,
    *,
    connections: All = False,
    unix: Unix = False,
    watch: Watch = False,
    as_json: Json = False,
) -> None:
    """Show who listens where on this machine: addresses, processes, connections, and who waits to be accepted.

    tomada's own servers are marked. Processes of other users can be seen by root only.
    """
    from tomada.cli.ports.survey import Wanted

    wanted = Wanted(tuple(words or ()), connections, unix)
    with errors_told(as_json=as_json):
        if watch:
            _watch(wanted, as_json=as_json)
        else:
            _show(wanted, as_json=as_json)


def _show(wanted: Wanted, *, as_json: bool) -> None:
    from tomada.cli.ports.survey import survey

    found = survey(wanted)
    if as_json:
        for row in (*found.listening, *found.connected):
            print_json(row)
        return
    from rich.console import Console

    from tomada.cli.ports.table import drawn

    console = Console(highlight=False)
    console.print(drawn(found, console.width))


def _watch(wanted: Wanted, *, as_json: bool) -> None:
    if as_json or not sys.stdout.isatty():
        raise UsageError("--watch draws on a terminal: without one, or with --json, call the command again and again")
    from rich.console import Console
    from rich.live import Live

    from tomada.cli.ports.survey import survey
    from tomada.cli.ports.table import drawn_for

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            live.update(drawn_for(console, survey(wanted)), refresh=True)
            time.sleep(INTERVAL)
