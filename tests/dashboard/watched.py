"""`tomada serve --dashboard` in processes of its own, as viewers and web clients see it."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tomada.sync
from tests.server.workers.supervised import HERE, PATIENCE, Supervised, farm
from tomada.feed.messages import Picture, Watch


class Place(NamedTuple):
    """Where a dashboard is."""

    host: str
    port: int
    token: str

    @property
    def feed(self) -> str:
        return f"ws://{self.host}:{self.port}/feed"

    @property
    def acting(self) -> str:
        return f"{self.feed}/{self.token}"

    @property
    def app(self) -> str:
        return f"ws://{self.host}:{self.port}/app"

    def ask(self, path: str = "/access", **headers: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of the answer to a GET."""
        url = f"http://{self.host}:{self.port}{path}"
        request = urllib.request.Request(url, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - as above
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read().decode()

    def may(self, **headers: str) -> dict[str, Any]:
        """What the dashboard says that one may."""
        status, _, body = self.ask(**headers)
        assert status == 200, body
        return dict(json.loads(body))

    def upgrade(self, path: str = "/feed", **headers: str) -> str:
        """The first line of the answer to the request of a WebSocket."""
        sent = {
            "Host": f"{self.host}:{self.port}",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol": "tomada.1",
            **headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        with socket.create_connection((self.host, self.port), PATIENCE) as caller:
            caller.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
            return caller.makefile("rb").readline().decode().strip()


def serving(place: Path, *words: str, command: str = "serve", **values: object) -> Supervised:
    """The farm, with a dashboard."""
    given = (str(farm(place, **values)), "--bind", HERE, *words)
    if not any(word.startswith("--dashboard") for word in words):
        given += ("--dashboard", "127.0.0.1:0", "--dashboard-token", "new")
    return Supervised(place, *given, command=command)


def place_of(told: dict[str, Any]) -> Place:
    """Where the dashboard is of which a server has told."""
    url, _, fragment = str(told["dashboard"]).partition("/#token=")
    host, _, port = url.removeprefix("http://").rpartition(":")
    return Place(host, int(port), fragment)


def seen(feed: str, condition: Callable[[Picture], object], **question: Any) -> Picture:
    """The first picture that is as it is waited for."""
    deadline = time.monotonic() + PATIENCE
    last = None
    while time.monotonic() < deadline:
        try:
            with tomada.sync.connect(feed, wait=PATIENCE, sessions=False) as viewer:
                for last in viewer.stream(Watch(**question)):
                    if condition(last):
                        return last
                    assert time.monotonic() < deadline, f"never seen: {last}"
        except (tomada.ConnectionLost, tomada.HandshakeFailed):
            time.sleep(0.05)  # the dashboard itself has gone, or is not there yet
    raise AssertionError(f"never seen: {last}")
