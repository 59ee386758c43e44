"""A real browser, headless, driven by its own protocol (CDP) over a WebSocket of the library ``websockets``."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
PATIENCE = 30


def find() -> str | None:
    """The program, where there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class PageError(Exception):
    """What a page threw."""


class Page:
    """One tab, with the modules of a web folder."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._connection.recv(PATIENCE))
            if said.get("id") == number:
                assert "error" not in said, said
                return dict(said["result"])

    def open(self, url: str) -> None:
        self.command("Page.navigate", url=url)
        while not self.run(f"return location.href.startsWith({url!r}) && document.readyState === 'complete'"):
            pass

    def run(self, body: str) -> Any:
        """What the body of an ``async`` function returns, as JSON."""
        done = self.command(
            "Runtime.evaluate", expression=f"(async () => {{{body}}})()", awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in done:
            raise PageError(done["exceptionDetails"].get("exception", {}).get("description", "without a text"))
        return done["result"].get("value")


@contextmanager
def debugger(url: str) -> Iterator[Page]:
    # No pings: the thread that sends them draws from `random`, which others have seeded to see the same thing twice.
    with connect(url, max_size=None, proxy=None, ping_interval=None) as connection:
        yield Page(connection)


@contextmanager
def browser(program: str) -> Iterator[Page]:
    """A browser with one tab."""
    with tempfile.TemporaryDirectory(prefix="tomada-chromium-", ignore_cleanup_errors=True) as profile:
        command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                port, path = _told(Path(profile), process)
                with debugger(f"ws://127.0.0.1:{port}{path}") as whole:
                    targets = whole.command("Target.getTargets")["targetInfos"]
                tab = next(target["targetId"] for target in targets if target["type"] == "page")
                with debugger(f"ws://127.0.0.1:{port}/devtools/page/{tab}") as page:
                    yield page
            finally:
                process.terminate()
                process.wait()


def _told(profile: Path, process: subprocess.Popen[bytes]) -> list[str]:
    """Port and path of its debugger, which it writes when it is up."""
    give_up = time.monotonic() + PATIENCE
    file = profile / "DevToolsActivePort"
    while not (file.exists() and len(lines := file.read_text().splitlines()) > 1):
        assert process.poll() is None, "the browser ended"
        assert time.monotonic() < give_up, "the browser does not come up"
        time.sleep(0.02)
    return lines


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serves the files of a folder; its origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
