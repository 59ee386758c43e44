"""A server from its start to its end in one process: signals, and what the service manager is told."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from tomada.endpoint import log
from tomada.errors import ListenFailed
from tomada.server.notifier import Notifier, notifier
from tomada.server.terminal import has_terminal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tomada.server.server import Server

_LONGEST_BEAT = 10.0


async def run_until_signal(serving: Awaitable[Server], ready: Callable[[Server], None] | None) -> None:
    """Serve until SIGINT or SIGTERM, then close the server; a second signal cuts all at once, a third kills.

    Raises:
        ChildrenFailed: Connections cannot be served in child processes any more.
    """
    manager = notifier()
    server = await serving
    stop = asyncio.Event()
    if server.failed is not None:
        server.failed.add_done_callback(lambda _: stop.set())
    had_terminal = has_terminal()

    def stop_or_cut() -> None:
        if stop.is_set():
            _on_signals(None, None)
            server.cut()
        elif handlers := server.statistics().handlers:
            log.warning("stopping: handlers under way: %d; a second signal ends them at once", handlers)
        stop.set()

    def hung_up() -> None:
        if had_terminal and not has_terminal():
            stop.set()  # nobody is left who could end this
        else:
            _reload_certificates(server, manager)

    _on_signals(stop_or_cut, hung_up)
    beats = asyncio.get_running_loop().create_task(_beat(manager))
    try:
        manager.ready(_status(server))
        if ready is not None:
            ready(server)
        await stop.wait()
    finally:
        manager.stopping()
        await server.close()
        beats.cancel()
    if server.failed is not None and server.failed.done():
        raise server.failed.result()


def _status(server: Server) -> str:
    return f"listens on {', '.join(map(str, server.addresses))}"


def _reload_certificates(server: Server, manager: Notifier) -> None:
    manager.reloading()
    try:
        server.reload_certificates()
        log.warning("SIGHUP: the certificates are read again; to reload the application, too, serve it with --workers")
    except ListenFailed as error:
        log.error("SIGHUP: %s", error)
    manager.ready(_status(server))


async def _beat(manager: Notifier) -> None:
    while manager.watchdog:
        manager.alive(asyncio.get_running_loop().time())
        await asyncio.sleep(min(manager.watchdog / 4, _LONGEST_BEAT))


def _on_signals(stop: Callable[[], None] | None, hung_up: Callable[[], None] | None) -> None:
    """Call `stop` on SIGINT and SIGTERM, `hung_up` on SIGHUP; None: let the system do what it does with them."""
    loop = asyncio.get_running_loop()
    wanted = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if hasattr(signal, "SIGHUP"):
        wanted[signal.SIGHUP] = hung_up
    for number, call in wanted.items():
        try:
            if call is None:
                loop.remove_signal_handler(number)
            else:
                loop.add_signal_handler(number, call)
        except NotImplementedError:  # Windows
            called = call
            signal.signal(
                number, signal.SIG_DFL if called is None else lambda *_, call=called: loop.call_soon_threadsafe(call)
            )
