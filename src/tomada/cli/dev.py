"""``tomada dev``: serve an application while somebody works on it."""

from __future__ import annotations

import logging
import os
import socket
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

import msgspec
import typer

from tomada.cli import certificates
from tomada.cli.certificates import Authority, Certificate, Development, Key, server_tls
from tomada.cli.dashboard import ready
from tomada.cli.dashboard_options import DevelopingOptions
from tomada.cli.groups import grouped
from tomada.cli.job import Job, be_quiet_at_a_terminal, check_system, log_to_standard_error
from tomada.cli.output import Json, UsageError, errors_told
from tomada.cli.recording_options import RecordingOptions
from tomada.cli.serve_options import (
    AccessOptions,
    ChildOptions,
    DeadlineOptions,
    IsolationChoice,
    IsolationOption,
    LimitOptions,
    Workers,
)
from tomada.cli.target import Bind, Origin, Target
from tomada.cli.watching import WatchingOptions, check_watching

if TYPE_CHECKING:
    from typing import Self

    from tomada.server.workers.supervisor import Supervisor

EXAMPLES = """
[bold]Examples:[/bold]

  tomada dev bank.py

  tomada dev bank.py --bind :4477 --bind ws://:4478

  tomada dev bank:app --bind tls://:4477 --tls-dev
"""
_NO_WATCHFILES: Final = "tomada dev needs a package that is not installed: pip install 'tomada[dev]'"
_DEBOUNCE: Final = 400
"""Milliseconds in which changes count as one: editors write a file in several steps."""


@grouped
def dev(
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
    deadlines: DeadlineOptions,
    limits: LimitOptions,
    watching: WatchingOptions,
    access: AccessOptions,
    recorded: RecordingOptions,
    dashboard: DevelopingOptions,
    as_json: Json = False,
) -> None:
    """Serve an application, and load it anew whenever a Python file in its folder changes.

    A change that cannot be loaded is shown, and the old version goes on until it is repaired. Needs tomada[dev].
    """
    log_to_standard_error(of_several=False)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # which tells of each change, too
    with errors_told(as_json=as_json):
        check_system()
        _check_watchfiles()
        check_watching(watching)
        tls = server_tls(certificate, key, authority, development=development)
        if development:
            certificates.warn()
        be_quiet_at_a_terminal()
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
            recorded=recorded,
        )
        recorded.begin(as_json=as_json)
        _supervise(job, dashboard, " --tls-dev" if development else "", as_json=as_json)


def _supervise(job: Job, dashboard: DevelopingOptions, option: str, *, as_json: bool) -> None:
    """Serve `job` anew after each change, with its dashboard."""
    from tomada.cli.supervised import Shown, supervise

    folder = watched_folder(job.target)
    watched = ready(dashboard, develops=True, is_supervised=True, is_quiet=as_json)
    url = ""
    if watched is not None:
        job, url = msgspec.structs.replace(job, feed=watched.folder), watched.url
    shown = Shown(as_json=as_json, option=option, develops=True, dashboard=url)
    with nullcontext() if watched is None else watched.keeper, Changes(folder) as changes:
        supervise(
            job,
            Workers(workers=1),
            shown,
            as_json=as_json,
            persists=True,
            begin=lambda supervisor: changes.tell(supervisor, as_json=as_json),
        )


def _check_watchfiles() -> None:
    try:
        import watchfiles  # noqa: F401 - only whether it is there
    except ImportError:
        raise UsageError(_NO_WATCHFILES) from None


def watched_folder(target: str) -> Path:
    """The folder whose changes concern the application.

    Raises:
        UsageError: There is no such file.
    """
    place = target.partition(":")[0]
    if not place.endswith(".py"):
        return Path.cwd()
    if not Path(place).is_file():
        raise UsageError(f"there is no file {place}")
    return Path(place).resolve().parent


class Changes:
    """Watches a folder in a thread of its own, and wakes the supervisor, which has a selector to wait at."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stop = Event()
        self._heard, self._told = socket.socketpair()
        self._heard.settimeout(0)
        self._told.settimeout(0)
        self._thread = Thread(target=self._watch, name="tomada-dev", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._heard.close()
        self._told.close()

    def tell(self, supervisor: Supervisor, *, as_json: bool) -> None:
        """Let `supervisor` reload at each change."""

        def changed() -> None:
            names = self._heard.recv(65_536).decode(errors="replace").split("\0")
            if not as_json:
                typer.secho(f"changed: {', '.join(sorted(set(names) - {''}))}", dim=True)
                sys.stdout.flush()
            supervisor.reload()

        supervisor.watch(self._heard, changed)

    def _watch(self) -> None:
        from watchfiles import PythonFilter, watch

        changes = watch(
            self._folder,
            watch_filter=PythonFilter(),
            debounce=_DEBOUNCE,
            stop_event=self._stop,
            rust_timeout=200,
            raise_interrupt=False,
            ignore_permission_denied=True,
        )
        for found in changes:
            names = [os.path.relpath(name, self._folder) for _, name in found]
            with suppress(BlockingIOError):  # so many changes wait that one reload will see them all
                self._told.send(("\0".join(names[:10]) + "\0").encode())
