"""The socket for programs without an event loop."""

from __future__ import annotations

import errno
import socket
import threading
from pathlib import Path

import pytest

import tomada
import tomada.sync
from tests.datagrams.ends import HERE, SOON
from tests.integration.conftest import descriptors


@pytest.mark.parametrize("where", ["udp://127.0.0.1:0", "udp://[::1]:0", "udp://localhost:0"])
def test_there_and_back(where: str) -> None:
    before = descriptors()
    with tomada.sync.bind(where) as one, tomada.sync.bind(where) as other:
        one.send(b"ping", other.address)
        datagram = other.receive(timeout=SOON)
        assert datagram == tomada.Datagram(b"ping", one.address)
        other.send_nowait(b"pong", str(datagram.peer))
        assert one.receive(timeout=SOON).data == b"pong"
        assert (one.statistics.sent, one.statistics.received, one.peer) == (1, 1, None)
    assert descriptors() == before


def test_connected_and_refused() -> None:
    with tomada.sync.bind(HERE) as gone:
        peer = gone.address
    with tomada.sync.bind(HERE, peer=peer) as one:
        one.send(b"x")
        with pytest.raises(tomada.ConnectFailed, match="nobody receives at"):
            one.receive(timeout=SOON)
        one.send(b"x")
        with pytest.raises(tomada.ConnectFailed, match="nobody receives at"):
            one.send(b"x")
        assert one.statistics.refused == 2
        with pytest.raises(tomada.DatagramError, match="was bound with the peer"):
            one.send(b"x", "udp://127.0.0.1:1")


def test_deadlines_and_what_is_wrong() -> None:
    with tomada.sync.bind("udp://:0") as one:
        with pytest.raises(tomada.TimedOut, match=r"no datagram came within 0\.01 s"):
            one.receive(timeout=0.01)
        with pytest.raises(tomada.DatagramTooLong):
            one.send(b"x" * 70_000, "udp://127.0.0.1:9")
        with pytest.raises(tomada.DatagramError, match="say whom to send to"):
            one.send(b"x")
        with pytest.raises(tomada.ConnectFailed, match="is not known"):
            one.send(b"x", "udp://no-such-host.invalid:1")
        with pytest.raises(tomada.AddressInUse, match=r"held by process \d+"):
            tomada.sync.bind(one.address)
        assert one.statistics.too_long == 1
    for wrong in ("tcp://127.0.0.1:0", "udp://no-such-host.invalid:0"):
        with pytest.raises(tomada.ListenFailed):
            tomada.sync.bind(wrong)
    with pytest.raises(tomada.ConnectFailed, match="is not known"):
        tomada.sync.bind(HERE, peer="udp://no-such-host.invalid:1")
    with pytest.raises(tomada.DatagramError, match="both must be udp addresses"):
        tomada.sync.bind(HERE, peer="unixgram:///tmp/x")
    with pytest.raises(tomada.DatagramError, match="port 0 is for binding"):
        tomada.sync.bind(HERE, peer="udp://127.0.0.1:0")
    with pytest.raises(tomada.ConnectFailed, match="another family"):
        tomada.sync.bind(HERE, peer="udp://[::1]:9")


def test_iteration_ends_when_another_thread_closes() -> None:
    seen: list[bytes] = []
    with tomada.sync.bind(HERE) as one:

        def read() -> None:
            seen.extend(datagram.data for datagram in one)

        reader = threading.Thread(target=read)
        reader.start()
        with tomada.sync.bind(HERE, peer=one.address) as other:
            for data in (b"a", b"b"):
                other.send(data)
        for _ in range(500):
            if seen == [b"a", b"b"]:
                break
            reader.join(0.01)
        one.close()
        one.close()
        reader.join(SOON)
        assert not reader.is_alive()
        assert "closed" in repr(one)
        with pytest.raises(tomada.TransportError, match="has been closed"):
            one.receive()
        with pytest.raises(tomada.TransportError, match="has been closed"):
            one.send(b"x", "udp://127.0.0.1:1")


@pytest.mark.parametrize("connected", [True, False])
def test_no_room(folder: Path, *, connected: bool) -> None:
    with tomada.sync.bind(f"unixgram://{folder}/slow") as slow:
        peer = slow.address if connected else None
        to = None if connected else slow.address
        with tomada.sync.bind(f"unixgram://{folder}/one", peer=peer) as one:

            def flood() -> None:
                for _ in range(5_000):
                    one.send_nowait(b"x" * 100, to)

            with pytest.raises(tomada.BufferFull, match=r"send\(\) waits for it"):
                flood()
            with pytest.raises(tomada.TimedOut, match="there was no room to send within"):
                one.send(b"x", to, timeout=0.03)
            waiting = threading.Thread(target=one.send, args=(b"last", to))
            waiting.start()
            while slow.receive(timeout=SOON).data != b"last":
                pass
            waiting.join(SOON)
            assert not waiting.is_alive()


def test_a_receiver_that_went_away(folder: Path) -> None:
    with tomada.sync.bind(f"unixgram://{folder}/one") as one:
        with tomada.sync.bind(f"unixgram://{folder}/gone") as gone:
            one.send(b"x", gone.address)
        with pytest.raises(tomada.ConnectFailed, match="nobody receives at"):
            one.send(b"x", gone.address)


def test_a_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def only_v4(family: int = socket.AF_INET, *arguments: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *arguments)

    monkeypatch.setattr(socket, "socket", only_v4)
    with tomada.sync.bind("udp://:0") as one, tomada.sync.bind(HERE) as other:
        assert one.address.host == "0.0.0.0"  # noqa: S104 - which is the case
        other.send(b"x", f"udp://127.0.0.1:{one.address.port}")
        assert one.receive(timeout=SOON).data == b"x"
        with pytest.raises(tomada.DatagramError, match="this socket speaks IPv4"):
            one.send(b"x", "udp://[::1]:9")
    with pytest.raises(tomada.ListenFailed, match="no such address"):
        tomada.sync.bind("udp://[::1]:0")


def test_a_system_port(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_permitted(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", not_permitted)
    with pytest.raises(tomada.SystemPort, match=r"7 is a system port \(below 1024\)"):
        tomada.sync.bind("udp://127.0.0.1:7")
