from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Self

import pytest

import tomada
import tomada.sync
from tests.integration.house import HERE, Back, Broke, Fail, Make, Secured, Stage, house, serving

LONGEST = 30


class Home:
    """A server of the house in a thread of its own, with a bystander."""

    def __init__(
        self,
        limits: tomada.Limits | None = None,
        app: Callable[[Stage], tomada.App] = house,
        secured: Secured | None = None,
        here: str = HERE,
    ) -> None:
        self._here = here
        self._limits = limits
        self._secured = secured
        self._app = app
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="home")

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.result(LONGEST)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(LONGEST)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._leave = asyncio.Event()
        house = serving(self._app, here=self._here, limits=self._limits, secured=self._secured)
        async with house as (self.server, self.stage):
            self.address = self.server.addresses[0]
            self._ready.set_result(None)
            await self._leave.wait()

    def until(self, *events: str) -> None:
        self.do(self.stage.until(*events))

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(LONGEST)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async def call() -> Any:
            return function(*arguments)

        return self.do(call())

    def open(self, *names: str) -> None:
        self.call(self.stage.open, *names)

    def other_end(self, client: tomada.sync.Connection) -> tomada.Connection:
        """The server's end of a client's connection."""
        connected: Any = client._pump.connected
        port = getattr(connected, "_socket", connected).getsockname()[1]
        others: tuple[tomada.Connection, ...] = self.call(lambda: self.server.connections)
        return next(other for other in others if other.peer.port == port)


@contextmanager
def tidy() -> Iterator[None]:
    """Nothing is left: no thread, no descriptor."""
    gc.collect()
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - one number, no paths
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("tomada"):
            thread.join(LONGEST)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("tomada")] == []
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= descriptors  # noqa: PTH208


@pytest.fixture
def home() -> Iterator[Home]:
    with tidy(), Home() as home:
        yield home


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run each in a thread of its own, all at once; what they return or raise."""
    outcomes: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(number: int, call: Callable[[], Any]) -> None:
        start.wait(LONGEST)
        try:
            outcomes[number] = call()
        except Exception as error:  # noqa: BLE001 - it is the outcome
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONGEST)
        assert not thread.is_alive(), "it still waits"
    return outcomes


def answering() -> tomada.App:
    """What a client answers."""
    app = tomada.App("client")

    @app.on
    def back(request: Back, server: tomada.sync.Connection) -> int:
        return 0 if request.depth == 0 else 1 + server.ask(Back(request.depth - 1))

    @app.on
    def make(request: Make) -> bytes:
        return bytes(request.size)

    @app.on
    def failing(request: Fail) -> int:
        if request.how == "typed":
            raise Broke(12)
        if request.how == "wrong":
            return "a text"  # type: ignore[return-value]
        raise ValueError(f"it was {request.how}")

    return app
