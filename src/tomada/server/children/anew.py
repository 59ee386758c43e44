"""The template as a program of its own, for a server that could not fork it."""

from __future__ import annotations

import os
import select
import socket
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tomada.app import App
from tomada.endpoint import log
from tomada.server.children import template
from tomada.server.children.channel import LONGEST_PLAN, Begin, Broken, Channel, ChannelBroken, decode_begin

if TYPE_CHECKING:
    from tomada.server.children.channel import Plan


def main(descriptor: int) -> None:
    """Load the application that the server names, and be the template of its children.

    Args:
        descriptor: This end of the channel to the server.
    """
    control = socket.socket(fileno=descriptor)
    channel: Channel[Begin] = Channel(control, decode_begin, LONGEST_PLAN)
    select.select([control], [], [])
    try:
        begin, pages = channel.receive_with()
    except ChannelBroken:
        return  # the server has ended
    if begin is None:
        return
    try:
        app = _load(begin.module, begin.name)
        if begin.is_traced:
            _trace()
    except Exception as error:  # noqa: BLE001 - told to the log, and to the server
        log.exception("the application cannot be loaded in the process that forks children")
        channel.send(Broken(f"{begin.module} cannot be imported there: {error!r}"[:1_000]))
        return
    _run(control, app, begin.plan, pages, begin.server)


def _run(control: socket.socket, app: App, plan: Plan, pages: int, server: int) -> None:
    os.set_inheritable(control.fileno(), False)  # noqa: FBT003 - the function's own way
    template.run(control, app, plan, pages, server)


def _trace() -> None:
    from tomada import tracing  # noqa: PLC0415 - the server has what it needs

    tracing.enable()


def _load(module: str, name: str) -> App:
    content: dict[str, Any]
    if module.endswith(".py"):
        from runpy import run_path  # noqa: PLC0415 - one use

        sys.path.insert(0, os.path.dirname(module))  # noqa: PTH120 - pathlib would slow every start
        # Not as __main__: it would serve.
        content = run_path(module, run_name="__tomada_main__")
    else:
        content = vars(import_module(module))
    app = content.get(name)
    if not isinstance(app, App):
        raise TypeError(f"it has no tomada.App called {name}")
    return app
