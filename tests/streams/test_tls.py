from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
import trustme

import tomada
from tests.integration.conftest import Run
from tests.streams.pairs import HERE
from tomada import TLS, App, ConnectionLost, HandshakeFailed, Stream

DATA = random.Random(5).randbytes(2_000_000)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> tuple[TLS, TLS]:
    """The server's and the client's."""
    folder = tmp_path_factory.mktemp("tls")
    authority, certificate = trustme.CA(), folder / "server.pem"
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return TLS(certificate=str(certificate)), TLS(authority=str(folder / "authority.pem"))


def mail_server(address: str) -> App:
    app = App()

    @app.stream(address)
    async def talk(stream: Stream) -> None:
        async for line in stream.lines():
            if line == b"STARTTLS":
                await stream.send(b"go\n")
                await stream.start_tls()
            elif line.startswith(b"GET "):
                await stream.send_file(line[4:].decode())
            else:
                await stream.send(line.upper() + b"\n")

    return app


def test_a_stream_over_tls(run: Run, settings: tuple[TLS, TLS], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)

    async def main() -> None:
        async with tomada.serve(mail_server("tls://127.0.0.1:0"), tls=settings[0]) as server:
            address = server.addresses[0]
            assert address.scheme == "tls"
            async with tomada.connect_stream(address, tls=settings[1]) as stream:
                await stream.send(b"hello\n")
                assert await stream.receive_until(b"\n") == b"HELLO"
                await stream.send(f"GET {tmp_path / 'file'}\n".encode())
                assert await stream.receive_exactly(len(DATA)) == DATA
                assert stream.identity is not None
                assert stream.alpn is None
                assert stream.peer == address
                await stream.shutdown()
                assert await stream.receive() == b""

    run(main())


def test_a_plain_stream_goes_on_encrypted(run: Run, settings: tuple[TLS, TLS]) -> None:
    async def main() -> None:
        async with tomada.serve(mail_server(HERE), tls=settings[0]) as server:
            async with tomada.connect_stream(server.addresses[0], tls=settings[1]) as stream:
                assert not stream.identity
                await stream.send(b"plain\nSTARTTLS\n")
                assert await stream.receive_until(b"\n") == b"PLAIN"
                assert await stream.receive_until(b"\n") == b"go"
                await stream.start_tls()
                assert stream.identity is not None
                await stream.send(b"secret\n")
                assert await stream.receive_until(b"\n") == b"SECRET"
            stranger = await tomada.connect_stream(server.addresses[0])
            await stranger.send(b"STARTTLS\n")
            assert await stranger.receive_until(b"\n") == b"go"
            with pytest.raises(HandshakeFailed, match="authority"):
                await stranger.start_tls()
            with pytest.raises(ConnectionLost):
                await stranger.send(b"x")
            await stranger.close()

    run(main())


def test_what_came_before_tls_and_was_not_received_ends_it(run: Run, settings: tuple[TLS, TLS]) -> None:
    """RFC 3207, section 6: commands put in by somebody on the way would be taken for the client's own."""

    async def main() -> None:
        async with tomada.serve(mail_server(HERE), tls=settings[0]) as server:
            stream = await tomada.connect_stream(server.addresses[0], tls=settings[1])
            await stream.send(b"STARTTLS\ninjected\n")
            with pytest.raises(HandshakeFailed):
                await _secured(stream)
            await stream.close()

    run(main())


def test_tls_begins_when_what_was_sent_before_has_gone(run: Run, settings: tuple[TLS, TLS]) -> None:
    app = App()

    @app.stream(HERE)
    async def say_much_and_secure(stream: Stream) -> None:
        await stream.receive_exactly(1)
        while not stream.flow.clogged:
            stream.send_nowait(bytes(100_000))
        stream.send_nowait(b"go")
        await stream.start_tls()
        await stream.send(b"safe")
        await stream.receive()

    async def main() -> None:
        async with tomada.serve(app, tls=settings[0]) as server:
            stream = await tomada.connect_stream(server.addresses[0], tls=settings[1])
            await stream.send(b"?")
            while not (await stream.receive()).endswith(b"go"):
                pass
            await stream.start_tls()
            assert await stream.receive_exactly(4) == b"safe"
            await stream.close()

    run(main())


async def _secured(stream: Stream) -> None:
    await stream.receive_until(b"\n")
    await stream.start_tls()


def test_the_blocking_face(run: Run, settings: tuple[TLS, TLS]) -> None:
    def client(address: tomada.Address) -> None:
        with tomada.sync.connect_stream(address, tls=settings[1]) as stream:
            stream.send(b"STARTTLS\n")
            assert stream.receive_until(b"\n") == b"go"
            stream.start_tls()
            assert stream.identity is not None
            assert stream.alpn is None
            stream.send(b"secret\n")
            assert stream.receive_until(b"\n") == b"SECRET"

    async def main() -> None:
        async with tomada.serve(mail_server(HERE), tls=settings[0]) as server:
            await asyncio.to_thread(client, server.addresses[0])
        await asyncio.get_running_loop().shutdown_default_executor()

    run(main())
