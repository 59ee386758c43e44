from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest

import tomada
from tests.authority import Authority
from tests.integration.conftest import Run
from tests.integration.house import Echo, Note, keep_asking
from tests.server.proxy import HERE, proxy
from tests.transports.proxy_headers import block, line, raw_block
from tomada import transports
from tomada.telemetry import HandshakeEnded, LimitStruck, subscribe

CLIENT, SERVER = ("192.0.2.7", 56_324), ("198.51.100.1", 443)
CLIENT6, SERVER6 = ("2001:db8::7", 9), ("2001:db8::1", 443)
TRUSTED = (f"{HERE}/32", "2001:db8::/32")


class Who(tomada.Request[tuple[str, str]]):
    pass


def app() -> tomada.App:
    app = tomada.App("proxied")

    @app.on
    async def who(_: Who, caller: tomada.Connection) -> tuple[str, str]:
        await caller.send(Note(str(caller.credentials)))
        return str(caller.peer), str(caller.is_open)

    @app.on
    async def echo(request: Echo) -> bytes:
        return request.data

    return app


@asynccontextmanager
async def serving(
    scheme: str = "tcp",
    *,
    authority: Authority | None = None,
    limits: tomada.Limits | None = None,
    deadlines: tomada.Deadlines | None = None,
    isolation: Literal["task", "thread"] = "task",
) -> AsyncIterator[tomada.Server]:
    """A server behind a proxy, and somebody who connects to it directly, and must not notice anything."""
    path = "/" if scheme in ("ws", "wss") else ""
    where = tomada.Address(scheme, "127.0.0.1", 0, path)
    tls = None if authority is None else authority.server
    serving = tomada.serve(
        app(), where, tls=tls, limits=limits, deadlines=deadlines, proxied_by=TRUSTED, isolation=isolation
    )
    trusting = None if authority is None else authority.client
    async with serving as server, tomada.connect(server.addresses[0], tls=trusting) as bystander:
        leaving = asyncio.Event()
        asked = asyncio.create_task(keep_asking(bystander, leaving))
        try:
            yield server
            assert (await bystander.ask(Who()))[0].partition("://")[2].startswith("127.0.0.1:")
        finally:
            leaving.set()
            await asked


@pytest.mark.parametrize("scheme", ["tcp", "tls", "ws", "wss"])
@pytest.mark.parametrize(
    ("header", "client"),
    [
        (line(CLIENT, SERVER), "192.0.2.7:56324"),
        (block(CLIENT, SERVER), "192.0.2.7:56324"),
        (block(CLIENT6, SERVER6, b"\x04\x00\x01x"), "[2001:db8::7]:9"),
    ],
    ids=["line", "block", "IPv6"],
)
@pytest.mark.parametrize("pieces", [1, 1_000])
def test_the_client_is_who_the_proxy_says(
    run: Run, authority: Authority, scheme: str, header: bytes, client: str, pieces: int
) -> None:
    secured = authority if scheme in ("tls", "wss") else None

    async def main() -> None:
        trusting = secured.client if secured else None
        async with (
            serving(scheme, authority=secured) as server,
            proxy(server.addresses[0], header, pieces) as between,
            tomada.connect(between.address, tls=trusting) as connection,
        ):
            peer, _ = await connection.ask(Who())
            assert peer == f"{scheme}://{client}"
            assert str(await connection.receive()) == str(Note("None"))
            data = os.urandom(500_000)
            assert await connection.ask(Echo(data)) == data

    run(main())


def test_a_byte_stream_has_the_client_s_name_and_where_it_connected_to(run: Run) -> None:
    async def main() -> None:
        app = tomada.App("streams")

        @app.stream("tcp://127.0.0.1:0")
        async def name(stream: tomada.Stream) -> None:
            await stream.send(f"{stream.peer} at {stream.address}\n".encode())
            async for data in stream:
                await stream.send(data)
            await stream.send_file(__file__)

        async with (
            tomada.serve(app, proxied_by=TRUSTED) as server,
            proxy(server.addresses[0], line(CLIENT, SERVER)) as between,
            tomada.connect_stream(between.address) as stream,
        ):
            assert await stream.receive_until(b"\n") == b"tcp://192.0.2.7:56324 at tcp://198.51.100.1:443"
            await stream.send(b"x" * 300_000)
            assert await stream.receive_exactly(300_000) == b"x" * 300_000
            await stream.shutdown()
            assert b"def test_a_byte_stream" in b"".join([data async for data in stream])

    run(main())


@pytest.mark.parametrize("header", [raw_block(0x20, 0, b""), b"PROXY UNKNOWN\r\n", raw_block(0x21, 0, b"")])
def test_a_proxy_that_speaks_for_itself_has_its_own_name(run: Run, header: bytes) -> None:
    async def main() -> None:
        async with (
            serving() as server,
            proxy(server.addresses[0], header) as between,
            tomada.connect(between.address) as connection,
        ):
            assert (await connection.ask(Who()))[0].startswith(f"tcp://{HERE}:")

    run(main())


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"", "it is no PROXY header: it begins with "),
        (b"PROXY TCP4 no\r\n", "its PROXY header cannot be read: "),
        (raw_block(0x23, 0, b""), "its PROXY header has the command 3; "),
    ],
)
def test_a_proxy_that_does_not_say_it_is_refused(run: Run, header: bytes, reason: str) -> None:
    async def main() -> None:
        told: list[HandshakeEnded] = []
        async with serving() as server, proxy(server.addresses[0], header) as between:
            with subscribe(told.append, HandshakeEnded), pytest.raises(tomada.TomadaError):
                await tomada.connect(between.address)
            (event,) = told
            assert event.peer.startswith(f"tcp://{HERE}:")
            assert event.reason.startswith(reason)
            assert event.reason.endswith("it comes from a network in proxied_by, and must begin with one")
            assert server.statistics().handshakes == 0

    run(main())


