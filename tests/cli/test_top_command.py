import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import Result

from tests.cli.test_ask import refused_port
from tomada.cli.output import UsageError
from tomada.cli.top import command, words
from tomada.cli.top.place import feed_place
from tomada.errors import AddressError
from tomada.feed.messages import Watch

Tomada = Callable[..., Result]

FEED = Path(__file__).with_name("top_feed.py")
ROOT = FEED.parents[2]
TOKEN = "abcdefgh-1234_5678"  # noqa: S105 - of no server


@pytest.fixture(scope="module")
def feed() -> Iterator[str]:
    """The address of a feed, of a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, str(FEED), "ws://127.0.0.1:0/feed", "3"], stdout=subprocess.PIPE, text=True, env=environment
    ) as serving:
        assert serving.stdout is not None
        yield serving.stdout.readline().strip()
        serving.terminate()


def test_a_line_for_each_picture(tomada: Tomada, feed: str) -> None:
    result = tomada("top", feed, "--json", "--count", "2", "--sort", "age", "--descending", "--rows", "2")
    assert result.exit_code == 0, result.output
    first, second = map(json.loads, result.stdout.splitlines())
    assert first["app"] == second["app"] == "bank"
    assert [row["peer"] for row in first["connections"]] == ["tcp://10.0.0.3:50003", "tcp://10.0.0.2:50002"]
    assert (first["matching"], first["totals"]["turned_away"]) == (3, {"limit": 2})
    assert second["seconds"] > first["seconds"]


def test_the_server_goes_while_it_is_watched() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(FEED), "ws://127.0.0.1:0/feed", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as serving:
        assert serving.stdout is not None
        words = [sys.executable, "-m", "tomada", "top", serving.stdout.readline().strip(), "--json"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            assert json.loads(watching.stdout.readline())["app"] == "bank"
            serving.kill()
            *_, last = watching.stdout
            assert json.loads(last)["error"] == "ConnectionLost"
            assert watching.wait(20) == 3


def test_without_a_terminal_tables_are_printed_once(tomada: Tomada, feed: str) -> None:
    host = feed.removeprefix("ws://").removesuffix("/feed")
    result = tomada("top", host, "--rows", "1", "--filter", "10.0.0")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("bank  tcp://127.0.0.1:4477  unix:///tmp/bank.sock  up ")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert "connections, 1 of 3" in result.stdout
    assert [line for line in lines if line[:1] == ["10.0.0.1:50001"]]
    assert ["Balance", "0.4", "-", "-", "99", "0"] in lines
    assert [line for line in lines if line[:3] == ["1", "4711", "serving"]]
    assert [line for line in lines if line[:3] == ["message_bytes", "16", "MiB"]]
    assert "bank listens on tcp://127.0.0.1:4477" in result.stdout


def test_another_server_is_no_dashboard(tomada: Tomada, shop: str) -> None:
    result = tomada("top", shop)
    assert result.exit_code == 2
    assert "is no dashboard, but another server of tomada; give the address of its dashboard" in result.stderr
    result = tomada("top", shop, "--json")
    assert json.loads(result.stdout)["error"] == "UsageError"


def test_nobody_is_there(tomada: Tomada) -> None:
    result = tomada("top", refused_port().removeprefix("tcp://"))
    assert result.exit_code == 3
    assert "/feed: nothing listens there" in result.stderr
    result = tomada("top", refused_port().removeprefix("tcp://"), "--token", TOKEN, "--json")
    assert "/feed: nothing listens there" in result.stdout
    assert TOKEN not in result.stdout, "it would stay behind on the screen"


def test_an_unknown_column_is_refused_with_those_there_are(tomada: Tomada) -> None:
    result = tomada("top", ":4480", "--sort", "colour")
    assert result.exit_code == 2
    assert "there is no column 'colour' to sort by: take one of peer, kind, state, age" in result.stderr


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:4480", "ws://127.0.0.1:4480/feed"),
        (":4480", "ws://:4480/feed"),
        ("[::1]:4480", "ws://[::1]:4480/feed"),
        ("http://127.0.0.1:4480", "ws://127.0.0.1:4480/feed"),
        ("http://127.0.0.1:4480/", "ws://127.0.0.1:4480/feed"),
        ("https://bank.example/dashboard", "wss://bank.example:443/dashboard"),
        ("ws://127.0.0.1:4480", "ws://127.0.0.1:4480/feed"),
        ("unix:///run/user/0/12.feed", "unix:///run/user/0/12.feed"),
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1"),
    ],
)
def test_where_the_feed_is(text: str, address: str) -> None:
    assert str(feed_place(text).address) == feed_place(text).shown == address


def test_the_token_is_part_of_the_path_and_not_shown() -> None:
    place = feed_place("127.0.0.1:4480", TOKEN)
    assert (str(place.address), place.shown) == (f"ws://127.0.0.1:4480/feed/{TOKEN}", "ws://127.0.0.1:4480/feed")
    assert feed_place(f"http://127.0.0.1:4480/#token={TOKEN}") == place
    assert feed_place(f"http://127.0.0.1:4480/#token={TOKEN}", "x" * 16) == place, "what stands in the URL goes before"
    assert feed_place("http://127.0.0.1:4480/#", TOKEN) == place


@pytest.mark.parametrize(
    ("text", "token", "error", "words"),
    [
        ("127.0.0.1:4480", "short", UsageError, "16 to 128 letters"),
        ("127.0.0.1:4480", f"{TOKEN}/../x", UsageError, "the token cannot be one"),
        ("unix:///run/x.feed", TOKEN, UsageError, "unix:///run/x.feed needs no token"),
        ("ftp://x", "", AddressError, "the scheme must be one of"),
        ("", "", AddressError, "it is empty"),
    ],
)
def test_what_cannot_be(text: str, token: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        feed_place(text, token)


def test_the_token_comes_from_the_environment_too(tomada: Tomada, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOMADA_TOKEN", "short")
    assert "the token cannot be one" in tomada("top", ":4480").stderr


def test_without_textual_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual", None)
    with pytest.raises(UsageError, match=r"pip install 'tomada\[top\]'"):
        command._draw(feed_place(":4480"), None, Watch(), 0)


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGINT])
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo terminals")
def test_the_terminal_is_left_as_it_was(feed: str, number: int | None) -> None:
    import pty  # noqa: PLC0415 - not on every system

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    with closing(os.fdopen(ours, "r+b", buffering=0)) as screen:
        words = [sys.executable, "-m", "tomada", "top", feed]
        watching = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        seen = b""
        while b"50003" not in seen:
            seen += screen.read(65_536)
        assert b"\x1b[?1049h" in seen
        if number is None:
            screen.write(b"q")
        else:
            watching.send_signal(number)
        while b"\x1b[?1049l" not in seen:
            seen += screen.read(65_536)
        while watching.poll() is None:
            os.set_blocking(ours, False)
            screen.read(65_536)
        os.close(theirs)
        assert watching.returncode == 0


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (words.count(0), "0"),
        (words.count(99_999), "99,999"),
        (words.count(123_456), "123 k"),
        (words.count(4_560_000), "4.6 M"),
        (words.count(999_960), "1.0 M"),
        (words.count(1e30), f"{1e15:,.0f} P"),
        (words.rate(0.04), "0.0"),
        (words.rate(12.34), "12.3"),
        (words.rate(1234.5), "1,234"),
        (words.size(999), "999 B"),
        (words.size(1_023), "1.0 KiB"),
        (words.size(10_240), "10 KiB"),
        (words.size(5 << 30), "5.0 GiB"),
        (words.age(-1), "0 s"),
        (words.age(59.9), "59 s"),
        (words.age(245), "4:05"),
        (words.age(11_045), "3:04:05"),
        (words.age(187_200), "2 d 4 h"),
        (words.duration(None), "-"),
        (words.duration(0.000_085), "85 µs"),
        (words.duration(0.0012), "1.2 ms"),
        (words.duration(3.4), "3.4 s"),
        (words.duration(3_600), "1:00:00"),
        (words.share(0.034), "3.4%"),
        (words.share(0.9), "90%"),
        (words.share(0), "0%"),
    ],
)
def test_numbers_at_a_glance(told: str, text: str) -> None:
    assert told == text


def test_help_has_examples(tomada: Tomada) -> None:
    text = tomada("top", "--help").stdout
    assert "tomada top 127.0.0.1:4480" in text
    assert "TOMADA_TOKEN" in text
