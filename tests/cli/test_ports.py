import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import Result

from tests.cli.conftest import SHOP
from tomada.cli.output import UsageError
from tomada.cli.ports.rows import Survey
from tomada.cli.ports.survey import Wanted, survey
from tomada.cli.ports.table import WIDE, drawn, drawn_for
from tomada.transports.system import psutil_table, socket_table

Tomada = Callable[..., Result]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the tables are Linux's")


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, short_path: Path) -> None:
    """No supervisor of somebody else's is asked."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=7) as listening:
        yield listening


def port_of(held: socket.socket) -> int:
    return int(held.getsockname()[1])


def listed(tomada: Tomada, *words: str) -> list[Any]:
    result = tomada("ports", *words, "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def listening(tomada: Tomada, word: str, pid: int = os.getpid()) -> Any:
    """The row of this process; others may have the same port for UDP, or on another address."""
    rows = [row for row in listed(tomada, word) if row["what"] == "listening"]
    (row,) = (row for row in rows if pid in [process["pid"] for process in row["processes"]])
    return row


def shown(found: Survey, width: int = 200, rows: int | None = None) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(drawn(found, width, rows))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def test_who_listens_on_a_port(tomada: Tomada, server: socket.socket) -> None:
    row = listening(tomada, str(port_of(server)))
    assert (row["protocol"], row["address"]) == ("tcp", f"127.0.0.1:{port_of(server)}")
    assert (row["host"], row["port"], row["reach"], row["sockets"]) == ("127.0.0.1", port_of(server), "machine", 1)
    assert row["class"] in {"registered", "dynamic"}
    assert (row["connections"], row["tomada"]) == ({}, None)
    (process,) = row["processes"]
    assert (process["pid"], process["user"]) == (os.getpid(), socket_table.user_name(os.getuid()))


def test_connections_and_those_that_nobody_has_accepted_are_counted(tomada: Tomada, server: socket.socket) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(server.getsockname())) for _ in range(3)]
        accepted = stack.enter_context(server.accept()[0])
        row = listening(tomada, str(port_of(server)))
        assert row["connections"] == {"established": 3}
        assert row["waiting"] == 2
        assert row["limit"] in {7, None}  # None where the system does not tell
        clients[0].sendall(b"unread")
        rows = [row for row in listed(tomada, str(port_of(server)), "--all") if row["what"] == "connected"]
        assert len(rows) == 6, "both ends are on this machine"
        (end,) = (row for row in rows if row["peer"] == "{}:{}".format(*clients[0].getsockname()))
        assert (end["address"], end["state"], end["unread"]) == (row["address"], "established", 6)
        assert end["processes"][0]["pid"] == os.getpid()
        text = shown(survey(Wanted((str(port_of(server)),), connections=True)))
        assert "3 established" in text
        assert "connected from" in text
        assert accepted.fileno() > 0


def test_ipv6_for_all_interfaces_is_reached_from_the_network(tomada: Tomada) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as held:
        with socket.create_connection(("127.0.0.1", port_of(held))):
            row = listening(tomada, str(port_of(held)))
        assert (row["protocol"], row["address"], row["reach"]) == ("tcp6", f"[::]:{port_of(held)}", "network")
        assert row["connections"] == {"established": 1}, "an IPv4 caller is in the table of IPv6"


def test_datagrams(tomada: Tomada) -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as held,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six,
        socket.socket(type=socket.SOCK_DGRAM) as sender,
    ):
        held.bind(("127.0.0.1", 0))
        six.bind(("::1", 0))
        sender.sendto(b"x" * 100, held.getsockname())
        row = listening(tomada, str(port_of(held)))
        assert (row["protocol"], row["limit"], row["processes"][0]["pid"]) == ("udp", None, os.getpid())
        assert row["waiting"] > 0, "bytes that nobody has read"
        assert listening(tomada, str(port_of(six)))["protocol"] == "udp6"


def test_unix_sockets_are_shown_where_they_are_asked_for(tomada: Tomada, short_path: Path) -> None:
    path = short_path / "my app.sock"
    with socket.socket(socket.AF_UNIX) as held, socket.socket(socket.AF_UNIX) as client:
        held.bind(str(path))
        held.listen(3)
        client.connect(str(path))
        assert str(path) not in [row["address"] for row in listed(tomada)]
        assert "Unix sockets: --unix shows them" in tomada("ports").stdout
        (row,) = (row for row in listed(tomada, "--unix") if row["address"] == str(path))
        assert (row["protocol"], row["port"], row["class"], row["reach"]) == ("unix", None, None, "machine")
        assert row["connections"] == {"waiting": 1}
        with held.accept()[0]:
            row = listening(tomada, "my app.sock")
            assert row["connections"] == {"connected": 1}
            everything = listed(tomada, "my app.sock", "--all")
            assert [row["what"] for row in everything] == ["listening", "connected"]


def test_what_fits_is_chosen_by_ports_ranges_and_texts(tomada: Tomada, server: socket.socket) -> None:
    port = port_of(server)
    address = f"127.0.0.1:{port}"
    rows = listed(tomada, f"{port}-{port}")
    assert address in [row["address"] for row in rows]
    assert {row["port"] for row in rows} == {port}
    assert address in [row["address"] for row in listed(tomada, f"{port - 1}-{port + 1}", str(os.getpid()))]
    assert listed(tomada, str(port), "no such process") == []
    assert "nobody listens there" in tomada("ports", str(port), "no such process").stdout
    assert address in [row["address"] for row in listed(tomada, address)]


def test_sockets_that_share_a_port_are_one_row(tomada: Tomada) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(socket.create_server(("127.0.0.1", 0), reuse_port=True))
        stack.enter_context(socket.create_server(first.getsockname(), reuse_port=True))
        row = listening(tomada, str(port_of(first)))
        assert row["sockets"] == 2
        assert "tcp x2" in shown(survey(Wanted((str(port_of(first)),))))


@pytest.mark.parametrize("workers", [0, 2])
def test_own_servers_are_marked(tomada: Tomada, short_path: Path, workers: int) -> None:
    command = [sys.executable, "-m", "tomada", "serve", str(SHOP), "--bind", "tcp://127.0.0.1:0", "--json"]
    command += ["--workers", str(workers)] if workers else []
    command += ["--bind", f"unix://{short_path}/shop.sock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        told = next(told for told in map(json.loads, serving.stdout) if told["event"] == "listening")
        port = told["addresses"][0].rpartition(":")[2]
        row = listening(tomada, port, serving.pid)
        text = shown(survey(Wanted((port,))))
        paths = [row["address"] for row in listed(tomada) if row["protocol"] == "unix"]
        serving.terminate()
        assert serving.wait(20) == 0
    assert f"{short_path}/shop.sock" in paths
    assert not [path for path in paths if path.startswith(f"{short_path}/tomada/")], "the supervisor's own"
    app = "shop" if workers else str(SHOP)
    addresses = told["addresses"] if workers else []
    assert row["tomada"] == {"app": app, "pid": serving.pid, "workers": workers, "addresses": addresses}
    assert serving.pid in [process["pid"] for process in row["processes"]]
    assert (f"{serving.pid} tomada shop, 2 workers" if workers else f"{serving.pid} tomada shop.py") in text


def test_a_folder_of_supervisors_that_others_may_enter_is_told(tomada: Tomada, short_path: Path) -> None:
    folder = short_path / "tomada"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    result = tomada("ports", "--json")
    assert result.exit_code == 0
    assert "tomada's own servers were not asked" in " ".join(tomada("ports").stdout.split())


def proc_file_system(root: Path, tcp: str = "", udp: str = "", unix: str = "") -> str:
    (root / "net").mkdir()
    for name, rows in (("tcp", tcp), ("udp", udp), ("unix", unix)):
        (root / "net" / name).write_bytes(f"headings\n{rows}".encode(errors="surrogateescape"))
    return str(root)


def row_of(port: int, state: str, inode: int, peer: str = "00000000:0000") -> str:
    return f" 0: 00000000:{port:04X} {peer} {state} 00000000:00000005 00:00000000 00000000 0 0 {inode} 1\n"


def test_a_made_table_with_odd_rows(tmp_path: Path) -> None:
    tcp = row_of(80, "0A", 4_000_000_001) + "cut off\n" + row_of(80, "06", 0, "0100007F:C001") + row_of(80, "FF", 7)
    unix = (
        "0: 00000002 00000000 00010000 0001 01 4000000002 /run/a\x1b[31m\udcff.sock\n"
        "] a second line of that path\n0: 2 0 zz 0001 01 9 /x\n"
        "0: 00000002 00000000 00000000 0002 01 12 @auto\n0: 00000003 00000000 00000000 0001 03 13\n"
    )
    found = survey(Wanted(connections=True, unix=True), proc_file_system(tmp_path, tcp, unix=unix))
    first, second, abstract = found.listening
    assert (first.port, first.reach, first.class_, first.user, first.processes) == (80, "network", "system", "root", [])
    assert first.connections == {"time-wait": 1, "FF": 1}
    assert (abstract.address, abstract.protocol) == ("@auto", "unixgram")
    assert second.address == "/run/a\x1b[31m�.sock"
    assert (found.nameless_left_out, found.unseen) == (1, 4)
    text = shown(found)
    assert "\x1b" not in text
    assert "/run/a�[31m�.sock" in text
    assert "root's, not visible" in text
    assert "4 of them belong to processes that cannot be seen from here" in text
    assert "1 ends of Unix sockets without a path" in text
    json.dumps(found.listening[2].address).encode()


def test_names_of_processes_are_no_markup_and_move_no_cursor(tmp_path: Path) -> None:
    proc = proc_file_system(tmp_path, row_of(80, "0A", 7))
    (tmp_path / "12/fd").mkdir(parents=True)
    (tmp_path / "12/fd/3").symlink_to("socket:[7]")
    (tmp_path / "12/comm").write_text("[red]\x1b[2J\n")
    (tmp_path / "12/cmdline").write_text(f"[/bold]\0{'x' * 300}\0")
    text = shown(survey(Wanted(), proc))
    assert "12 [red]�[2J" in text
    assert "[/bold] xxx" in text
    assert "x…" in text


def test_a_narrow_terminal_is_enough(tmp_path: Path) -> None:
    rows = "".join(row_of(port, "0A", port) for port in range(2000, 2040))
    found = survey(Wanted(), proc_file_system(tmp_path, rows))
    narrow = shown(found, 80, rows=10)
    assert all(len(line) <= 80 for line in narrow.splitlines())
    assert "and 30 more rows" in narrow
    assert "service" not in narrow
    assert "service" in shown(found, WIDE)


def test_a_full_queue_is_told(server: socket.socket) -> None:
    found = survey(Wanted((str(port_of(server)),)))
    (row,) = found.listening
    row.waiting, row.limit = 8, 7
    assert "8/7" in shown(found)


def test_without_tables_psutil_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: socket.socket) -> None:
    pytest.importorskip("psutil")
    found = survey(Wanted((str(port_of(server)),)), proc=str(tmp_path))
    (row,) = found.listening
    assert (row.address, row.processes[0].pid) == (f"127.0.0.1:{port_of(server)}", os.getpid())
    monkeypatch.setattr(psutil_table, "is_installed", lambda: False)
    with pytest.raises(UsageError, match=r"pip install 'tomada\[dev\]'"):
        survey(Wanted(), proc=str(tmp_path))


@pytest.mark.parametrize(("width", "height"), [(160, 50), (80, 24), (40, 16)])
def test_what_has_no_room_on_a_screen_that_does_not_scroll_is_counted(width: int, height: int) -> None:
    with ExitStack() as stack:
        for _ in range(height):
            stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        found = survey(Wanted())
    found.listening = [row for row in found.listening if os.getpid() in [process.pid for process in row.processes]]
    console = Console(width=width, height=height, highlight=False)

    lines = ["".join(part.text for part in line) for line in console.render_lines(drawn_for(console, found), pad=False)]

    assert height // 2 < len(lines) <= height
    assert [line for line in lines if str(os.getpid()) in line], "who has it is always there"
    assert "more rows: make the window" in " ".join(line.strip() for line in lines)


def test_watching_needs_a_terminal(tomada: Tomada) -> None:
    result = tomada("ports", "--watch")
    assert result.exit_code == 2
    assert "draws on a terminal" in result.stderr


def test_watching_draws_until_it_is_interrupted(server: socket.socket) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    command = [sys.executable, "-m", "tomada", "ports", "--watch", str(port_of(server))]
    with closing(os.fdopen(ours, "rb", buffering=0)) as screen:
        watching = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        seen = b""
        while f"127.0.0.1:{port_of(server)}".encode() not in seen:
            seen += screen.read(4096)
        watching.send_signal(2)
        while b"\x1b[?1049l" not in seen:  # the screen is as it was before
            seen += screen.read(4096)
        assert watching.wait(20) == 130


def test_help_has_examples(tomada: Tomada) -> None:
    assert "tomada ports 4477 --all" in tomada("ports", "--help").stdout
