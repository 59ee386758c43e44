"""The command's TLS: real certificates, and those of ``--tls-dev``."""

from __future__ import annotations

import builtins
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.authority import Authority
from tomada.cli import certificates

SHOP = Path(__file__).with_name("shop.py")
Tomada = Callable[..., Result]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's state folder, new."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "tomada"


@contextmanager
def served(*options: str) -> Iterator[tuple[str, list[str]]]:
    """The address, and what it says to people, which is there when it has ended."""
    said: list[str] = []
    command = [sys.executable, "-m", "tomada", "serve", str(SHOP), "--bind", "tls://127.0.0.1:0", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        try:
            yield json.loads(server.stdout.readline())["addresses"][0], said
        finally:
            server.terminate()
            said.append(server.stderr.read())
            assert server.wait(20) == 0


def test_one_option_at_each_end_is_enough_to_develop(tomada: Tomada, state: Path) -> None:
    with served("--tls-dev") as (address, said):
        assert address.startswith("tls://127.0.0.1:")
        done = tomada("types", address, "--tls-dev")
        assert done.exit_code == 0
        assert "--tls-dev" in done.output.splitlines()[-1]
        ask = re.findall(r"tomada ask \S+ (\w+)", done.output)[0]
        assert tomada("types", address, "--tls-authority", str(state / "authority.pem"), "--json").exit_code == 0
        assert tomada("types", address.replace("127.0.0.1", "localhost"), "--tls-dev").exit_code == 0
        refused = tomada("ask", address, ask)
        assert refused.exit_code == 3
        assert "an authority that is not trusted here (tomada development, " in refused.output
    assert said[0].startswith("for development only: the certificate comes from this user's own authority")
    assert f"--tls-authority {state}/authority.pem" in said[0]


def test_only_this_user_reads_the_keys_and_the_authority_stays(state: Path) -> None:
    certificates.development_certificate()
    assert state.stat().st_mode & 0o777 == 0o700
    assert {file.name: file.stat().st_mode & 0o777 for file in state.iterdir()} == {
        "authority-key.pem": 0o600,
        "authority.pem": 0o600,
        "server.pem": 0o600,
    }
    before = (state / "authority.pem").read_bytes()
    certificates.development_certificate()
    assert (state / "authority.pem").read_bytes() == before


def test_a_relative_state_folder_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert certificates.state_folder() == tmp_path / ".local" / "state" / "tomada"


def test_a_damaged_authority_is_told(state: Path, tomada: Tomada) -> None:
    certificates.development_certificate()
    (state / "authority-key.pem").write_bytes(b"gone")
    done = tomada("serve", str(SHOP), "--bind", "tls://127.0.0.1:0", "--tls-dev")
    assert done.exit_code == 2
    assert f"the development authority in {state} cannot be used" in done.output


def test_a_machines_name_that_no_certificate_can_be_for_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, expected in (("box", ["box"]), ("", []), ("é", []), ("x" * 64, [])):
        monkeypatch.setattr("socket.gethostname", lambda name=name: name)
        assert certificates._hostname() == expected


def test_without_trustme_the_extra_is_named(state: Path, tomada: Tomada, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "trustme":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    done = tomada("serve", str(SHOP), "--bind", "tls://127.0.0.1:0", "--tls-dev")
    assert done.exit_code == 2
    assert "pip install 'tomada[tls]'" in done.output
    assert not state.exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("types", "tls://127.0.0.1:1", "--tls-dev"), "there is no development authority yet at "),
        (
            ("types", "tls://127.0.0.1:1", "--tls-dev", "--tls-authority", "x"),
            "leave out --tls-authority, or --tls-dev",
        ),
        (("types", "tls://127.0.0.1:1", "--tls-key", "x"), "the key x has no certificate: give --tls-certificate FILE"),
        (("serve", str(SHOP), "--tls-dev", "--tls-certificate", "x"), "leave out --tls-certificate, or --tls-dev"),
    ],
)
def test_options_that_make_no_sense(state: Path, tomada: Tomada, words: tuple[str, ...], text: str) -> None:
    done = tomada(*words)
    assert done.exit_code == 2
    assert text in done.output
    assert not state.exists()


def test_a_server_without_a_certificate_is_told_its_options(tomada: Tomada) -> None:
    done = tomada("serve", str(SHOP), "--bind", "tls://127.0.0.1:0")
    assert done.exit_code == 3
    assert "--tls-certificate FILE --tls-key FILE; to develop, --tls-dev makes one" in done.output


def test_mutual_tls_with_files_of_ones_own(tomada: Tomada, authority: Authority) -> None:
    certificate, key = authority.apart("cli", "127.0.0.1")
    theirs = ("--tls-authority", str(authority.file))
    with served("--tls-certificate", str(certificate), "--tls-key", str(key), *theirs) as (address, _):
        mine = ("--tls-certificate", authority.teller().certificate)
        assert tomada("types", address, *theirs, *mine).exit_code == 0
        sent = tomada("send", address, "Nothing", *theirs, *mine)
        assert sent.exit_code != 3, "it was reached"
        refused = tomada("types", address, *theirs)
        assert refused.exit_code == 3
        assert "it wants a certificate of this end" in refused.output
