"""A supervisor and its workers, from the command line: what is shown of them, and how they are started."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import msgspec
import typer

from tomada.cli.listening import About, seen_at, tell_listening
from tomada.cli.output import print_json, tell_failure
from tomada.server.activation import activation
from tomada.server.notifier import notifier
from tomada.server.workers.control import Control
from tomada.server.workers.crew import Plan
from tomada.server.workers.supervisor import StartFailed, Supervisor
from tomada.telemetry import WorkerEnded, WorkerStarted, subscribe

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.cli.job import Job
    from tomada.cli.serve_options import Workers


class Shown:
    """Tells people, or programs, what the supervisor does.

    Args:
        as_json: Whether programs read it.
        option: What clients must add to their commands.
        develops: Whether somebody is at work on the application: then commands have example values.
        dashboard: Where browsers find it; empty: there is none.
    """

    def __init__(self, *, as_json: bool, option: str = "", develops: bool = False, dashboard: str = "") -> None:
        self._as_json = as_json
        self._option = option
        self._develops = develops
        self._dashboard = dashboard

    def listening(self, supervisor: Supervisor) -> None:
        """All workers accept, for the first time."""
        about = msgspec.msgpack.decode(supervisor.about, type=About)
        if self._as_json:
            names = {"app": supervisor.app, "addresses": supervisor.addresses, "workers": supervisor.pids}
            print_json({"event": "listening", **names, **seen_at(self._dashboard)})
        else:
            tell_listening(
                supervisor.app,
                supervisor.addresses,
                about,
                option=self._option,
                dashboard=self._dashboard,
                develops=self._develops,
            )

    def reloaded(self, supervisor: Supervisor, seconds: float, failure: str) -> None:
        """The application was loaded anew, or could not be: then `failure` says why."""
        if self._as_json and failure:
            print_json({"event": "not_reloaded", "seconds": round(seconds, 3), "reason": failure})
        elif self._as_json:
            names = {"app": supervisor.app, "addresses": supervisor.addresses, "workers": supervisor.pids}
            print_json({"event": "reloaded", "seconds": round(seconds, 3), **names})
        elif not failure:  # people read that in the log, with why
            typer.echo(f"{typer.style('reloaded', fg='green', bold=True)} in {seconds:.1f} s")
            sys.stdout.flush()

    def failed(self, failure: str) -> None:
        """The application could not be started; it is tried again when a file changes."""
        if self._as_json:
            print_json({"event": "failed", "reason": failure})
        else:
            typer.echo(f"{typer.style('error:', fg='red', bold=True)} {failure}", err=True)
            typer.secho("waiting for a change", dim=True, err=True)

    def worker_started(self, event: WorkerStarted) -> None:
        """Subscribes to telemetry, for programs."""
        print_json(
            {"event": "worker_started", "number": event.number, "pid": event.pid, "seconds": round(event.seconds, 3)}
        )

    def worker_ended(self, event: WorkerEnded) -> None:
        """Subscribes to telemetry, for programs."""
        names = {"number": event.number, "pid": event.pid, "seconds": round(event.seconds, 3)}
        print_json({"event": "worker_ended", **names, "reason": event.reason, "is_wrong": event.is_wrong})

    def subscribe(self) -> None:
        """Tell programs of each worker; people read it in the log."""
        if self._as_json:
            subscribe(self.worker_started, WorkerStarted)
            subscribe(self.worker_ended, WorkerEnded)


def supervise(
    job: Job,
    workers: Workers,
    shown: Shown,
    *,
    as_json: bool,
    persists: bool = False,
    begin: Callable[[Supervisor], None] | None = None,
) -> None:
    """Serve `job` in workers until a signal.

    Args:
        job: What each does.
        workers: How many, and how.
        shown: Tells of it.
        as_json: Whether a failure is told to programs.
        persists: Whether a first start that fails waits for a reload.
        begin: Called with the supervisor before it runs.
    """
    given = activation()
    job = msgspec.structs.replace(job, given=tuple(map(str, given.addresses)))
    plan = Plan(
        name=job.target,
        command=_command(),
        settings=msgspec.msgpack.encode(job),
        workers=workers.workers or 1,
        is_spread=workers.placement == "spread",
        timeout=workers.timeout,
        drain=job.deadlines.drain,
        persists=persists,
    )
    shown.subscribe()
    supervisor = Supervisor(plan, shown, given, notifier())
    if begin is not None:
        begin(supervisor)
    try:
        with Control(supervisor):
            supervisor.run()
    except StartFailed as failure:
        _tell(failure, as_json=as_json)


def _command() -> tuple[str, ...]:
    # Where this interpreter does not look for modules in the folder it was started in, its workers do not either.
    safe = () if "" in sys.path or os.getcwd() in sys.path else ("-P",)  # noqa: PTH109 - as it stands in the path
    return (sys.executable, *safe, "-m", "tomada.cli.worker")


def _tell(failure: StartFailed, *, as_json: bool) -> NoReturn:
    tell_failure("StartFailed", str(failure), failure.code, as_json=as_json)
