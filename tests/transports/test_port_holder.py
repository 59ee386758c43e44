from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tomada.transports.system.port_holder import PortHolder, port_holder

linux = pytest.mark.skipif(sys.platform != "linux", reason="the ports' holders are read from Linux's /proc")

HOLD = """
import socket, sys
with socket.create_server((sys.argv[1], 0), family=getattr(socket, sys.argv[2])) as server:
    print(server.getsockname()[1], flush=True)
    sys.stdin.read()
"""


@linux
@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", "AF_INET"), ("::1", "AF_INET6")])
def test_another_process_is_found_with_its_name(host: str, family: str) -> None:
    command = [sys.executable, "-c", HOLD, host, family]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        holder = port_holder(int(child.stdout.readline()))
        name = Path(f"/proc/{child.pid}/comm").read_text().strip()
        child.stdin.close()
    assert holder == PortHolder(child.pid, name)
    assert str(holder) == f"process {child.pid} ({name})"


@linux
def test_a_listener_is_named_before_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0]:
            holder = port_holder(port)
            own = port_holder(client.getsockname()[1])
    assert holder is not None
    assert own is not None
    assert (holder.pid, own.pid) == (os.getpid(), os.getpid())


@linux
def test_nobody_holds_a_free_port() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))  # bound without listening: held, but in no table
        assert port_holder(server.getsockname()[1]) is None


def test_without_proc_nobody_is_known(tmp_path: Path) -> None:
    assert port_holder(4477, proc=str(tmp_path)) is None


def proc_file_system(root: Path, *rows: str) -> str:
    (root / "net").mkdir()
    (root / "net/tcp").write_text("\n".join(["  sl  local_address rem_address   st ...", *rows]) + "\n")
    return str(root)


def row(port: int, state: str, inode: int) -> str:
    return f" 0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1"


def test_a_socket_in_time_wait_belongs_to_nobody(tmp_path: Path) -> None:
    proc = proc_file_system(tmp_path, row(4477, "06", 0))
    assert port_holder(4477, proc) is None


def test_processes_that_cannot_be_looked_into_are_passed_over(tmp_path: Path) -> None:
    proc = proc_file_system(tmp_path, row(4477, "01", 6), row(80, "0A", 8), row(4477, "0A", 7))
    (tmp_path / "10").mkdir()  # no fd: gone, or another user's
    (tmp_path / "11/fd").mkdir(parents=True)
    (tmp_path / "11/fd/0").write_text("no link: closed since it was listed")
    (tmp_path / "12/fd").mkdir(parents=True)
    (tmp_path / "12/fd/3").symlink_to("socket:[6]")
    (tmp_path / "13/fd").mkdir(parents=True)
    (tmp_path / "13/fd/3").symlink_to("socket:[7]")
    assert port_holder(4477, proc) == PortHolder(13, "unknown")
    (tmp_path / "13/fd/3").unlink()
    (tmp_path / "12/comm").write_text("bank\n")
    assert port_holder(4477, proc) == PortHolder(12, "bank")
