"""Real servers, their dashboards, and a real Chromium that Playwright drives."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.web import chromium

ROOT = Path(__file__).parents[3]
TOKEN = "abcdefghijklmnop"  # noqa: S105 - of servers that live as long as a test
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)


class Viewer:
    """A page of the dashboard, and all that it wrote to its console."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.said: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append(f"{message.type}: {message.text}")

    def open(self, path: str = "", token: str = TOKEN) -> Page:
        """Begin anew, with the token; then go to a page of it."""
        self.page.goto(f"{self.url}#token={token}" if token else self.url)
        expect(self.page.locator(".live-state.live")).to_be_visible()
        return self.go(path)

    def go(self, path: str) -> Page:
        """To another page, as a link does."""
        if path:
            self.page.evaluate("(hash) => { location.hash = hash; }", f"#/{path}")
        return self.page


class Server:
    """`tomada serve` of the bank, with a dashboard."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._folder = folder
        self._words = words
        self._process: subprocess.Popen[str] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.address = ""

    def start(self) -> None:
        program = ROOT / "examples" / "bank" / "bank.py"
        command = [sys.executable, "-m", "tomada", "serve", str(program), "--bind", "tcp://127.0.0.1:0", "--json"]
        command += ["--dashboard", f"127.0.0.1:{self.port}", "--dashboard-token", TOKEN, *self._words]
        folder = str(self._folder)
        environment = {**os.environ, "BANK_DATABASE": f"{folder}/bank.db", "XDG_RUNTIME_DIR": folder}
        errors = (self._folder / "errors.txt").open("a")
        with errors:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "addresses" in (told := json.loads(line)):  # with workers, other things are told before
                self.address = told["addresses"][0]
                return
        pytest.fail((self._folder / "errors.txt").read_text())

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()
            self._process = None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium.find()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium: scripts/set-up test installs it where it can")
        pytest.skip("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


Look = Callable[..., Viewer]


def _context(browser: Browser, **options: object) -> BrowserContext:
    return browser.new_context(**{"viewport": {"width": 1440, "height": 900}, "locale": "en-US", **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plain(browser: Browser) -> BrowserContext:
    """A browser's memory for all tests of a module: the page's files are in it after the first."""
    return _context(browser)


@pytest.fixture
def look(browser: Browser, plain: BrowserContext) -> Iterator[Look]:
    """Opens a viewer, with a memory of its own where it is another browser; at the end none may have complained."""
    contexts, viewers = [], []

    def look(url: str, **options: object) -> Viewer:
        context = plain
        if options:
            context = _context(browser, **options)
            contexts.append(context)
        viewers.append(Viewer(context.new_page(), url))
        return viewers[-1]

    yield look
    for viewer in viewers:
        viewer.page.evaluate("localStorage.clear()")
        viewer.page.close()
    for context in contexts:
        context.close()
    assert [line for viewer in viewers for line in viewer.said] == []


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests of a module. Who looks at it leaves before it stops: its fixture stands first."""
    yield from _served(tmp_path_factory.mktemp("bank"))


@pytest.fixture
def own_bank(tmp_path: Path) -> Iterator[Server]:
    """One to be stopped."""
    yield from _served(tmp_path)


def _served(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def scenery() -> Iterator[str]:
    """The URL of a dashboard with 15,000 connections that are made up."""
    command = [sys.executable, "-m", "tests.dashboard.page.scenery", TOKEN, "15000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()