@pytest.mark.parametrize("header", [b"", b"PROXY TC", block(CLIENT, SERVER)[:20]])
def test_a_header_that_does_not_come_is_waited_for_as_long_as_a_handshake(run: Run, header: bytes) -> None:
    async def main() -> None:
        told: list[HandshakeEnded] = []
        async with serving(deadlines=tomada.Deadlines(handshake=0.3)) as server:
            host, port = server.addresses[0].host, server.addresses[0].port
            with subscribe(told.append, HandshakeEnded):
                reader, writer = await asyncio.open_connection(host, port, local_addr=(HERE, 0))
                writer.write(header)
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await reader.readexactly(1)
            assert [event.reason for event in told] == ["no handshake within 0.3 s"]
            assert server.statistics().handshakes == 0
            writer.transport.abort()

    run(main())


def test_a_proxy_that_goes_before_its_header_is_whole(run: Run) -> None:
    async def main() -> None:
        told: list[HandshakeEnded] = []
        async with serving() as server:
            host, port = server.addresses[0].host, server.addresses[0].port
            with subscribe(told.append, HandshakeEnded):
                reader, writer = await asyncio.open_connection(host, port, local_addr=(HERE, 0))
                writer.write(b"PROXY ")
                writer.write_eof()
                assert await reader.read() == b""
            assert told[0].reason == "the peer closed the connection during the handshake"
            assert server.statistics().handshakes == 0
            writer.transport.abort()

    run(main())


def test_what_others_send_is_never_taken_for_a_header(run: Run) -> None:
    async def main() -> None:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        app = tomada.App("streams")

        @app.stream("tcp://127.0.0.1:0")
        async def note(stream: tomada.Stream) -> None:
            heard.put_nowait(await stream.receive() + str(stream.peer.host).encode())

        async with (
            tomada.serve(app, proxied_by=TRUSTED) as server,
            tomada.connect_stream(server.addresses[0]) as stream,
        ):
            await stream.send(line(CLIENT, SERVER))
            assert await heard.get() == line(CLIENT, SERVER) + b"127.0.0.1"

    run(main())


@pytest.mark.parametrize("isolation", ["task", "thread"])
def test_a_host_s_connections_are_those_of_the_client_not_of_the_proxy(
    run: Run, isolation: Literal["task", "thread"]
) -> None:
    async def main() -> None:
        limits = tomada.Limits(connections_per_host=1)
        told: list[LimitStruck] = []
        async with serving(limits=limits, isolation=isolation) as server, subscribed(told):
            target = server.addresses[0]
            async with (
                proxy(target, line(CLIENT, SERVER)) as first,
                proxy(target, block(CLIENT, SERVER)) as same,
                proxy(target, block(("192.0.2.8", 1), SERVER)) as other,
                tomada.connect(first.address),
                tomada.connect(other.address),
            ):
                with pytest.raises(tomada.HandshakeFailed, match=r"the server has 1 connection of 192\.0\.2\.7, and"):
                    await tomada.connect(same.address)
        assert [(event.limit, event.where) for event in told] == [("connections_per_host", "192.0.2.7")]

    run(main())


@asynccontextmanager
async def subscribed(told: list[LimitStruck]) -> AsyncIterator[None]:
    with subscribe(told.append, LimitStruck):
        yield


def test_a_network_that_is_none_is_told_at_once() -> None:
    for wrong, text in (("10.0.0.1/8", "has host bits set"), ("everywhere", "does not appear to be")):
        with pytest.raises(ValueError, match=rf"^'{wrong}' in proxied_by is no network: .*{text}.*; write 10"):
            tomada.serve(app(), "tcp://127.0.0.1:0", proxied_by=(wrong,))
    with pytest.raises(ValueError, match=r"proxied_by is '10\.0\.0\.0/8', it must be a tuple"):
        tomada.serve(app(), "tcp://127.0.0.1:0", proxied_by="10.0.0.0/8")  # type: ignore[arg-type] # which is the case
    with pytest.raises(ValueError, match="proxied_by: of use at tcp, tls, ws, wss addresses alone, and there is none"):
        tomada.serve(app(), "unix:///tmp/x.sock", proxied_by=("10.0.0.0/8",))


def test_a_proxy_s_stream_that_was_adopted_elsewhere_knows_its_client(run: Run) -> None:
    async def main() -> None:
        taken: asyncio.Queue[tuple[socket.socket, transports.Ticket]] = asyncio.Queue()
        options = transports.Options(
            proxied_by=TRUSTED, admission=transports.Admission(tomada.Limits(connections_per_host=1))
        )
        made: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        class Named(asyncio.Protocol):
            ticket: transports.Ticket

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                made.set_result(str(transports.peer_address(transport)))
                transport.close()

        def take(accepted: socket.socket, ticket: transports.Ticket | None) -> None:
            assert ticket is not None
            taken.put_nowait((accepted, ticket))

        listener = await transports.accept(tomada.Address("tcp", "127.0.0.1", 0), take, options=options)
        async with proxy(listener.addresses[0], line(CLIENT, SERVER)) as between:
            stream = await tomada.connect_stream(between.address)
            accepted, ticket = await taken.get()
            assert ticket.host == "", "nobody has said whose it is"
            assert ticket.enter() == ""
            await transports.adopt(accepted, listener.addresses[0], Named, options, ticket)
            assert await made == "tcp://192.0.2.7:56324"
            await stream.close()
        listener.close()

    run(main())
