from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
import socket
import ssl
import subprocess
from contextlib import suppress
from typing import Any

import pytest

from tests.authority import Authority
from tests.transports.conftest import Run
from tests.transports.talker import Talker, connected, greets, serving
from tomada import transports
from tomada.address import Address
from tomada.errors import HandshakeFailed
from tomada.settings import TLS
from tomada.transports import Options, stack

NEEDS_OPENSSL = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_bytes_go_both_ways(run: Run, authority: Authority, host: str) -> None:
    async def main() -> None:
        address = Address.parse(f"tls://{host}:0")
        async with serving(authority.server, address=address) as server:
            called = Address("tls", address.host, server.port)
            async with connected(called, authority.client) as client:
                client.transport.write(b"ola")
                assert await client.hear(3) == b"OLA"
                peer = transports.peer_address(client.transport)
                assert str(peer).startswith("tls://")
                assert peer.port == server.port
                assert transports.peer_address((await server.first()).transport).scheme == "tls"

    run(main())


def test_large_transfers_wait_for_who_reads(run: Run, authority: Authority) -> None:
    async def main() -> None:
        data = random.Random(5).randbytes(8_000_000)
        async with (
            serving(authority.server, echoes=False) as server,
            connected(server.address, authority.client) as client,
        ):
            reader = await server.first()
            reader.transport.pause_reading()
            for start in range(0, len(data), 100_000):
                await client.is_writable.wait()
                client.transport.write(data[start : start + 100_000])
                if client.pauses == 1 and reader.data == b"":
                    assert not reader.transport.is_reading()
                    reader.transport.resume_reading()
            client.transport.close()
            assert await reader.lost is None
            assert client.pauses
            assert reader.ended
            assert hashlib.sha256(reader.data).digest() == hashlib.sha256(data).digest()

    run(main())


def blocking_client(address: Address, authority: Authority, version: ssl.TLSVersion) -> bytes:
    """As every course shows it, with Python's own TLS."""
    context = ssl.create_default_context(cafile=authority.file)
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection((address.host, address.port), 30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(b"x" * 100_000)
        heard = b""
        while len(heard) < 100_000:
            heard += secure.recv(65_536)
        secure.unwrap()
        return heard


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_with_pythons_own_tls(run: Run, authority: Authority, version: ssl.TLSVersion) -> None:
    async def main() -> None:
        async with serving(authority.server) as server:
            heard = await asyncio.to_thread(blocking_client, server.address, authority, version)
            assert heard == b"X" * 100_000
            assert await (await server.first()).lost is None
            assert (await server.first()).ended

    run(main())


def blocking_server(listening: socket.socket, authority: Authority, version: ssl.TLSVersion) -> bytes:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(authority.certificate)
    plain, _ = listening.accept()
    with plain, context.wrap_socket(plain, server_side=True) as secure:
        secure.sendall(b"welcome")
        heard = secure.recv(100)
        assert secure.recv(100) == b"", "close_notify has come"
        return heard


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_with_pythons_own_tls(run: Run, authority: Authority, version: ssl.TLSVersion) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            served = asyncio.create_task(asyncio.to_thread(blocking_server, listening, authority, version))
            address = Address("tls", "127.0.0.1", listening.getsockname()[1])
            async with connected(address, authority.client) as client:
                assert await client.hear(7) == b"welcome"
                client.transport.write(b"thanks")
                client.transport.close()
                assert await served == b"thanks"

    run(main())


@NEEDS_OPENSSL
@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
def test_the_openssl_command_is_served(run: Run, authority: Authority, option: str) -> None:
    async def main() -> None:
        async with serving(authority.server) as server:
            trust = ["-CAfile", str(authority.file), "-verify_return_error", "-verify_hostname", "localhost"]
            command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-quiet", option, *trust]
            process = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"hello\n")
            assert await process.stdout.readline() == b"HELLO\n"
            process.kill()
            await process.communicate()
            assert "without TLS close_notify" in str(await (await server.first()).lost)

    run(main())


@NEEDS_OPENSSL
def test_keys_are_changed_in_between(run: Run, authority: Authority) -> None:
    """RFC 8446, section 4.6.3: the client sends with new keys, and asks for new ones from here."""

    async def main() -> None:
        async with serving(authority.server) as server:
            command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_3"]
            process = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            assert process.stdin is not None
            assert process.stdout is not None
            for word, new_keys in ((b"one\n", b"K\n"), (b"two\n", b"k\n"), (b"three\n", b"")):
                process.stdin.write(word)
                while await process.stdout.readline() != word.upper():
                    pass
                process.stdin.write(new_keys)
                await process.stdin.drain()
                # Commands are told from words by what comes in one read: the answer to the change is waited for.
                while new_keys and process.stderr is not None and b"KEYUPDATE" not in await process.stderr.readline():
                    pass
            process.kill()
            await process.communicate()
            assert (await server.first()).data == b"one\ntwo\nthree\n"

    run(main())


@NEEDS_OPENSSL
def test_the_openssl_command_serves(run: Run, authority: Authority) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(authority.certificate)]
        process = await asyncio.create_subprocess_exec(
            *command, "-key", str(authority.certificate), "-rev", stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            while b"ACCEPT" not in await process.stdout.readline():
                pass
            async with connected(Address("tls", "127.0.0.1", port), authority.client) as client:
                client.transport.write(b"tomada\n")
                assert await client.hear(7) == b"adamot\n"
        finally:
            process.kill()
            await process.communicate()

    run(main())


def test_a_client_that_is_cancelled_in_its_handshake_leaves_nothing(run: Run, authority: Authority) -> None:
    async def main() -> None:
        gone = asyncio.get_running_loop().create_future()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert (await reader.readexactly(2)) == b"\x16\x03"
            connecting.cancel()
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
            gone.set_result(None)

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        address = Address("tls", "127.0.0.1", server.sockets[0].getsockname()[1])
        options = Options(tls=authority.client, handshake=30)
        connecting = asyncio.create_task(transports.connect(address, Talker, timeout=30, options=options))
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await gone
        server.close()

    run(main())


def test_a_listener_that_closes_ends_those_in_their_handshake(run: Run, authority: Authority) -> None:
    async def main() -> None:
        async with serving(authority.server) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"\x16\x03\x01")
            await greets(server.address, authority)  # so the other has been accepted
            assert len(server.listener.pending) == 1
            server.listener.close()
            assert await reader.read() == b""
            writer.close()
            assert server.listener.pending == set()

    run(main())


