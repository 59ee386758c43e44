from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

import tomada
import tomada.sync
from tests.authority import Authority
from tests.client.conftest import LONGEST, Home, answering, tidy, together
from tests.integration.house import Back, Echo, Hold, Make, Note, Push


@pytest.fixture
def secure_home(authority: Authority) -> Iterator[Home]:
    with tidy(), Home(secured=(authority.server, authority.client)) as home:
        yield home


def test_everything_that_blocking_calls_do_they_do_over_tls(secure_home: Home, authority: Authority) -> None:
    with tomada.sync.connect(secure_home.address, tls=authority.client, app=answering()) as client:
        assert client.ask(Echo(bytes(5_000_000))) == bytes(5_000_000)
        assert client.ask(Back(5)) == 5
        assert client.ping() > 0
        client.send(Note("one way"))
        secure_home.until("note one way")
        with pytest.raises(tomada.TimedOut):
            client.ask(Hold("a"), timeout=0.1)
        secure_home.until("cancelled a")
        assert client.ask(Push(2_000)) == 2_000
        assert [message.text for message in [client.receive() for _ in range(2_000)] if isinstance(message, Note)] == [
            str(number) for number in range(2_000)
        ]
        assert client.identity is not None
        assert "dns:localhost" in client.identity.names
        assert client.alpn is None


def test_threads_send_and_receive_at_once(secure_home: Home, authority: Authority) -> None:
    with tomada.sync.connect(secure_home.address, tls=authority.client) as client:

        def ask_often(number: int) -> bool:
            sizes = range(number, 300_000, 9_001)
            return all(len(client.ask(Echo(bytes(size)))) == size for size in sizes)

        assert together(*[partial(ask_often, number) for number in range(8)]) == [True] * 8


def test_the_server_is_heard_while_nobody_calls(secure_home: Home, authority: Authority) -> None:
    with tomada.sync.connect(secure_home.address, tls=authority.client, app=answering()) as client:
        client.ask(Echo(b"here"))
        mine = secure_home.other_end(client)
        assert len(secure_home.do(mine.ask(Make(1_000_000)))) == 1_000_000


def test_both_ends_wait_for_each_other_without_standing_still(secure_home: Home, authority: Authority) -> None:
    """Both have more to send than the kernel takes; each must read meanwhile."""
    with tomada.sync.connect(secure_home.address, tls=authority.client) as client:
        calls = [partial(client.ask, Echo(bytes(3_000_000))) for _ in range(6)]
        assert [len(data) for data in together(*calls)] == [3_000_000] * 6


def test_a_client_that_is_refused_is_told_why(secure_home: Home, authority: Authority) -> None:
    with pytest.raises(
        tomada.HandshakeFailed, match=r"was reached, but .* comes from an authority that is not trusted"
    ):
        tomada.sync.connect(secure_home.address)
    plain = tomada.Address("tcp", secure_home.address.host, secure_home.address.port)
    with pytest.raises(tomada.HandshakeFailed, match="it speaks TLS, use a tls:// address"):
        tomada.sync.connect(plain)
    with pytest.raises(tomada.HandshakeFailed, match=r"\(ALPN\) in common: this end speaks bank/1"):
        tomada.sync.connect(secure_home.address, tls=tomada.TLS(authority=str(authority.file), protocols=("bank/1",)))
    with pytest.raises(tomada.ConnectFailed, match="the authority /nowhere cannot be read"):
        tomada.sync.connect(secure_home.address, tls=tomada.TLS(authority="/nowhere"))


def test_mutual_tls(authority: Authority) -> None:
    with tidy(), Home(secured=(authority.mutual(), authority.teller())) as home:
        with tomada.sync.connect(home.address, tls=authority.teller()) as client:
            assert client.ask(Echo(b"x")) == b"x"
        with pytest.raises(tomada.HandshakeFailed, match="it wants a certificate of this end"):
            tomada.sync.connect(home.address, tls=authority.client)


def answers_with(listening: socket.socket, says: bytes, *, resets: bool = False) -> None:
    """Take one connection, read the hello, say something, and end."""
    connected, _ = listening.accept()
    with connected:
        if not resets:
            connected.recv(65_536)
        connected.sendall(says)
        if says.startswith(b"\x16"):
            connected.recv(65_536)


@pytest.mark.parametrize(
    ("says", "text"),
    [
        (b"", "ended the connection instead of answering in TLS; if it speaks none, use a tcp:// address"),
        (b"220 mail", "the peer does not speak TLS: use a tcp:// address; it sent what begins with b'220 mail'"),
        (b"\x15\x03\x03\x00\x02\x02\x28", r"the peer refused: no cipher in common, .*its TLS alert: handshake failure"),
        (b"\x16\x03\x03\x00\x02\x02\x28", "the peer closed the connection during the handshake|no handshake within"),
    ],
    ids=["nothing", "a banner", "an alert", "half a hello"],
)
def test_a_server_that_does_not_complete_the_handshake(authority: Authority, says: bytes, text: str) -> None:
    with tidy(), socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=answers_with, args=(listening, says))
        serving.start()
        deadlines = tomada.Deadlines(handshake=0.3)
        with pytest.raises(tomada.HandshakeFailed if says else tomada.ConnectFailed, match=text):
            tomada.sync.connect(
                f"tls://127.0.0.1:{listening.getsockname()[1]}", tls=authority.client, deadlines=deadlines
            )
        serving.join(LONGEST)


def test_a_server_that_is_silent_is_late(authority: Authority) -> None:
    with tidy(), socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"tls://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(tomada.HandshakeFailed, match=r"no handshake within 0\.1 s"):
            tomada.sync.connect(address, tls=authority.client, deadlines=tomada.Deadlines(handshake=0.1))


def test_an_end_without_close_notify_is_told(secure_home: Home, authority: Authority) -> None:
    client = tomada.sync.connect(secure_home.address, tls=authority.client, sessions=False)
    other: Any = secure_home.other_end(client)
    secure_home.call(other._link.transport.abort)
    with pytest.raises(tomada.ConnectionLost, match="the end may have been cut off"):
        client.receive(timeout=LONGEST)
    client.close()
