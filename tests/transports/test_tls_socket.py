from __future__ import annotations

import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.authority import Authority
from tomada.errors import ConnectFailed, ConnectionLost, HandshakeFailed
from tomada.settings import TLS
from tomada.transports import blocking, readiness
from tomada.transports.readiness import AT_ONCE
from tomada.transports.tls.blocking import TLSSocket
from tomada.transports.tls.certificates import client_context
from tomada.transports.tls.layer import Terms

Server = Callable[[ssl.SSLSocket], None]


@contextmanager
def joined(authority: Authority, serve: Server, protocols: tuple[str, ...] = ()) -> Iterator[TLSSocket]:
    """A client whose server is Python's own, in a thread; small buffers between them."""
    near, far = socket.socketpair()
    for end in (near, far):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.certificate)
    context.num_tickets = 0
    context.set_alpn_protocols(["bank/1"])

    def run() -> None:
        with far, context.wrap_socket(far, server_side=True) as secure:
            serve(secure)

    thread = threading.Thread(target=run)
    thread.start()
    ours = TLS(authority=str(authority.file), protocols=protocols)
    client = TLSSocket(near, Terms(client_context(ours), False, "localhost", protocols))
    try:
        client.shake(30)
        yield client
    finally:
        client.close()
        thread.join(30)
        assert not thread.is_alive()


def test_what_the_kernel_does_not_take_is_given_again(authority: Authority) -> None:
    received = bytearray()
    may_read = threading.Event()

    def serve(secure: ssl.SSLSocket) -> None:
        may_read.wait(30)
        while data := secure.recv(65_536):
            received.extend(data)

    data = memoryview(random.Random(4).randbytes(1_000_000))
    rest, refused = data, 0
    with joined(authority, serve) as client:
        while rest:
            sent = blocking.send_some(client, rest)
            rest = rest[sent:]
            refused += not sent
            if not sent:
                may_read.set()
                readiness.wait(client, 30, to_receive=False, to_send=True)
        client.shutdown(socket.SHUT_RDWR)
    assert refused
    assert received == data


def test_nothing_decrypted_stays_behind(authority: Authority) -> None:
    """What stays would not be seen by who waits for the socket."""

    def serve(secure: ssl.SSLSocket) -> None:
        secure.sendall(bytes(100_000))
        secure.recv(1)

    with joined(authority, serve) as client:
        heard = 0
        while heard < 100_000:
            assert readiness.wait(client, 30)
            heard += len(blocking.receive_some(client, 3_000) or b"")
        assert blocking.receive_some(client, 10) is None
        client.shutdown(socket.SHUT_RDWR)
        assert client.recv(10) == b""


def test_the_server_may_end_first(authority: Authority) -> None:
    def serve(secure: ssl.SSLSocket) -> None:
        secure.sendall(b"bye")
        with suppress(OSError):
            secure.unwrap()

    with joined(authority, serve, ("bank/1",)) as client:
        assert client.recv(100) == b"bye"
        assert client.recv(100) == b""
        assert client.recv(100) == b""
        assert blocking.alpn(client) == "bank/1"


def test_after_its_end_nothing_can_be_sent(authority: Authority) -> None:
    def serve(secure: ssl.SSLSocket) -> None:
        secure.recv(1)

    with joined(authority, serve) as client:
        client._say_end()
        with pytest.raises(ConnectionLost, match="protocol is shutdown"):
            client.send(memoryview(b"late"), AT_ONCE)


def test_a_closing_word_waits_for_nobody(authority: Authority) -> None:
    def serve(secure: ssl.SSLSocket) -> None:
        with suppress(ssl.SSLError):
            secure.recv(1)

    with joined(authority, serve) as client:
        client._unsent = memoryview(b"half a record")
        client.shutdown(socket.SHUT_RDWR)
    with joined(authority, serve) as client, client._wire:
        client.shutdown(socket.SHUT_RDWR)


def test_a_record_that_was_changed_is_told(authority: Authority) -> None:
    def serve(secure: ssl.SSLSocket) -> None:
        secure.sendall(b"well")
        raw = socket.socket(fileno=secure.detach())
        raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        raw.close()

    with joined(authority, serve) as client:
        assert client.recv(4) == b"well"
        with pytest.raises(ConnectionLost, match="a record of the peer was changed on its way"):
            client.recv(100)


def test_a_server_that_makes_tls_answer_again_and_again_is_left(authority: Authority) -> None:
    def serve(secure: ssl.SSLSocket) -> None:
        secure.sendall(b"x")
        secure.recv(1)

    with joined(authority, serve) as client:
        client._outgoing.write(bytes(100_000))
        with pytest.raises(ConnectionLost, match="makes TLS answer again and again"):
            client.recv(100)


@pytest.mark.parametrize(("said", "kind"), [(b"", ConnectFailed), (b"\x16\x03\x03\x00\x7a", HandshakeFailed)])
def test_a_connection_that_is_reset_in_the_handshake(
    authority: Authority, said: bytes, kind: type[ConnectFailed | HandshakeFailed]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
        client = TLSSocket(near, Terms(client_context(authority.client), False, "localhost"))
        far.sendall(said)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

        def reset() -> None:
            far.recv(10)
            far.close()

        thread = threading.Thread(target=reset)
        thread.start()
        with pytest.raises(kind):
            client.shake(30)
        thread.join(30)
        client.close()
