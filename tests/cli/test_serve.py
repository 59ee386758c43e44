import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import Result
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from tomada import connect as connect_to
from tomada.cli.loading import load_app
from tomada.cli.output import UsageError
from tomada.sync import bind

SHOP = Path(__file__).with_name("shop.py")


def start(*words: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tomada", "serve", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    socket_path = tmp_path / "shop.sock"
    with start(str(SHOP), "--bind", "127.0.0.1:0", "--bind", f"unix://{socket_path}", "--json") as server:
        assert server.stdout is not None
        told = json.loads(server.stdout.readline())
        assert (told["event"], told["app"], len(told["addresses"])) == ("listening", "shop", 2)
        assert socket_path.is_socket()
        server.send_signal(number)
        assert server.wait(20) == 0
    assert not socket_path.exists()


def test_it_says_where_it_listens_and_what_to_try(tmp_path: Path) -> None:
    with start("shop:app", "--bind", f"unix://{tmp_path}/shop.sock", cwd=SHOP.parent) as server:
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(6)]
        server.terminate()
        assert server.wait(20) == 0
    assert "".join(lines) == (
        f"shop listens on\n  unix://{tmp_path}/shop.sock\ntry\n  tomada types unix://{tmp_path}/shop.sock\n"
        f"  tomada ask unix://{tmp_path}/shop.sock Everything\nCtrl-C stops it\n"
    )


def test_it_lets_the_web_pages_in_that_it_is_told() -> None:
    words = ("--bind", "ws://127.0.0.1:0", "--origin", "https://shop.example", "--json")
    with start(str(SHOP), *words) as server:
        assert server.stdout is not None
        (address,) = json.loads(server.stdout.readline())["addresses"]
        origin, offered = Origin("https://shop.example"), [Subprotocol("tomada.1")]
        with connect(address, origin=origin, subprotocols=offered, proxy=None) as page:
            assert page.subprotocol == "tomada.1"
        server.terminate()
        assert server.wait(20) == 0


def test_an_application_of_datagrams_alone_listens_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "echo_app.py").write_text(
        "import tomada\napp = tomada.App('echo')\n@app.datagram('udp://127.0.0.1:0')\n"
        "async def echo(datagram: bytes, peer: tomada.DatagramPeer) -> None:\n    peer.reply(datagram)\n"
    )
    with start("echo_app.py", cwd=tmp_path) as server:
        assert server.stdout is not None
        lines = [server.stdout.readline().strip() for _ in range(3)]
        with bind("udp://127.0.0.1:0", peer=lines[1]) as socket:
            socket.send(b"hello")
            assert socket.receive(timeout=5).data == b"hello"
        server.terminate()
        assert server.wait(20) == 0
    assert (lines[0], lines[2]) == ("echo listens on", "Ctrl-C stops it")
    assert lines[1].startswith("udp://127.0.0.1:")


def test_a_busy_port_names_its_holder(shop: str) -> None:
    with start(str(SHOP), "--bind", shop) as server:
        _, errors = server.communicate(timeout=20)
    assert server.returncode == 3
    assert f"error: cannot listen on {shop}: port " in errors
    assert "is held by process" in errors


def test_an_application_that_cannot_be_imported_shows_its_author_where(tmp_path: Path) -> None:
    (tmp_path / "broken_shop.py").write_text("import no_such_module_at_all\n")
    with start(str(tmp_path / "broken_shop.py")) as server:
        _, errors = server.communicate(timeout=20)
    assert server.returncode == 3
    assert "broken_shop.py" in errors
    assert "No module named 'no_such_module_at_all'" in errors


def test_a_start_function_that_raises_shows_its_author_where(tmp_path: Path) -> None:
    (tmp_path / "late_shop.py").write_text(
        "import tomada\napp = tomada.App()\n@app.on_start\ndef begin():\n    raise RuntimeError('no database')\n"
    )
    with start(str(tmp_path / "late_shop.py"), "--bind", "tcp://127.0.0.1:0") as server:
        _, errors = server.communicate(timeout=20)
    assert server.returncode == 3
    assert "RuntimeError: no database" in errors
    assert errors.rstrip().endswith("late_shop.py could not be started: RuntimeError: no database")


