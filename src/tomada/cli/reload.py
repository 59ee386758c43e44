"""``tomada reload``: let a running server take over the new version of its application."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tomada.cli.output import ExitCode, Json, UsageError, errors_told, print_json, tell_failure
from tomada.server.workers.directory import DirectoryError, Outcome, Status, ask, folder, running

EXAMPLES = """
[bold]Examples:[/bold]

  tomada reload

  tomada reload bank

  tomada reload 4711 --timeout 60
"""


def reload(
    server: Annotated[
        str,
        typer.Argument(
            metavar="PID_OR_NAME",
            help="Which server, where several run: its process id, the name of its application or of its file.",
            show_default=False,
        ),
    ] = "",
    *,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", min=0, help="Seconds to wait for the outcome; the reload goes on. By default, for ever."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Let a server that runs with --workers load its application anew, and wait until it has.

    New workers are started; when all of them accept, the old ones serve what is under way and end.

    Where a new one cannot start the old ones go on, and this command fails.
    """
    with errors_told(as_json=as_json):
        found = _chosen(server, running(folder()))
        try:
            outcome = ask(found[0], "reload", Outcome, timeout=timeout)
        except TimeoutError:
            text = f"no outcome within {timeout:g} s; the reload goes on"
            tell_failure("TimedOut", text, ExitCode.TIMED_OUT, as_json=as_json)
        except OSError as error:
            raise DirectoryError(f"the server cannot be spoken with: {error}") from error
        _tell(found[1], outcome, as_json=as_json)


def _tell(status: Status, outcome: Outcome, *, as_json: bool) -> None:
    if outcome.failure:
        text = f"not reloaded: {outcome.failure}; the old version goes on"
        tell_failure("NotReloaded", text, ExitCode.REMOTE_ERROR, as_json=as_json)
    if as_json:
        told = {
            "name": status.name,
            "pid": status.pid,
            "seconds": round(outcome.seconds, 3),
            "workers": outcome.workers,
        }
        print_json({"event": "reloaded", **told})
        return
    processes = f"process{'es' if len(outcome.workers) > 1 else ''} {', '.join(map(str, outcome.workers))}"
    done = typer.style("reloaded", fg="green", bold=True)
    typer.echo(f"{done} {status.app or status.name} in {outcome.seconds:.1f} s: now {processes}")


def _chosen(wanted: str, found: list[tuple[Path, Status]]) -> tuple[Path, Status]:
    """The one that is meant.

    Raises:
        UsageError: There is none, or there are several.
    """
    if not found:
        raise UsageError(
            "no server with workers runs here, as this user: start one with `tomada serve FILE --workers 2` "
            f"(looked in {folder()})"
        )
    fitting = [one for one in found if not wanted or wanted in _names(one[1])]
    if len(fitting) == 1:
        return fitting[0]
    listed = "\n".join(f"  {_line(status)}" for _, status in fitting or found)
    if fitting:
        raise UsageError(f"several servers run: say which, by its process id or name\n{listed}")
    raise UsageError(f"no server is called {wanted}; these run\n{listed}")


def _names(status: Status) -> set[str]:
    place = status.name.partition(":")[0]
    return {str(status.pid), status.app, status.name, place, Path(place).stem, os.path.realpath(place)} - {""}


def _line(status: Status) -> str:
    addresses = ", ".join(status.addresses) or "not listening yet"
    workers = "1 worker" if len(status.workers) == 1 else f"{len(status.workers)} workers"
    return f"{status.pid:>7}  {status.app or status.name}  {addresses}  ({workers})"
