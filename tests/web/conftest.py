from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import tomada
from tests.web import chromium
from tomada.testing import FaultProxy, Faults

ROOT = Path(__file__).parents[2]


class Server:
    """The program, which can be killed and started again at the same address."""

    def __init__(self, origin: str, program: str = "tests.web.program") -> None:
        self._origin = origin
        self._program = program
        self._process: subprocess.Popen[str] | None = None
        self.address = "ws://127.0.0.1:0/bank"

    def start(self) -> None:
        command = [sys.executable, "-m", self._program, self.address, self._origin]
        # Its log is for a person who looks for what went wrong.
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.communicate()
        self._process = None


class Network:
    """A bad one, between the page and the server, on an event loop of its own."""

    def __init__(self, server: Server) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        port = server.address.partition("//")[2].partition("/")[0]
        self.proxy = FaultProxy("tcp://127.0.0.1:0", to=f"tcp://{port}")
        self.run(self.proxy.__aenter__())
        self.address = f"ws://{str(self.proxy.address).partition('//')[2]}/bank"

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def cut(self) -> None:
        """Reset all connections."""
        self.run(self.proxy.reset())

    def set(self, faults: Faults, way: str = "faults") -> None:
        """How bad it is from now on: ``to_client``, ``to_server`` or, by default, both ways."""

        async def set_() -> None:
            setattr(self.proxy, way, faults)

        self.run(set_())

    def stall(self, *, stalls: bool) -> None:
        """Let nothing pass, and nobody know; or go on."""

        async def stall() -> None:
            if stalls:
                self.proxy.stall()
            else:
                self.proxy.go_on()

        self.run(stall())

    def let(self, *, pass_: bool) -> None:
        """Whether new connections are accepted."""
        self.run(self.proxy.accept() if pass_ else self.proxy.refuse())

    def close(self) -> None:
        self.run(self.proxy.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with chromium.web_server(tomada.web_folder()) as origin:
        yield origin


@pytest.fixture(scope="module")
def page(origin: str) -> Iterator[chromium.Page]:
    program = chromium.find()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium: scripts/set-up test installs it where it can")
        pytest.skip("there is no Chromium: apt-get install chromium")
    with chromium.browser(program) as page:
        page.open(f"{origin}/msgpack/README.md")
        yield page


@pytest.fixture
def server(origin: str) -> Iterator[Server]:
    with ExitStack() as stack:
        server = Server(origin)
        stack.callback(server.kill)
        server.start()
        yield server


@pytest.fixture
def network(server: Server) -> Iterator[Network]:
    network = Network(server)
    yield network
    network.close()


@pytest.fixture
def far(page: chromium.Page, server: Server, network: Network) -> Iterator[chromium.Page]:
    """The page, with `bank`, a connection over the bad network, `near`, one that is not, and the module's names."""
    page.run(f"""
        globalThis.tomada = await import("/tomada.js");
        globalThis.bank = await tomada.connect("{network.address}");
        globalThis.near = await tomada.connect("{server.address}");
        globalThis.events = [];
        for (const name of ["interrupt", "reconnect", "lost", "close"]) {{
            bank.addEventListener(name, () => events.push(name));
        }}
        globalThis.until = async (is) => {{ while (!(await is())) await new Promise((go) => setTimeout(go, 5)); }};
    """)
    yield page
    page.run("await Promise.all([bank.close(), near.close()])")


@pytest.fixture
def bank(page: chromium.Page, server: Server) -> Iterator[chromium.Page]:
    """The page, with `bank`, a connection that is open, and the module's names."""
    page.run(f"""
        globalThis.tomada = await import("/tomada.js");
        globalThis.bank = await tomada.connect("{server.address}");
    """)
    yield page
    page.run("await bank.close()")
