import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.cli.test_ask import refused_port
from tomada.transports.system import ports, resolution, socket_table

Tomada = Callable[..., Result]

linux = pytest.mark.skipif(sys.platform != "linux", reason="who has which socket is read from Linux's /proc")
KEYS = ["address", "scheme", "kind", "encrypted", "ordered", "reliable", "reach", "port", "hosts", "file", "listens"]
KEYS += ["is_here", "sockets", "attempts"]


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with an address for others and one registered service."""

    def known(port: int, protocol: str) -> str | None:
        return "https" if (port, protocol) == (443, "tcp") else None

    monkeypatch.setattr(ports, "service_name", known)
    monkeypatch.setattr(resolution, "own_hosts", lambda: ["192.0.2.7", "2001:db8::7", "fe80::1%eth0"])


@pytest.fixture
def server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield "tcp://{}:{}".format(*listening.getsockname())


def explained(tomada: Tomada, address: str) -> Any:
    result = tomada("address", address, "--json")
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    return json.loads(line)


def shown(tomada: Tomada, address: str) -> dict[str, str]:
    """The rows by their labels; of several with one label the last."""
    result = tomada("address", address)
    assert result.exit_code == 0, result.output
    first, *rows = result.stdout.splitlines()
    assert first.strip()
    assert len(rows) < 23, "it fits a screen"
    return {row[:12].strip(): row[12:].strip() for row in rows}


@linux
def test_who_listens_is_named_and_a_connection_is_tried(tomada: Tomada, server: str) -> None:
    known = explained(tomada, server)
    assert list(known) == KEYS
    assert (known["address"], known["kind"], known["reach"], known["listens"]) == (server, "stream", "machine", True)
    assert known["hosts"] == {"listen": ["127.0.0.1"], "connect": ["127.0.0.1"], "elsewhere": [], "error": None}
    (bound,) = known["sockets"]
    (process,) = bound["processes"]
    assert bound["address"] == server
    assert (process["pid"], process["user"]) == (os.getpid(), socket_table.user_name(os.getuid()))
    assert process["command"] == " ".join(Path("/proc/self/cmdline").read_text().split("\0")).strip()
    assert known["attempts"] == [{"address": server, "error": None}]


@linux
def test_what_people_see_of_a_server(tomada: Tomada, server: str) -> None:
    output = tomada("address", server).stdout
    assert f"{server}\n  kind        a stream of bytes, over TCP" in output
    assert "promises    in order, nothing lost while it stands; not encrypted" in output
    assert "elsewhere   out of reach: who listens does so for this machine only" in output
    assert "listens     yes\n" in "\n".join(line.rstrip() for line in output.splitlines())
    assert f"by          {server}, process {os.getpid()} (" in output
    assert f"tried       {server}: connected and closed" in output


@linux
def test_nobody_listens(tomada: Tomada) -> None:
    address = refused_port()
    known = explained(tomada, address)
    assert known["listens"] is False
    assert known["sockets"] == []
    assert "nothing listens there; start the server" in known["attempts"][0]["error"]
    rows = shown(tomada, address)
    assert rows["listens"] == "no"
    assert rows["tried"] == f"{address}: nothing listens there"


@linux
def test_an_empty_host_is_explained_for_both_sides(tomada: Tomada) -> None:
    port = refused_port().rpartition(":")[2]
    known = explained(tomada, f":{port}")
    assert known["hosts"]["listen"] == ["0.0.0.0", "::"]  # noqa: S104 - what is listened on
    assert set(known["hosts"]["connect"]) <= {"127.0.0.1", "::1"}
    assert known["hosts"]["elsewhere"] == [f"tcp://192.0.2.7:{port}", f"tcp://[2001:db8::7]:{port}"]
    assert known["reach"] == "network"
    rows = shown(tomada, f":{port}")
    assert rows["to listen"] == "0.0.0.0, :: (no host: all interfaces)"
    assert rows["to connect"].endswith("(no host: localhost)")
    assert rows["elsewhere"].endswith("(unless a firewall stands between)")


@linux
def test_who_listens_on_all_interfaces_is_reached_from_elsewhere(tomada: Tomada) -> None:
    with socket.create_server(("", 0)) as listening:
        port = listening.getsockname()[1]
        known = explained(tomada, f":{port}")
        assert known["sockets"][0]["address"] == f"tcp://0.0.0.0:{port}"
        assert known["hosts"]["elsewhere"] == [f"tcp://192.0.2.7:{port}"]
        assert explained(tomada, f"tcp://127.0.0.1:{port}")["listens"]


def test_the_class_of_the_port_its_service_and_the_privilege(tomada: Tomada, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "first_free_for_all", lambda: 1024)
    monkeypatch.setattr(ports, "has_privilege", lambda: False)
    known = explained(tomada, "tls://127.0.0.1:443")
    expected = {"class": "system", "service": "https", "needs_privilege": True, "has_privilege": False}
    assert (known["port"], known["encrypted"]) == (expected, True)
    ending = "listening takes root or CAP_NET_BIND_SERVICE, which this process has not"
    assert shown(tomada, "tls://127.0.0.1:443")["port"] == f"system (0-1023); https; {ending}"
    assert shown(tomada, "tcp://127.0.0.1:1024")["port"] == "registered (1024-49151); no service known here"
    assert shown(tomada, "tcp://127.0.0.1:65535")["port"].startswith("dynamic (49152-65535)")


@linux
def test_a_datagram_socket_is_found_without_sending_to_it(tomada: Tomada) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        address = "udp://{}:{}".format(*receiver.getsockname())
        known = explained(tomada, address)
        assert (known["kind"], known["ordered"], known["reliable"]) == ("datagrams", False, False)
        assert (known["listens"], known["attempts"]) == (True, [])
        assert known["sockets"][0]["processes"][0]["pid"] == os.getpid()
        receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            receiver.recv(1)
    assert shown(tomada, address)["listens"] == "no"


@linux
@pytest.mark.parametrize(("scheme", "kind"), [("unix", socket.SOCK_STREAM), ("unixgram", socket.SOCK_DGRAM)])
def test_a_socket_file_is_shown_with_who_has_it(
    tomada: Tomada, short_path: Path, scheme: str, kind: socket.SocketKind
) -> None:
    path = short_path / "app.sock"
    address = f"{scheme}://{path}"
    assert shown(tomada, address)["file"].startswith("there is none, or this user may not see it")
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(str(path))
        path.chmod(0o600)
        if kind is socket.SOCK_STREAM:
            server.listen()
        known = explained(tomada, address)
        assert (known["listens"], known["reach"], known["ordered"]) == (True, "machine", True)
        assert known["file"]["mode"] == "srw-------"
        assert known["sockets"][0]["processes"][0]["pid"] == os.getpid()
        assert len(known["attempts"]) == (scheme == "unix")
        user = socket_table.user_name(os.getuid())
        assert shown(tomada, address)["file"].startswith(f"a socket, srw------- {user} ")
    assert explained(tomada, address)["listens"] is False
    path.unlink()
    path.write_text("no socket")
    assert shown(tomada, address)["file"].startswith("no socket, -rw")


def test_memory_and_other_machines_cannot_be_seen(tomada: Tomada) -> None:
    known = explained(tomada, "memory://bank")
    assert (known["reach"], known["listens"], known["hosts"]) == ("process", None, None)
    assert shown(tomada, "memory://bank")["listens"] == "cannot be told: only the process that has the name knows"
    rows = shown(tomada, "udp://192.0.2.99:53")
    assert rows["to listen"] == "not here: this machine has no such address"
    assert rows["listens"] == "cannot be told: it is another machine"


def test_port_0_asks_for_one(tomada: Tomada) -> None:
    known = explained(tomada, ":0")
    assert (known["port"], known["listens"], known["hosts"]["elsewhere"]) == (None, None, [])
    assert shown(tomada, ":0")["listens"] == "cannot be told: port 0 asks the system for a free port"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (socket.gaierror(-2, "unknown"), "the name far.example is not known"),
        (TimeoutError(), "no answer to the look-up of far.example within 5 s"),
    ],
)
def test_a_name_that_cannot_be_looked_up_is_told(
    tomada: Tomada, monkeypatch: pytest.MonkeyPatch, error: OSError, text: str
) -> None:
    async def hosts(*_: object, **__: object) -> list[str]:
        raise error

    monkeypatch.setattr(resolution, "hosts", hosts)
    known = explained(tomada, "tcp://far.example:80")
    assert (known["hosts"]["error"], known["listens"], known["attempts"]) == (text, None, [])
    rows = shown(tomada, "tcp://far.example:80")
    assert (rows["host"], rows["listens"]) == (text, "cannot be told: the host is not known")


def test_of_websockets_only_the_connection_is_tried(tomada: Tomada, server: str) -> None:
    address = server.replace("tcp:", "ws:") + "/chat"
    assert shown(tomada, address)["tried"] == f"{address}: connected by TCP, without a handshake, and closed"


def test_without_tables_a_connection_tells(
    tomada: Tomada, server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("inet_sockets", "is_readable"):
        monkeypatch.setattr(socket_table, name, partial(getattr(socket_table, name), proc=str(tmp_path)))
    assert shown(tomada, server)["listens"] == "yes, but who it is cannot be seen from here"
    assert shown(tomada, refused_port())["listens"] == "no"
    assert shown(tomada, "udp://127.0.0.1:9")["listens"].startswith("cannot be told: this system does not say")


ANOTHER_USER = """
import asyncio, os, sys
import rich.console, rich.table, rich.text
from tomada.address import Address
from tomada.cli import address, explanation
parsed = Address.parse(sys.argv[1])
asyncio.run(explanation.explain(parsed))  # what it imports lies where others may not read
os.setuid(65534)
address._print(asyncio.run(explanation.explain(parsed)))
"""


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="needs a right to give up")
def test_another_users_process_is_there_and_cannot_be_seen(server: str) -> None:
    output = subprocess.run(
        [sys.executable, "-c", ANOTHER_USER, server], check=True, capture_output=True, text=True
    ).stdout
    words = " ".join(output.split())
    assert f"by {server}, a socket of the user root: the process cannot be seen by this user" in words
    assert "listens yes" in words


def test_a_wrong_address_is_marked(tomada: Tomada) -> None:
    result = tomada("address", "tpc://localhost:80")
    assert result.exit_code == 2
    assert "^^^" in result.stderr
    assert "tcp://localhost:4477" in result.stderr
    result = tomada("address", "tcp://x", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"] == "AddressError"


def test_help_has_examples(tomada: Tomada) -> None:
    text = tomada("address", "--help").stdout
    assert "tomada address unix:///tmp/bank.sock" in text
    assert "sends nothing" in text
