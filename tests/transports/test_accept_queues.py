from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path

import pytest

from tomada.transports.system import accept_queues as module
from tomada.transports.system.accept_queues import AcceptQueue, accept_queues
from tomada.transports.system.socket_table import all_unix_sockets, inet_sockets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="netlink is Linux's")


@pytest.fixture
def _told() -> None:
    if not accept_queues():
        with socket.create_server(("127.0.0.1", 0)):
            if not accept_queues():
                pytest.skip("this kernel does not tell")


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_how_many_wait_and_how_many_may(family: socket.AddressFamily, host: str) -> None:
    with (
        socket.create_server((host, 0), family=family, backlog=5) as server,
        socket.create_connection(server.getsockname()[:2]),
        socket.create_connection(server.getsockname()[:2]),
    ):
        (entry,) = (entry for entry in inet_sockets("tcp", server.getsockname()[1]) if entry.receives)
        assert accept_queues()[entry.inode] == AcceptQueue(2, 5)
        assert entry.unread == 2, "the table says the same"


@pytest.mark.usefixtures("_told")
def test_of_unix_sockets(folder: Path) -> None:
    path = f"{folder}/app.sock"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen(3)
        client.connect(path)
        (entry,) = (entry for entry in all_unix_sockets() if entry.path == path and entry.receives)
        assert accept_queues()[entry.inode] == AcceptQueue(1, 3)


def test_what_the_system_does_not_tell_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(socket.socket):
        def __init__(self, *_: object) -> None:
            raise PermissionError(13, "no netlink here")

    monkeypatch.setattr(socket, "socket", Refused)
    assert accept_queues() == {}


def message(kind: int, payload: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, 0, 1, 0) + payload


def test_several_answers_in_one_datagram_are_told_apart() -> None:
    data = message(20, b"12345678") + message(3, b"")
    assert list(module._messages(data)) == [(20, b"12345678"), (3, b"")]
    with pytest.raises(struct.error):
        list(module._messages(data + b"cut"))
    assert list(module._messages(struct.pack("=IHHII", 0, 20, 0, 1, 0))) == [(20, b"")], "it goes on in any case"


def test_an_answer_without_lengths() -> None:
    answer = struct.pack("=BBBxIII", 1, 1, 10, 77, 0, 0)
    assert module._unix_queue(answer) == ("77", AcceptQueue(0, 0))
    other = struct.pack("=HHI", 8, 9, 1)
    assert module._unix_queue(answer + other) == ("77", AcceptQueue(0, 0))
