"""Who gets at the dashboard, from where, and with what token; and the options that say so."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect
from websockets.typing import Subprotocol

import tomada
import tomada.sync
from tests.dashboard.watched import Place, place_of, seen, serving
from tests.server.workers.supervised import Supervised
from tomada.dashboard.access import Access, Rights, TooManyGuesses
from tomada.dashboard.told import Told, is_token
from tomada.dashboard.web import MOST_VIEWERS

TOKEN = "a-token-that-is-long-enough"  # noqa: S105 - of this test


@pytest.fixture(scope="module")
def server() -> Iterator[Supervised]:
    with tempfile.TemporaryDirectory(prefix="tomada-") as name:
        file = Path(name, "token")
        file.write_text(f"{TOKEN}\n")
        words = ("--dashboard", "127.0.0.1:0", "--dashboard-token", str(file))
        with serving(Path(name), *words) as running:
            yield running


@pytest.fixture(scope="module")
def dashboard(server: Supervised) -> Place:
    place = place_of(server.said("listening"))
    assert place.token == TOKEN
    seen(place.feed, lambda picture: picture.workers)
    return place


def test_what_one_may_with_the_token_and_without(dashboard: Place) -> None:
    assert dashboard.may() == {"watch": True, "act": False, "try": True}
    assert dashboard.may(Authorization=f"Bearer {TOKEN}") == {"watch": True, "act": True, "try": True}
    status, headers, body = dashboard.ask(Authorization="Bearer another-token-that-is-long")
    assert (status, "token" in json.loads(body)["error"]) == (403, True)
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/feed/another-token-that-is-long", "/app/another-token-that-is-long"])
def test_a_wrong_token_is_refused_and_named(dashboard: Place, path: str) -> None:
    assert dashboard.upgrade(path) == "HTTP/1.1 403 Forbidden"
    with pytest.raises(tomada.HandshakeFailed, match=r"403 Forbidden.*token"):
        tomada.sync.connect(f"ws://{dashboard.host}:{dashboard.port}{path}")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", "200"),
        ("LOCALHOST:1", "200"),
        ("127.0.0.1", "200"),
        ("127.8.8.8:80", "200"),
        ("[::1]:4480", "200"),
        ("evil.example", "421"),
        ("localhost.evil.example", "421"),
        ("127.0.0.1.evil.example", "421"),
        ("192.0.2.1", "421"),
        ("[2001:db8::1]:4480", "421"),
        ("[::1", "421"),
        ("", "421"),
        ("a@localhost", "421"),
        ("127.0.0.1:80; script-src *", "421"),
    ],
)
def test_only_this_machines_names_are_answered(dashboard: Place, host: str, status: str) -> None:
    with socket.create_connection((dashboard.host, dashboard.port)) as caller:
        caller.sendall(f"GET /access HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert caller.makefile("rb").readline().decode().split()[1] == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://HERE", "101"),
        ("https://HERE", "101"),
        ("http://evil.example", "403"),
        ("http://127.0.0.1:1", "403"),
        ("http://localhost", "403"),
        ("null", "403"),
        ("", "403"),
    ],
)
@pytest.mark.parametrize("path", ["/feed", f"/feed/{TOKEN}", "/app"])
def test_only_its_own_pages_open_websockets(dashboard: Place, path: str, origin: str, status: str) -> None:
    origin = origin.replace("HERE", f"{dashboard.host}:{dashboard.port}")
    assert dashboard.upgrade(path, Origin=origin).split()[1] == status


def test_a_websocket_of_another_name_is_refused_whatever_its_origin(dashboard: Place) -> None:
    line = dashboard.upgrade("/feed", Host="evil.example", Origin="http://evil.example")
    assert line.startswith("HTTP/1.1 421 ")


def test_what_browsers_are_told(dashboard: Place) -> None:
    status, headers, text = dashboard.ask("/tomada/tomada.js")
    assert (status, "export" in text) == (200, True)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-cache"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert f"ws://{dashboard.host}:{dashboard.port}" in policy
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path", ["/../told.py", "/%2e%2e/told.py", "/tomada/..%2f..%2ferrors.py", "//etc/passwd", "/%00", "/nothing"]
)
def test_no_file_but_the_pages_own_is_given_out(dashboard: Place, path: str) -> None:
    with socket.create_connection((dashboard.host, dashboard.port)) as caller:
        caller.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert caller.makefile("rb").readline().decode().split()[1] in ("400", "404")


def test_text_is_no_message(dashboard: Place) -> None:
    with connect(dashboard.feed, subprotocols=[Subprotocol("tomada.1")], proxy=None) as page:
        page.send("hello")
        with pytest.raises(ConnectionClosedError):
            deque(page, 0)
        assert page.close_code == 1003


def test_there_is_an_end_to_how_many_watch(dashboard: Place) -> None:
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    request = f"GET /feed HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}\r\n"
    viewers = []
    try:
        answers = []
        for _ in range(MOST_VIEWERS + 1):
            viewer = socket.create_connection((dashboard.host, dashboard.port))
            viewers.append(viewer)
            viewer.sendall(request.encode())
            viewer.settimeout(20)
            answers.append(viewer.makefile("rb").readline().decode().split()[1])
        assert set(answers[:-1]) == {"101"}
        assert answers[-1] == "503"
    finally:
        for viewer in viewers:
            viewer.close()


def test_who_guesses_tokens_takes_no_viewers_place(dashboard: Place) -> None:
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    request = f"GET /feed/wrong HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}\r\n"
    with ExitStack() as guessing:
        for number in range(MOST_VIEWERS + 16):
            source = (f"127.0.1.{number // 16 + 1}", 0)  # so many of one host wait for their answer
            guess = socket.create_connection((dashboard.host, dashboard.port), source_address=source)
            guessing.enter_context(guess)
            guess.sendall(request.encode())
        assert dashboard.upgrade() == "HTTP/1.1 101 Switching Protocols"


def access(**settings: object) -> Access:
    return Access(Told(folder="/nowhere", token=TOKEN, **settings))  # type: ignore[arg-type] # by name


def test_wrong_guesses_are_answered_one_after_the_other_and_then_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomada.dashboard.access._SECONDS_PER_GUESS", 0.05)

    async def guess() -> None:
        guarded = access()
        began = monotonic()
        assert await asyncio.gather(*(guarded.rights("wrong", "192.0.2.1") for _ in range(3))) == [None] * 3
        assert monotonic() - began >= 0.15
        many = [asyncio.create_task(guarded.rights("wrong", "192.0.2.1")) for _ in range(16)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyGuesses):
            await guarded.rights(TOKEN, "192.0.2.1")  # not even looked at
        assert await guarded.rights(TOKEN, "192.0.2.2") == Rights(watch=True, act=True)
        for one in many:
            one.cancel()
        await asyncio.gather(*many, return_exceptions=True)
        assert await guarded.rights(TOKEN, "192.0.2.1") == Rights(watch=True, act=True)

    asyncio.run(guess())


def test_for_other_machines_the_token_is_needed_for_all() -> None:
    guarded = access(is_remote=True, host="")
    assert asyncio.run(guarded.rights("", "192.0.2.1")) == Rights(watch=False, act=False)
    assert guarded.is_host("192.0.2.1:4480")
    assert guarded.is_host(socket.gethostname())
    assert not guarded.is_host("evil.example")


def test_without_a_token_nobody_may_act() -> None:
    guarded = Access(Told(folder="/nowhere"))
    assert asyncio.run(guarded.rights("", "127.0.0.1")) == Rights(watch=True, act=False)
    assert asyncio.run(guarded.rights("any-token-whatever", "127.0.0.1")) is None


def test_tokens_are_long_and_plain() -> None:
    assert is_token("0123456789abcdef")
    assert not is_token("0123456789abcde")
    assert not is_token("0123456789abcde/")
    assert not is_token("a" * 129)
