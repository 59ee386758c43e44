from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import tomada
from tests.web import chromium

PROGRAM = Path(__file__).with_name("program.py")


class Server:
    """The program, which can be killed and started again at the same address."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._process: subprocess.Popen[str] | None = None
        self.address = "ws://127.0.0.1:0/bank"

    def start(self) -> None:
        command = [sys.executable, str(PROGRAM), self.address, self._origin]
        # Its log is for a person who looks for what went wrong.
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
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

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.communicate()
        self._process = None


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
def bank(page: chromium.Page, server: Server) -> Iterator[chromium.Page]:
    """The page, with `bank`, a connection that is open, and the module's names."""
    page.run(f"""
        globalThis.tomada = await import("/tomada.js");
        globalThis.bank = await tomada.connect("{server.address}");
    """)
    yield page
    page.run("await bank.close()")
