"""`connect` for programs without an event loop. `tomada.sync` is its public name."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tomada.address import Address
from tomada.binding import Binding
from tomada.client.blocking import Connection
from tomada.client.connect import unfinished
from tomada.client.pauses import Pauses
from tomada.client.pump import Pump
from tomada.endpoint import SUBPROTOCOL, log
from tomada.errors import ConnectFailed, DeclarationError, HandshakeFailed
from tomada.messenger import Repertoire
from tomada.settings import TLS, Deadlines, Limits
from tomada.transports import Options, blocking

if TYPE_CHECKING:
    from tomada.app import App, Handler, Hook


class _Settings(NamedTuple):
    limits: Limits
    deadlines: Deadlines
    options: Options
    sessions: bool


def connect(  # noqa: PLR0913 - each option of a connection is a parameter
    address: str | Address,
    *,
    app: App | None = None,
    wait: float = 0,
    tls: TLS | None = None,
    limits: Limits | None = None,
    deadlines: Deadlines | None = None,
    sessions: bool = True,
) -> Connection:
    """A connection to the server at `address`, for programs without an event loop.

    ::

        with tomada.sync.connect("tcp://127.0.0.1:4477") as bank:
            receipt = bank.ask(Transfer("ana", "rui", 500))

    Args:
        address: Such as ``tcp://127.0.0.1:4477``, ``ws://127.0.0.1:4477/`` or ``unix:///tmp/bank.sock``.
        app: Handlers for what the server asks and sends; plain ``def`` functions, which run in threads.
        wait: Seconds to go on trying while nobody listens there yet; by default there is one attempt.
        tls: Whom to trust, and who this end is, on ``tls`` addresses; by default it trusts whom the system trusts.
        limits: What the connection may use at this end.
        deadlines: How long things may take.
        sessions: Whether it goes on over a new connection when this one is lost. See `tomada.connect`.

    Raises:
        AddressError: The address cannot be read.
        ConnectFailed: Nobody could be reached.
        HandshakeFailed: Somebody was reached who is no tomada server, or who refused; that is not tried again.
        DeclarationError: A handler is an ``async def``.
    """
    deadlines = deadlines or Deadlines()
    address = Address.of(address)
    options = Options(handshake=deadlines.handshake, tls=tls, subprotocol=SUBPROTOCOL)
    settings = _Settings(limits or Limits(), deadlines, options, sessions)
    if app is None:
        return _connect(address, wait, Repertoire(), settings)
    binding = _bind(app)
    calls = {kind: binding.bind(handler.function, handler.asks_for) for kind, handler in app.handlers.items()}
    try:
        connection = _connect(address, wait, Repertoire(app, calls), settings)
    except BaseException:
        _run_hooks(binding, app.stop_hooks, None)
        raise
    pump = connection._pump  # noqa: SLF001 - its other half
    pump.at_end = lambda: _run_hooks(binding, [*app.disconnect_hooks, *app.stop_hooks], connection)
    if app.reconnect_hooks:
        pump.at_return = lambda: _run_hooks(binding, app.reconnect_hooks, connection)
    try:
        for hook in app.connect_hooks:
            hook.function(*binding.arguments(hook.asks_for, connection))
    except BaseException:
        connection.close()
        raise
    pump.calls.greeted()
    return connection


def _bind(app: App) -> Binding:
    for handler in app.handlers.values():
        if handler.items is not None or handler.parts is not None:
            text = f"{handler.where} handles streams, which needs an event loop: leave it out, or use tomada.connect"
            raise DeclarationError(text)
    hooks = (*app.start_hooks, *app.connect_hooks, *app.reconnect_hooks, *app.disconnect_hooks, *app.stop_hooks)
    declared: list[Handler | Hook] = [*app.handlers.values(), *hooks]
    for one in declared:
        if one.is_async:
            text = f"{one.where} is an `async def`, but there is no event loop: write it as a plain `def`"
            raise DeclarationError(text)
    return Binding(app, [hook.function() for hook in app.start_hooks], Connection)


def _connect(address: Address, wait: float, repertoire: Repertoire, settings: _Settings) -> Connection:
    """One attempt, or as many as fit into the time to wait, with growing pauses."""
    pauses = Pauses(time.monotonic(), wait)
    while True:
        try:
            return _attempt(address, repertoire, settings)
        except ConnectFailed:
            pause = pauses.next(time.monotonic())
            if pause is None:
                raise
        time.sleep(pause)


def _attempt(address: Address, repertoire: Repertoire, settings: _Settings) -> Connection:
    limits, deadlines, options, sessions = settings
    reach = partial(blocking.connect, address, deadlines.connect, options)
    pump = Pump(reach, repertoire, limits, deadlines, sessions=sessions)
    connection = Connection(address, pump)
    try:
        pump.start()
    except (ConnectFailed, HandshakeFailed) as error:
        raise unfinished(address, error) from None
    return connection


def _run_hooks(binding: Binding, hooks: list[Hook], connection: Connection | None) -> None:
    """Run what the application wants to do at the end; one that raises does not keep the others from running."""
    for hook in hooks:
        try:
            hook.function(*binding.arguments(hook.asks_for, connection))
        except Exception:  # noqa: BLE001 - told to the log
            log.exception("%s raised", hook.where)