def test_a_protocol_is_agreed_on(run: Run, authority: Authority) -> None:
    async def main() -> None:
        async with serving(TLS(certificate=str(authority.certificate), protocols=("bank/2", "bank/1"))) as server:
            ours = TLS(authority=str(authority.file), protocols=("bank/1", "bank/2"))
            async with connected(server.address, ours) as client:
                client.transport.write(b"x")
                await client.hear(1)
                assert client.transport.get_extra_info("alpn") == "bank/2"
                assert (await server.first()).transport.get_extra_info("alpn") == "bank/2"
            async with connected(server.address, authority.client) as client:
                assert client.transport.get_extra_info("alpn") is None, "who offers none is served: RFC 7301"

    run(main())


def test_protocols_that_are_all_others_are_refused_with_the_alert_for_it(
    run: Run, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(TLS(certificate=str(authority.certificate), protocols=("bank/2",))) as server:
            other = TLS(authority=str(authority.file), protocols=("shop/1", "shop/2"))
            with pytest.raises(HandshakeFailed, match=r"ALPN\) in common \(its TLS alert: no application protocol\)"):
                await transports.connect(server.address, Talker, timeout=30, options=Options(tls=other))
            await greets(server.address, authority)
        assert "the client speaks ('shop/1', 'shop/2'), this end bank/2" in caplog.text

    run(main())


def test_a_server_that_chooses_no_protocol_is_left(run: Run, authority: Authority) -> None:
    async def main() -> None:
        async with serving(authority.server) as server:
            ours = TLS(authority=str(authority.file), protocols=("bank/2",))
            with pytest.raises(HandshakeFailed, match=r"ALPN\) in common: this end speaks bank/2$"):
                await transports.connect(server.address, Talker, timeout=30, options=Options(tls=ours))

    run(main())


def test_both_ends_know_each_other_with_mutual_tls(run: Run, authority: Authority) -> None:
    async def main() -> None:
        async with serving(authority.mutual()) as server, connected(server.address, authority.teller()) as client:
            client.transport.write(b"x")
            await client.hear(1)
            who = transports.identity((await server.first()).transport)
            assert who is not None
            assert (who.common_name, who.names) == ("teller 1", ("email:teller@example.org",))
            assert transports.identity(client.transport) is not None

    run(main())


def test_a_running_connection_starts_tls(run: Run, authority: Authority) -> None:
    async def main() -> None:
        plain = Address.parse("tcp://127.0.0.1:0")
        async with serving(None, address=plain) as server, connected(server.plain(), None) as client:
            client.transport.write(b"starttls")
            await client.hear(8)
            accepted = await server.first()
            starting: list[Any] = [
                stack.start_tls(client.transport, client, Options(tls=authority.client), hostname="localhost"),
                stack.start_tls(accepted.transport, accepted, Options(tls=authority.server)),
            ]
            client.transport, accepted.transport = await asyncio.gather(*starting)
            client.transport.write(b"now in secret")
            assert await client.hear(13) == b"NOW IN SECRET"
            assert transports.peer_address(client.transport).scheme == "tls"

    run(main())


def test_starting_tls_with_who_speaks_none_ends_the_connection(run: Run, authority: Authority) -> None:
    async def main() -> None:
        plain = Address.parse("tcp://127.0.0.1:0")
        async with serving(None, address=plain, echoes=False) as server, connected(server.plain(), None) as client:
            (await server.first()).transport.write(b"220 ready, but not for that")
            with pytest.raises(HandshakeFailed, match="does not speak TLS"):
                await stack.start_tls(client.transport, client, Options(tls=authority.client), hostname="localhost")
            assert isinstance(await client.lost, HandshakeFailed)

    run(main())


def test_starting_tls_without_a_certificate_says_what_is_missing(run: Run) -> None:
    async def main() -> None:
        plain = Address.parse("tcp://127.0.0.1:0")
        async with serving(None, address=plain) as server, connected(server.plain(), None) as client:
            client.transport.write(b"x")
            await client.hear(1)
            accepted = await server.first()
            with pytest.raises(HandshakeFailed, match="needs a certificate"):
                await stack.start_tls(accepted.transport, accepted, Options())
            await accepted.lost

    run(main())


def test_giving_up_while_tls_starts_ends_the_connection(run: Run, authority: Authority) -> None:
    async def main() -> None:
        plain = Address.parse("tcp://127.0.0.1:0")
        async with serving(None, address=plain, echoes=False) as server, connected(server.plain(), None) as client:
            accepted = await server.first()
            options = Options(tls=authority.client)
            starting = asyncio.create_task(stack.start_tls(client.transport, client, options, hostname="localhost"))
            await accepted.hear(100)
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            assert await client.lost is None

    run(main())


def test_a_listener_without_tls_has_nothing_to_reload(run: Run) -> None:
    async def main() -> None:
        async with serving(None, address=Address.parse("tcp://127.0.0.1:0")) as server:
            server.listener.reload_certificates()

    run(main())
