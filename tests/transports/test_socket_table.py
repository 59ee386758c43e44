from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tomada.transports.system import socket_table
from tomada.transports.system.socket_table import (
    RECEIVING,
    all_inet_sockets,
    all_unix_sockets,
    inet_sockets,
    processes,
    unix_sockets,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the tables are Linux's")

HOLD = """
import socket, sys
with socket.socket(getattr(socket, sys.argv[1]), getattr(socket, sys.argv[2])) as held:
    held.bind(sys.argv[3] if sys.argv[1] == "AF_UNIX" else (sys.argv[3], 0))
    if sys.argv[2] == "SOCK_STREAM":
        held.listen()
    print(held.getsockname()[1], flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("family", "kind", "host"),
    [
        ("AF_INET", "SOCK_STREAM", "127.0.0.1"),
        ("AF_INET6", "SOCK_STREAM", "::1"),
        ("AF_INET6", "SOCK_STREAM", "::"),
        ("AF_INET", "SOCK_DGRAM", "127.0.0.2"),
        ("AF_INET6", "SOCK_DGRAM", "::1"),
        ("AF_UNIX", "SOCK_STREAM", "unix"),
        ("AF_UNIX", "SOCK_DGRAM", "unixgram"),
    ],
)
def test_another_process_is_found_with_its_command_and_user(folder: Path, family: str, kind: str, host: str) -> None:
    path = f"{folder}/a b.sock"
    where = path if family == "AF_UNIX" else host
    command = [sys.executable, "-c", HOLD, family, kind, where]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        told = child.stdout.readline().strip()
        if family == "AF_UNIX":
            (entry,) = unix_sockets(host, path)
        else:
            protocol = "tcp" if kind == "SOCK_STREAM" else "udp"
            (entry,) = inet_sockets(protocol, int(told), RECEIVING[protocol])
            assert (entry.host, entry.user) == (host, user())
        (holder,) = processes([entry.inode])[entry.inode]
        assert (holder.pid, holder.user) == (child.pid, user())
        assert holder.command.endswith(f"{family} {kind} {where}")
        assert holder.name == Path(f"/proc/{child.pid}/comm").read_text().strip()
        child.stdin.close()


def user() -> str:
    return socket_table.user_name(os.getuid())


def test_all_processes_that_share_a_socket_are_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
        number = server.fileno()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[number]) as child:
            assert child.stdout is not None
            child.stdout.readline()
            (entry,) = inet_sockets("tcp", server.getsockname()[1])
            assert {holder.pid for holder in processes([entry.inode])[entry.inode]} == {os.getpid(), child.pid}
            child.communicate()


def test_the_connections_of_a_unix_listener_are_not_taken_for_it(folder: Path) -> None:
    path = f"{folder}/app.sock"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
        with server.accept()[0]:
            assert len(unix_sockets("unix", path)) == 1
            assert unix_sockets("unixgram", path) == []
            assert unix_sockets("unix", f"{folder}/other") == []


def test_an_ipv4_address_in_a_table_of_ipv6_is_one() -> None:
    with socket.socket(socket.AF_INET6) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::ffff:127.0.0.1", 0))
        server.listen()
        (entry,) = inet_sockets("tcp", server.getsockname()[1])
        assert entry.host == "127.0.0.1"


def test_a_user_without_a_name_has_a_number() -> None:
    assert socket_table.user_name(4_000_000_000) == "4000000000"
    assert socket_table.user_name(0) == "root"


def test_without_tables_nothing_is_known(tmp_path: Path) -> None:
    assert not socket_table.is_readable(str(tmp_path))
    assert socket_table.is_readable()
    assert inet_sockets("tcp", 80, proc=str(tmp_path)) == []
    assert unix_sockets("unix", "/x", proc=str(tmp_path)) == []
    assert processes(["7"], proc=str(tmp_path)) == {"7": []}


def test_every_socket_with_its_queues_and_its_state() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        client.sendall(b"unread")
        port = server.getsockname()[1]
        entries = {entry.peer_port: entry for entry in all_inet_sockets() if entry.port == port}
        listener, connection = entries[0], entries[client.getsockname()[1]]
        assert (listener.receives, listener.state_word, connection.receives) == (True, "listening", False)
        assert (connection.kind, connection.state_word, connection.unread) == ("tcp", "established", 6)
        accepted.close()
        client.close()
        states = {entry.state_word for entry in all_inet_sockets() if port in (entry.port, entry.peer_port)}
        assert states <= {"listening", "time-wait", "closed", "fin-wait-1", "fin-wait-2", "close-wait", "last-ack"}


def test_states_in_words(folder: Path) -> None:
    def word(kind: str, state: str, *, receives: bool = False) -> str:
        return socket_table.Entry("", 0, "", state, "", "", kind, receives).state_word

    assert (word("udp", "07"), word("udp6", "01"), word("tcp6", "08")) == ("receiving", "connected", "close-wait")
    assert (word("unix", "01", receives=True), word("unix", "02"), word("unixgram", "03")) == (
        "listening",
        "waiting",
        "connected",
    )
    assert word("tcp", "7F") == "7F", "one that is not known yet"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as packets:
        packets.bind(f"{folder}/p.sock")
        packets.listen()
        (entry,) = (entry for entry in all_unix_sockets() if entry.path == f"{folder}/p.sock")
        assert (entry.kind, entry.state_word) == ("unixpacket", "listening")