def test_windows_has_no_workers(tomada: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomada.cli.job.sys", SimpleNamespace(platform="win32", stderr=sys.stderr))
    result = tomada("serve", str(SHOP), "--workers", "2")
    assert result.exit_code == 2
    assert "which Windows has not" in result.stderr


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--no-sessions", "--keep", "5"), "--store, --keep and --most-sessions are about sessions"),
        (("--no-sessions", "--store", "sqlite:///tmp/x"), "--store, --keep and --most-sessions are about sessions"),
        (("--keep", "0"), "is no time"),
        (("--isolation", "thread", "--store", "sqlite:///tmp/x"), "isolation is 'thread', and a store is of 'task'"),
        (("--store", "sqlite://here"), "names no file"),
    ],
)
def test_options_of_sessions_that_say_nothing_sensible_are_refused(
    tomada: Callable[..., Result], words: tuple[str, ...], problem: str
) -> None:
    result = tomada("serve", str(SHOP), "--bind", "tcp://127.0.0.1:0", *words)
    assert result.exit_code == 2
    assert problem in " ".join(result.stderr.replace("│", " ").split())


async def _kept_for(address: str) -> float:
    async with connect_to(address) as client:
        session = client._link.engine.session
        assert session is not None
        return session.seconds


def test_sessions_are_kept_where_and_as_long_as_the_options_say(tmp_path: Path) -> None:
    file = tmp_path / "sessions.db"
    with start(str(SHOP), "--bind", "tcp://127.0.0.1:0", "--store", f"sqlite://{file}", "--keep", "77") as server:
        assert server.stdout is not None
        address = [server.stdout.readline().strip() for _ in range(2)][1]
        assert asyncio.run(_kept_for(address)) == 77
        assert file.exists()
        server.terminate()
        assert server.wait(20) == 0


def test_a_wrong_handler_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "wrong_shop.py").write_text(
        "import tomada\napp = tomada.App()\n@app.on\nasync def sell(message):\n    pass\n"
    )
    with start(str(tmp_path / "wrong_shop.py")) as server:
        _, errors = server.communicate(timeout=20)
    assert server.returncode == 2
    assert errors.startswith("error: sell()")
    assert "Traceback" not in errors


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    return tmp_path


def test_the_only_app_needs_no_name(importable: Path) -> None:
    (importable / "only_app.py").write_text("import tomada\nshop = tomada.App('only')\n")
    assert load_app(str(importable / "only_app.py")).name == "only"


def test_several_apps_need_a_name(importable: Path) -> None:
    (importable / "two_apps.py").write_text("import tomada\na = tomada.App('a')\nb = tomada.App('b')\n")
    with pytest.raises(UsageError, match=r"it has a, b: write .*two_apps.py:a"):
        load_app(str(importable / "two_apps.py"))
    assert load_app(f"{importable / 'two_apps.py'}:b").name == "b"


def test_a_file_without_an_app(importable: Path) -> None:
    (importable / "no_app.py").write_text("")
    with pytest.raises(UsageError, match=r"it has none: write app = tomada.App\(\)"):
        load_app(str(importable / "no_app.py"))


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize(
    ("target", "text"),
    [("nowhere.py", "there is no file nowhere.py"), ("no_such_shop:app", "there is no module no_such_shop; to serve")],
)
def test_what_is_not_there(target: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        load_app(target)


def test_a_module_that_misses_another_is_at_fault_itself(importable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (importable / "missing_shop.py").write_text("import not_there_either\n")
    monkeypatch.syspath_prepend(str(importable))
    with pytest.raises(ModuleNotFoundError, match="not_there_either"):
        load_app("missing_shop")


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_a_store_that_cannot_be_opened_is_told(
    tomada: Callable[..., Result], tmp_path: Path, workers: tuple[str, ...]
) -> None:
    store = f"sqlite://{tmp_path}/nowhere/sessions.db"
    result = tomada("serve", str(SHOP), "--bind", "tcp://127.0.0.1:0", "--store", store, *workers)
    assert result.exit_code == 3
    assert f"there is no directory {tmp_path}/nowhere: create it" in result.stderr
