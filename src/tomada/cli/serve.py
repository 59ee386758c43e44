"""``tomada serve``: run an application, in this process or in several."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING

import msgspec
import typer

from tomada.cli import certificates
from tomada.cli.certificates import Authority, Certificate, Development, Key, server_tls
from tomada.cli.dashboard import Ready
from tomada.cli.dashboard import ready as dashboard_ready
from tomada.cli.dashboard_options import DashboardOptions
from tomada.cli.groups import grouped
from tomada.cli.job import Job, be_quiet_at_a_terminal, check_system, log_to_standard_error, take_over
from tomada.cli.listening import about, seen_at, tell_listening
from tomada.cli.loading import load_app, print_own, summary
from tomada.cli.output import ExitCode, Json, errors_told, print_json
from tomada.cli.recording_options import RecordingOptions
from tomada.cli.serve_options import (
    AccessOptions,
    ChildOptions,
    DeadlineOptions,
    IsolationChoice,
    IsolationOption,
    LimitOptions,
    SessionOptions,
    WorkerOptions,
)
from tomada.cli.target import Bind, Origin, Target
from tomada.cli.watching import Page, WatchingOptions, begin_tracing, check_watching
from tomada.errors import TomadaError

if TYPE_CHECKING:
    from tomada.server import Server

EXAMPLES = """
[bold]Examples:[/bold]

  tomada serve bank.py

  tomada serve bank:app --bind tcp://:4477 --bind unix:///tmp/bank.sock

  tomada serve bank.py --bind ws://127.0.0.1:4477 --origin http://localhost:8000

  tomada serve bank.py --bind tls://127.0.0.1:4477 --tls-dev

  tomada serve bank.py --bind tls://:4477 --tls-certificate server.pem --tls-key server-key.pem

  tomada serve bank.py --workers 4 --metrics :9477 --tracing

  tomada serve bank.py --workers 4 --drain 30 --idle-timeout off --message-bytes 64M

  tomada serve bank.py --dashboard 4480 --dashboard-token new

  tomada serve bank.py --workers 4 --store sqlite:///var/lib/bank/sessions --keep 600

  tomada serve bank.py --record bank.recording
"""


@grouped
def serve(
    target: Target,
    *,
    bind: Bind = None,
    origin: Origin = None,
    certificate: Certificate = "",
    key: Key = "",
    authority: Authority = "",
    development: Development = False,
    isolation: IsolationOption = IsolationChoice.TASK,
    children: ChildOptions,
    workers: WorkerOptions,
    deadlines: DeadlineOptions,
    limits: LimitOptions,
    watching: WatchingOptions,
    sessions: SessionOptions,
    access: AccessOptions,
    recorded: RecordingOptions,
    dashboard: DashboardOptions,
    as_json: Json = False,
) -> None:
    """Serve an application until Ctrl-C, which lets it end what is under way; a second one ends it at once."""
    log_to_standard_error(of_several=workers.workers is not None)
    with errors_told(as_json=as_json):
        check_watching(watching)
        tls = server_tls(certificate, key, authority, development=development)
        job = Job(
            target=target,
            bind=tuple(bind or ()),
            tls=tls,
            origins=tuple(origin or ()),
            limits=limits,
            watching=watching,
            deadlines=deadlines,
            isolation=isolation.value,
            children=children,
            access=access,
            keeping=sessions,
            recorded=recorded,
        )
        option = " --tls-dev" if development else ""
        if development:
            certificates.warn()
        recorded.begin(as_json=as_json)
        _serve(job, workers, dashboard, option, as_json=as_json)


def _serve(job: Job, workers: WorkerOptions, dashboard: DashboardOptions, option: str, *, as_json: bool) -> None:
    """Serve in this process or in several, with a dashboard where one is wanted."""
    is_supervised = workers.workers is not None
    if is_supervised:
        check_system()
    watched = dashboard_ready(dashboard, develops=False, is_supervised=is_supervised)
    if watched is not None:
        job = msgspec.structs.replace(job, feed=watched.folder)
    if not is_supervised:
        serve_here(job, option, watched, as_json=as_json)
        return
    from tomada.cli.supervised import Shown, supervise

    be_quiet_at_a_terminal()
    shown = Shown(as_json=as_json, option=option, dashboard="" if watched is None else watched.url)
    with nullcontext() if watched is None else watched.keeper:
        supervise(job, workers, shown, as_json=as_json)


def serve_here(job: Job, option: str, watched: Ready | None = None, *, as_json: bool) -> None:
    """Serve in this process."""
    from tomada.server.activation import activation

    page = Page(job.watching.metrics)
    given = activation()
    job = msgspec.structs.replace(job, given=tuple(map(str, given.addresses)))
    has_started = False
    url = "" if watched is None else watched.url
    beside = ExitStack()

    def ready(server: Server) -> None:
        nonlocal has_started
        has_started = True
        if watched is not None:
            beside.enter_context(watched.keeper)  # not before: what forks children has no threads
        addresses = tuple(map(str, server.addresses))
        page.tell(as_json=as_json)
        if as_json:
            print_json({"event": "listening", "app": app.name, "addresses": addresses, **seen_at(url)})
        else:
            tell_listening(app.name, addresses, about(app), option=option, dashboard=url, develops=False)

    try:
        app = load_app(job.target)
        be_quiet_at_a_terminal()
        if job.watching.tracing:
            begin_tracing()
        serving = job.serving(app)
        if job.watching.metrics:
            serving.accompany(page.begin)
        take_over(given, serving)
        with beside, job.recorded.recording():
            serving.run(ready=ready)
    except TomadaError:
        raise
    except Exception as error:  # whatever it raises is the application's own fault: its author sees where
        if has_started:
            raise
        print_own(error)
        typer.echo(f"error: {job.target} could not be started: {summary(error)}", err=True)
        raise typer.Exit(ExitCode.UNREACHED) from None
