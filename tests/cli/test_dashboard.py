"""What is said about the dashboard on the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tomada.cli import dashboard
from tomada.cli.dashboard import ready
from tomada.cli.dashboard_options import HOST, Wanted
from tomada.cli.output import UsageError
from tomada.errors import AddressInUse
from tomada.transports.system.resolution import own_hosts

SHOP = Path(__file__).with_name("shop.py")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--dashboard", "0.0.0.0:0"), "reached by other machines, whom the dashboard would tell everything"),
        (("--dashboard", ":4480"), "add --dashboard-remote"),
        (("--dashboard", "example.com:4480"), "add --dashboard-remote"),
        (("--dashboard", "0.0.0.0:0", "--dashboard-remote"), "a dashboard there needs --dashboard-token"),
        (("--dashboard", "udp://127.0.0.1:0"), "is of udp: write a port, as 4480, or 127.0.0.1:4480"),
        (("--dashboard", "99999"), "no address"),
        (("--dashboard-token", "new"), "add --dashboard ADDRESS"),
        (("--dashboard", "0", "--dashboard-token", "short"), "16 to 128 letters, digits, - and _"),
        (("--dashboard", "0", "--dashboard-token", "/no/such/file"), "--dashboard-token cannot be read"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_starts(
    tomada: Callable[..., Result], words: tuple[str, ...], problem: str
) -> None:
    result = tomada("serve", str(SHOP), *words)
    assert result.exit_code == 2
    assert problem in " ".join(result.output.split())


def test_no_dashboard_and_something_about_it_do_not_go_together(tomada: Callable[..., Result]) -> None:
    result = tomada("dev", str(SHOP), "--no-dashboard", "--dashboard", "4480")
    assert result.exit_code == 2
    assert "--no-dashboard leaves nothing to say" in " ".join(result.output.split())


@pytest.fixture
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)


@pytest.mark.usefixtures("_bare")
def test_without_the_extra_it_says_what_to_install(
    tomada: Callable[..., Result], capsys: pytest.CaptureFixture[str]
) -> None:
    result = tomada("serve", str(SHOP), "--dashboard", "4480")
    assert result.exit_code == 2
    assert "pip install 'tomada[dashboard]'" in result.output
    assert ready(Wanted(), develops=True, is_supervised=True) is None
    assert capsys.readouterr().out == "no dashboard: pip install 'tomada[dashboard]'\n"


def test_a_taken_port_is_said_where_it_was_asked_for_and_left_alone_where_it_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    first = ready(Wanted(at="tcp://127.0.0.1:0"), develops=False, is_supervised=False)
    assert first is not None
    with first.keeper:
        port = int(first.url.rstrip("/").rpartition(":")[2])
        with pytest.raises(AddressInUse):
            ready(Wanted(at=f"tcp://127.0.0.1:{port}"), develops=True, is_supervised=False)
        monkeypatch.setattr(dashboard, "PORT", port)
        other = ready(Wanted(), develops=True, is_supervised=False)
        assert other is not None
        with other.keeper:
            assert other.url.startswith("http://127.0.0.1:")
            assert f":{port}/" not in other.url
            assert "#token=" in other.url


def test_a_token_comes_from_the_environment_or_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv(dashboard.TOKEN_VARIABLE, "from-the-environment")
    wanted = Wanted(at="tcp://0.0.0.0:0", is_remote=True)
    found = ready(wanted, develops=False, is_supervised=False)
    assert found is not None
    with found.keeper:
        assert found.url.endswith("/#token=from-the-environment")
        assert found.url.startswith(f"http://{next(iter(own_hosts()), HOST)}:")


def test_where_there_can_be_no_folder_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "missing"))
    with pytest.raises(Exception, match="cannot be made"):
        ready(Wanted(at="tcp://127.0.0.1:0"), develops=False, is_supervised=False)


def test_windows_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomada.cli.dashboard.sys.platform", "win32")
    with pytest.raises(UsageError, match="which Windows has not"):
        ready(Wanted(at="tcp://127.0.0.1:0"), develops=False, is_supervised=False)
