"""Where the template comes from: forked from a process that is still clean, or a program of its own.

A process that has threads or a running event loop cannot be forked: then Python is started anew, and imports the
application. That takes as long as the application takes to import, and finds only one that a module has.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tomada.errors import ChildrenFailed
from tomada.server.children.channel import Begin, Channel, FromTemplate, decode_from_template, pair
from tomada.server.children.pages import Pages
from tomada.telemetry.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.app import App
    from tomada.server.children.channel import Plan

_PATIENCE: Final = 2.0
"""Seconds in which a template ends that nobody needs any more."""
_FIRST_LOOK: Final = 0.001
_LONGEST_PAUSE: Final = 0.1


class Template:
    """The template's process, as the server has it.

    Args:
        pid: Its process id.
        control: The server's end of the channel.
        pages: Of the children.
    """

    __slots__ = ("_process", "channel", "pages", "pid")

    def __init__(self, pid: int, control: socket.socket, pages: Pages, process: subprocess.Popen[bytes] | None) -> None:
        self.pid = pid
        self.channel: Channel[FromTemplate] = Channel(control, decode_from_template)
        self.pages = pages
        self._process = process

    async def end(self) -> int:
        """Let it end with all its children, and wait for that; its status, as ``waitpid`` gives it."""
        self.channel.close()
        self.pages.close()
        pause, waited = _FIRST_LOOK, 0.0
        while True:
            status = self._ended(os.WNOHANG if waited < _PATIENCE else 0)
            if status is not None:
                return status
            await asyncio.sleep(pause)
            pause, waited = min(2 * pause, _LONGEST_PAUSE), waited + pause
            if waited >= _PATIENCE:
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)

    def drop(self) -> None:
        """`end`, where there is no event loop."""
        self.channel.close()
        self.pages.close()
        self._ended(0)

    def _ended(self, how: int) -> int | None:
        try:
            pid, status = os.waitpid(self.pid, how)
        except ChildProcessError:  # somebody else has waited for it
            pid, status = self.pid, 0
        if not pid:
            return None
        if self._process is not None:
            self._process.returncode = status
        return status


def template_of(app: App, plan: Plan, forget: Callable[[], None] | None = None) -> Template:
    """A template of `app`, which is about to be ready.

    Args:
        app: The application.
        plan: What its children must know.
        forget: Called in it where it is forked: closes what it has from this process and is not to have.

    Raises:
        ChildrenFailed: There can be none; the text says what to do.
    """
    if not (hasattr(os, "fork") and hasattr(socket, "send_fds")):
        raise ChildrenFailed("this system cannot serve connections in child processes; serve them in tasks or threads")
    if _is_clean():
        return _forked(app, plan, forget)
    return _started_anew(app, plan)


def _is_clean() -> bool:
    """Whether this process may be forked: no thread but this one, and no event loop that runs in it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return threading.active_count() == 1 and _kernel_threads() == 1
    return False


def _kernel_threads() -> int:
    """How many threads the system sees: libraries may have some of their own."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - numbers, no paths
    except OSError:
        return 1


def _forked(app: App, plan: Plan, forget: Callable[[], None] | None) -> Template:
    from tomada.server.children import template  # noqa: PLC0415 - heavy, and loaded once it is sure to be needed

    own, other = pair()
    pages = Pages(plan.children.most)
    server = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        own.close()
        pages.forget()
        if forget is not None:
            forget()
        template.run(other, app, plan, pages.file, server)
    other.close()
    return Template(pid, own, pages, None)


def _started_anew(app: App, plan: Plan) -> Template:
    module, name = _found(app)
    own, other = pair()
    pages = Pages(plan.children.most)
    # The path as it is now: the program may have changed it.
    program = (
        f"import sys; sys.path[:] = {sys.path!r}\nfrom tomada.server.children.anew import main; main({other.fileno()})"
    )
    process = subprocess.Popen([sys.executable, "-c", program], pass_fds=[other.fileno()])  # noqa: S603 - our own
    other.close()
    template = Template(process.pid, own, pages, process)
    template.channel.send(Begin(plan, module, name, os.getpid(), Tracer.active is not None), [pages.file])
    return template


def _found(app: App) -> tuple[str, str]:
    """The module, or the file, that has `app`, and its name there."""
    here = ("", "")
    for module, content in list(sys.modules.items()):
        for name, value in list(getattr(content, "__dict__", {}).items()):
            if value is app:
                if module != "__main__":
                    return module, name
                spec, file = getattr(content, "__spec__", None), getattr(content, "__file__", "")
                here = (spec.name if spec is not None else os.path.abspath(file), name)  # noqa: PTH100 - no pathlib
    if not here[0]:
        raise ChildrenFailed(
            f"no module has the application {app.name!r} as a variable, so that child processes could load it; write "
            "app = tomada.App() at the top level of a module, or use run() or `tomada serve` in place of `async with`"
        )
    return here
