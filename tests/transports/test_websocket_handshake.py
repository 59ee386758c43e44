"""The WebSocket handshake at both ends, and each wrong way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys

import msgspec
import pytest
from websockets.utils import accept_key

import tomada
from tests.transports.conftest import Run
from tests.transports.recorder import connected, serving
from tests.transports.websocket_ends import ADDRESS, OPTIONS, Accepting, Connecting
from tomada import transports
from tomada.transports.websocket.server import REQUEST_BYTES, is_allowed

GOOD = {
    "Host": "127.0.0.1:4477",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "soap, tomada.1",
}


def request(line: str = "GET /bank HTTP/1.1", **changes: str | None) -> bytes:
    """A handshake's request; a header that is None is left out."""
    headers = {**GOOD, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [line, *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(said: bytes, *, origins: tuple[str, ...] = ()) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of what the accepting end answers."""
    accepting = Accepting(msgspec.structs.replace(OPTIONS, origins=origins))
    accepting.layer.data_received(said)
    head, _, body = accepting.below.written.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    status = int(first.split()[1])
    assert accepting.layer.is_open is (status == 101)
    assert accepting.below.is_over is (status != 101)
    return status, dict(line.split(": ", 1) for line in lines), body


def test_a_right_request_is_accepted(run: Run) -> None:
    async def main() -> None:
        status, headers, _ = answer(request())

        assert status == 101
        assert headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert headers["Sec-WebSocket-Protocol"] == "tomada.1"
        assert "Sec-WebSocket-Extensions" not in headers

    run(main())


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        (request("POST /bank HTTP/1.1"), 405, "GET"),
        (request("POST /bank HTTP/1.1", Content_Length="5") + b"a=bcd", 405, "GET"),
        (request("GET /bank HTTP/1.0"), 505, "HTTP"),
        (request("GET /other HTTP/1.1"), 404, "nothing is served at '/other', only at /bank"),
        (request("GET /bank\x1b[2J HTTP/1.1"), 404, r"\x1b"),
        (request(Host=None), 400, "Host"),
        (request(Host="a\r\nHost: b"), 400, "Host"),
        (request(Origin="http://a\r\nOrigin: http://b"), 400, "Origin"),
        (request(Upgrade=None), 426, "not a web page"),
        (request(Upgrade="h2c"), 426, "not a web page"),
        (request(Connection=None), 426, "not a web page"),
        (request(Connection="close"), 426, "not a web page"),
        (request(Sec_WebSocket_Version=None), 426, "version 13"),
        (request(Sec_WebSocket_Version="12"), 426, "version 13"),
        (request(Sec_WebSocket_Key=None), 400, "Sec-WebSocket-Key"),
        (request(Sec_WebSocket_Key="short"), 400, "Sec-WebSocket-Key"),
        (request(Sec_WebSocket_Key="c2hvcnQ="), 400, "Sec-WebSocket-Key"),
        (request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: x"), 400, "Sec-WebSocket-Key"),
        (request(Sec_WebSocket_Protocol=None), 400, "subprotocol"),
        (request(Sec_WebSocket_Protocol="chat"), 400, "tomada.1"),
        (request(Sec_WebSocket_Protocol=",,;"), 400, "Sec-WebSocket-Protocol"),
        (request(X=":\0"), 400, "header"),
        (b"GET /bank\r\n\r\n", 400, "request line"),
        (b"GET /b\xff HTTP/1.1\r\n\r\n", 400, "cannot be read"),
        (b"GET /bank HTTP/1.1\r\nno header\r\n\r\n", 400, "header"),
        (b"GET /bank HTTP/1.1\n\n", 400, "CRLF"),
        (request() + b"\x82\x80abcd", 400, "before it has been answered"),
        (b"\x16\x03\x01\x02\x00", 400, "tls"),
        (b"\x00\x00\x00\x2a\x01\x00", 400, "tcp"),
        (b"GET /" + b"a" * 9_000, 414, "long"),
        (b"GET /bank HTTP/1.1\r\nX: " + b"a" * 9_000, 431, "header"),
        (b"GET /bank HTTP/1.1\r\n" + b"X: a\r\n" * 129, 431, "headers"),
        (b"GET /bank HTTP/1.1\r\n" + (b"X: " + b"a" * 1_000 + b"\r\n") * 40, 431, f"{REQUEST_BYTES} bytes"),
    ],
)
def test_a_wrong_request_is_refused_with_the_status_that_says_why(
    run: Run, said: bytes, status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        got, headers, body = answer(said)

        assert got == status
        assert words in body or (status in (414, 431, 505) and "Failed" in body)
        assert headers["Connection"] == "close"
        assert ("Allow" in headers) is (status == 405)
        if status == 426:
            assert headers["Sec-WebSocket-Version"] == "13"
            assert headers["Upgrade"] == "websocket"

    run(main())
    (record,) = [record for record in caplog.records if record.name == "tomada"]
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("ws://192.0.2.1:9: refused: no WebSocket handshake: ")
    assert record.getMessage().isprintable()


def test_a_request_may_come_byte_by_byte(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting()
        for byte in request():
            assert not accepting.layer.is_open
            accepting.layer.data_received(bytes([byte]))

        assert accepting.layer.is_open

    run(main())


def test_what_comes_after_a_refusal_is_not_read(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting()
        accepting.layer.data_received(b"\0")
        accepting.below.take()
        accepting.layer.data_received(request())

        assert accepting.below.take() == b""
        assert not accepting.layer.is_open

    run(main())


def test_a_request_that_trickles_in_ends_at_the_deadline(run: Run) -> None:
    async def main() -> None:
        accepting = Accepting(msgspec.structs.replace(OPTIONS, handshake=0.03))
        endless = iter(b"GET /bank HTTP/1.1\r\nX: " + b"a" * 1_000)
        while not accepting.below.is_cut:
            accepting.layer.data_received(bytes([next(endless)]))
            await asyncio.sleep(0.001)

        assert accepting.above.told == []

    run(main())


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "is_right"),
    [
        ("http://bank.example", "bank.example", (), True),
        ("http://bank.example:80", "bank.example", (), True),
        ("https://bank.example", "bank.example:443", (), True),
        ("https://Bank.Example", "bank.EXAMPLE", (), True),
        ("http://127.0.0.1:4477", "127.0.0.1:4477", (), True),
        ("http://[::1]:4477", "[::1]:4477", (), True),
        ("http://bank.example", "bank.example:4477", (), False),
        ("http://bank.example:4477", "bank.example", (), False),
        ("http://evil.example", "bank.example", (), False),
        ("http://bank.example.evil.example", "bank.example", (), False),
        ("http://evil.example", "bank.example", ("https://evil.example",), False),
        ("https://shop.example", "bank.example", ("https://shop.example",), True),
        ("https://shop.example", "bank.example", ("https://Shop.example/",), True),
        ("https://a.shop.example", "bank.example", ("https://shop.example",), False),
        ("null", "null", (), False),
        ("null", "bank.example", ("null",), True),
        ("http://", "", (), False),
        ("", "", (), False),
        ("http://any.example", "bank.example", ("*",), True),
    ],
)
def test_which_pages_may_connect(*, origin: str, host: str, allowed: tuple[str, ...], is_right: bool) -> None:
    assert is_allowed(origin, host, allowed) is is_right


def test_a_page_that_may_not_is_told_and_so_is_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        assert answer(request(Origin="https://shop.example"))[0] == 403
        assert answer(request(Origin="https://shop.example"), origins=("https://shop.example",))[0] == 101
        assert answer(request(Origin="http://127.0.0.1:4477"))[0] == 101

    run(main())
    assert "to allow them, serve with origins=('https://shop.example',)" in caplog.text


def response(status: str = "101 Switching Protocols", **changes: str | None) -> bytes:
    changed = {name.replace("_", "-"): value for name, value in changes.items()}
    right: dict[str, str | None] = {"Upgrade": "websocket", "Connection": "Upgrade"}
    headers = right | {"Sec-WebSocket-Protocol": "tomada.1"} | changed
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            response("404 Not Found", Content_Length="9") + b"not here\n",
            "HandshakeFailed: the server answered 404 Not F",
        ),
        (response("302 Found", Location="http://x/", Content_Length="0"), "it names 'http://x/' instead"),
        (response("503 Busy", Content_Length="0"), "ConnectFailed: the server answered 503 Busy"),
        (response("200 OK") + b"<html>", "HandshakeFailed: the server answered 200 OK: '<html>'"),
        (response(), "HandshakeFailed: missing Sec-WebSocket-Accept"),
        (response(Sec_WebSocket_Accept="wrong"), "HandshakeFailed: invalid Sec-WebSocket-Accept"),
        (response(Sec_WebSocket_Accept="KEY", Upgrade=None), "HandshakeFailed: missing Upgrade"),
        (response(Sec_WebSocket_Accept="KEY", Connection="close"), "HandshakeFailed: invalid Connection"),
        (response(Sec_WebSocket_Accept="KEY", Sec_WebSocket_Protocol="chat"), "unsupported subprotocol: chat"),
        (
            response(Sec_WebSocket_Accept="KEY", Sec_WebSocket_Protocol=None),
            "did not agree to the subprotocol tomada.1",
        ),
        (
            response(Sec_WebSocket_Accept="KEY", Sec_WebSocket_Extensions="permessage-deflate"),
            "no extensions supported",
        ),
        (b"SSH-2.0-OpenSSH\r\n", "did not receive a valid HTTP response"),
        (b"HTTP/1.1 " + b"a" * 9_000, "HandshakeFailed"),
        (b"HTTP/1.1 101", "did not receive a valid HTTP response"),
        (b"", "ConnectFailed: it went away without a word"),
    ],
)
def test_a_server_that_does_not_agree(run: Run, said: bytes, why: str) -> None:
    async def main() -> None:
        connecting = Connecting()
        key = connecting.request.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
        connecting.layer.data_received(said.replace(b"KEY", accept_key(key).encode())) if said else None
        connecting.layer.eof_received()
        connecting.layer.connection_lost(None)

        assert why in connecting.why()
        assert connecting.above.told == []

    run(main())


def test_the_request_names_host_path_and_subprotocol(run: Run) -> None:
    async def main() -> None:
        said = Connecting().request

        assert said.startswith("GET /bank HTTP/1.1\r\nHost: 127.0.0.1:4477\r\n")
        assert "Sec-WebSocket-Protocol: tomada.1\r\n" in said
        assert "Origin" not in said
        assert "Sec-WebSocket-Extensions" not in said

    run(main())


def test_bytes_pass_through_real_sockets(run: Run) -> None:
    async def main() -> None:
        async with serving(msgspec.structs.replace(ADDRESS, port=0)) as server:
            (address,) = server.listener.addresses
            assert str(address) == f"ws://127.0.0.1:{address.port}/bank"
            async with connected(address) as (transport, recorder):
                accepted = await server.accepted.get()
                transport.write(b"to the server")
                assert await accepted.data == b"to the server"
                (await accepted.made).write(b"to the client")
                assert await recorder.data == b"to the client"
                assert transports.peer_address(transport) == msgspec.structs.replace(address, path="")
                transport.close()
                assert await accepted.lost is None
                assert await recorder.lost is None

    run(main())


def test_a_listener_that_closes_ends_unfinished_handshakes(run: Run) -> None:
    async def main() -> None:
        async with serving(msgspec.structs.replace(ADDRESS, port=0)) as server:
            (address,) = server.listener.addresses
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(b"GET ")
            while not server.listener.pending:  # noqa: ASYNC110 - a set has no events
                await asyncio.sleep(0)
            server.listener.close()

            with contextlib.suppress(ConnectionResetError):  # what it had not read is told so
                assert await reader.read() == b""
            writer.close()

    run(main())


def test_a_browser_that_opens_the_port_reads_what_it_is(run: Run) -> None:
    async def main() -> None:
        async with serving(msgspec.structs.replace(ADDRESS, port=0)) as server:
            (address,) = server.listener.addresses
            curl = await asyncio.create_subprocess_exec(
                "curl", "-s", "-w", "%{http_code}", f"http://127.0.0.1:{address.port}/bank", stdout=subprocess.PIPE
            )
            out, _ = await curl.communicate()

            assert out.startswith(b"This is a WebSocket, not a web page.")
            assert f'connect("{address}")'.encode() in out
            assert out.endswith(b"426")

    run(main())


def test_without_the_package_the_error_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("tomada.transports.websocket")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "websockets", None)
    monkeypatch.setitem(sys.modules, "websockets.frames", None)
    monkeypatch.setitem(sys.modules, "websockets.exceptions", None)
    monkeypatch.setitem(sys.modules, "websockets.client", None)

    async def main() -> None:
        words = r"WebSocket needs the package websockets: pip install 'tomada\[websocket\]'"
        with pytest.raises(tomada.ListenFailed, match=words):
            await transports.listen(ADDRESS, asyncio.Protocol)
        with pytest.raises(tomada.ConnectFailed, match=words):
            await transports.connect(ADDRESS, asyncio.Protocol, timeout=1)
        with pytest.raises(tomada.ConnectFailed, match=words):
            tomada.sync.connect(ADDRESS)

    run(main())
