from __future__ import annotations

import os
import socket
import sys

import pytest

from tomada.transports.system import psutil_table
from tomada.transports.system.psutil_table import all_sockets

psutil = pytest.importorskip("psutil")


def found(port: int) -> list[tuple[str, str, bool, list[int]]]:
    entries, holders = all_sockets()
    return sorted(
        (entry.kind, entry.host, entry.receives, [holder.pid for holder in holders[entry.inode]])
        for entry in entries
        if entry.port == port
    )


def test_listeners_connections_and_datagram_sockets_are_told() -> None:
    pid = os.getpid()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0],
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
    ):
        datagrams.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert found(port) == [("tcp", "127.0.0.1", False, [pid]), ("tcp", "127.0.0.1", True, [pid])]
        assert found(six.getsockname()[1]) == [("tcp6", "::1", True, [pid])]
        assert found(datagrams.getsockname()[1]) == [("udp", "127.0.0.1", True, [pid])]
        (end,) = (entry for entry in all_sockets()[0] if entry.port == client.getsockname()[1])
        assert (end.peer_host, end.peer_port, end.state_word) == ("127.0.0.1", port, "established")


def test_where_only_root_is_told_all_each_process_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", refused)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert found(server.getsockname()[1]) == [("tcp", "127.0.0.1", True, [os.getpid()])]


def test_processes_that_may_not_be_looked_into_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise psutil.NoSuchProcess(1)

    def refused(_: object) -> None:
        raise psutil.AccessDenied

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(psutil.Process, "cmdline", refused)
        entries, holders = all_sockets()
        (process,) = next(holders[entry.inode] for entry in entries if entry.port == port)
        assert process.command == ""
        monkeypatch.setattr(psutil, "Process", gone)
        assert found(port) == [("tcp", "127.0.0.1", True, [])]


def test_whether_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert psutil_table.is_installed()
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert not psutil_table.is_installed()
