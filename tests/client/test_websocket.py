"""The blocking client over WebSocket: what is its own; everything else is as over TCP."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

import tomada
import tomada.sync
from tests.authority import Authority
from tests.client.conftest import LONGEST, Home, together
from tests.integration.house import Echo, Note, Push
from tomada.address import Address
from tomada.transports import Options, blocking, readiness
from tomada.transports.websocket.blocking import WebSocketSocket

HERE = "ws://127.0.0.1:0/house"
OPTIONS = Options(handshake=LONGEST, subprotocol="tomada.1")


def test_calls_big_messages_and_many_threads() -> None:
    with Home(here=HERE) as home, tomada.sync.connect(home.address) as client:
        data = os.urandom(5_000_000)
        assert client.ask(Echo(data), timeout=LONGEST) == data
        assert client.ask(Push(3)) == 3
        assert [client.receive(timeout=LONGEST) for _ in range(3)] == [Note("0"), Note("1"), Note("2")]
        assert client.ping(timeout=LONGEST) > 0
        together(*[lambda: [client.ask(Echo(b"x" * 50_000)) for _ in range(20)]] * 6)


def test_the_same_over_tls(authority: Authority) -> None:
    with Home(here=HERE, secured=(authority.server, authority.client)) as home:
        assert home.address.scheme == "wss"
        with tomada.sync.connect(home.address, tls=authority.client) as client:
            data = os.urandom(3_000_000)
            assert client.ask(Echo(data), timeout=LONGEST) == data
            assert client.identity is not None
            together(*[lambda: [client.ask(Echo(b"x" * 50_000)) for _ in range(10)]] * 4)


def test_a_wrong_path_is_told() -> None:
    with Home(here=HERE) as home:
        wrong = Address("ws", home.address.host, home.address.port, "/elsewhere")
        with pytest.raises(tomada.HandshakeFailed, match=r"404 Not Found: .*only at /house"):
            tomada.sync.connect(wrong)


Behaviour = Callable[[socket.socket, ServerProtocol], None]


def open_up(connected: socket.socket, protocol: ServerProtocol) -> None:
    while not protocol.events:
        protocol.receive_data(connected.recv(65_536))
    (request,) = protocol.events_received()
    assert isinstance(request, Request)
    protocol.send_response(protocol.accept(request))
    say(connected, protocol)


def say(connected: socket.socket, protocol: ServerProtocol) -> None:
    for data in protocol.data_to_send():
        connected.sendall(data)


@contextmanager
def server(behaviour: Behaviour) -> Iterator[Address]:
    """Accepts one connection, and does what the test wants."""

    def serve() -> None:
        connected, _ = listening.accept()
        with connected:
            behaviour(connected, ServerProtocol(subprotocols=[Subprotocol("tomada.1")]))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Address("ws", "127.0.0.1", listening.getsockname()[1], "/")
        finally:
            thread.join(LONGEST)


def reached(address: Address) -> WebSocketSocket:
    connected = blocking.connect(address, LONGEST, OPTIONS)
    assert isinstance(connected, WebSocketSocket)
    return connected


def test_what_the_server_says_with_its_answer_is_received_and_its_close_is_the_end() -> None:
    def behave(connected: socket.socket, protocol: ServerProtocol) -> None:
        protocol.send_response = _with(protocol, protocol.send_response)  # type: ignore[method-assign] # adds to it
        open_up(connected, protocol)
        while not protocol.close_rcvd:
            protocol.receive_data(connected.recv(65_536))
        say(connected, protocol)

    def _with(protocol: ServerProtocol, send: Callable[..., None]) -> Callable[..., None]:
        def both(response: object) -> None:
            send(response)
            protocol.send_binary(b"early")
            protocol.send_ping(b"?")
            protocol.send_close(1000)

        return both

    with server(behave) as address:
        connected = reached(address)
        assert connected.recv(10) == b"early"
        assert connected.recv(10) == b""
        with pytest.raises(ConnectionAbortedError, match="is closed"):
            connected.send(memoryview(b"too late"))
        connected.close()


@pytest.mark.parametrize(
    ("say_it", "why"),
    [
        (lambda protocol: protocol.send_text(b"hello"), "it sent a text message"),
        (lambda protocol: protocol.send_close(1011, "oops"), r"1011 \(internal error\) oops"),
        (lambda protocol: protocol.writes.append(b"\x83\x00"), "invalid opcode"),
    ],
)
def test_an_end_that_is_no_good_one_says_why(say_it: Callable[[ServerProtocol], None], why: str) -> None:
    def behave(connected: socket.socket, protocol: ServerProtocol) -> None:
        open_up(connected, protocol)
        say_it(protocol)
        say(connected, protocol)
        connected.recv(100)

    with server(behave) as address:
        connected = reached(address)
        with pytest.raises(ConnectionAbortedError, match=why):
            connected.recv(10)
        connected.close()


def test_what_the_server_does_not_read_waits() -> None:
    release = threading.Event()
    received = bytearray()

    def behave(connected: socket.socket, protocol: ServerProtocol) -> None:
        open_up(connected, protocol)
        release.wait(LONGEST)
        while protocol.close_rcvd is None:
            protocol.receive_data(connected.recv(1_000_000))
            for frame in protocol.events_received():
                received.extend(frame.data)  # type: ignore[union-attr] # a frame

    data = os.urandom(20_000_000)
    with server(behave) as address:
        connected = reached(address)
        sent = 0
        view = memoryview(data)
        while taken := blocking.send_some(connected, view[sent:]):
            sent += taken
        assert sent < len(data)
        assert blocking.receive_some(connected, 10) is None
        release.set()
        while sent < len(data):
            readiness.wait(connected, LONGEST, to_receive=False, to_send=True)
            sent += blocking.send_some(connected, view[sent:])
        connected.shutdown(socket.SHUT_WR)
        assert connected.recv(10) == b""
        connected.close()
    assert received == data + b"\x03\xe8"


@pytest.mark.parametrize(
    ("behave", "kind", "why"),
    [
        (lambda _connected, _protocol: None, tomada.ConnectFailed, "went away without a word"),
        (lambda connected, _: connected.sendall(b"HTTP/1.1 200 OK\r\n\r\nhi"), tomada.HandshakeFailed, "200 OK: 'hi'"),
        (lambda connected, _: connected.sendall(b"HTTP/1.1 503 Busy\r\n\r\n"), tomada.ConnectFailed, "503"),
    ],
)
def test_a_server_that_does_not_agree(behave: Behaviour, kind: type[Exception], why: str) -> None:
    def listen_first(connected: socket.socket, protocol: ServerProtocol) -> None:
        connected.recv(65_536)
        behave(connected, protocol)

    with server(listen_first) as address, pytest.raises(kind, match=why):
        reached(address)


def test_a_server_that_does_not_answer_is_given_up() -> None:
    done = threading.Event()
    with server(lambda *_: (done.wait(LONGEST), None)[1]) as address:
        with pytest.raises(tomada.HandshakeFailed, match=r"no answer within 0\.05 s"):
            blocking.connect(address, LONGEST, Options(handshake=0.05))
        done.set()


def test_no_compression_is_offered() -> None:
    def behave(connected: socket.socket, protocol: ServerProtocol) -> None:
        protocol.available_extensions = [ServerPerMessageDeflateFactory()]
        open_up(connected, protocol)

    with server(behave) as address:
        connected = reached(address)
        assert connected._protocol.extensions == []
        connected.close()
