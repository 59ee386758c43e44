from __future__ import annotations

import asyncio
import logging

import pytest

import tomada
from tests.authority import Authority
from tests.integration.conftest import Run
from tests.integration.house import Back, Broke, Echo, Fail, Hold, Make, Note, Push, Secured, Stage, house, serving
from tomada import transports


class WhoAmI(tomada.Request[str]):
    pass


@pytest.fixture
def secured(authority: Authority) -> Secured:
    return authority.server, authority.client


def other_scheme(address: tomada.Address, scheme: str) -> tomada.Address:
    return tomada.Address(scheme, address.host, address.port)


def test_everything_that_messages_do_they_do_over_tls(run: Run, secured: Secured) -> None:
    async def main() -> None:
        async with (
            serving(secured=secured) as (server, stage),
            tomada.connect(server.addresses[0], tls=secured[1], app=house(stage)) as client,
        ):
            assert str(client.peer).startswith("tls://127.0.0.1:")
            assert await client.ask(Echo(bytes(3_000_000))) == bytes(3_000_000)
            assert await client.ask(Back(9)) == 9
            with pytest.raises(Broke):
                await client.ask(Fail("typed"))
            await client.send(Note("one way"))
            await stage.until("note one way")
            sizes = range(0, 200_000, 10_007)
            assert [len(data) for data in await asyncio.gather(*[client.ask(Make(size)) for size in sizes])] == [*sizes]
            held = asyncio.create_task(client.ask(Hold("a")))
            await stage.until("began a")
            held.cancel()
            await stage.until("cancelled a")

    run(main())


def test_a_reader_that_is_slow_holds_its_server_back(run: Run, secured: Secured) -> None:
    async def main() -> None:
        limits = tomada.Limits(buffer_bytes=10_000)
        async with (
            serving(secured=secured, limits=limits) as (server, _),
            tomada.connect(server.addresses[0], tls=secured[1], limits=limits) as client,
        ):
            pushed = asyncio.create_task(client.ask(Push(5_000)))
            for number in range(5_000):
                message = await client.receive()
                assert isinstance(message, Note)
                assert message.text == str(number)
            assert await pushed == 5_000

    run(main())


def test_hooks_run_and_a_server_that_stops_answers_first(run: Run, secured: Secured) -> None:
    async def main() -> None:
        def app(stage: Stage) -> tomada.App:
            made = house(stage)

            @made.on_connect
            async def connected(peer: tomada.Connection) -> None:
                stage.mark(f"connect {peer.peer.scheme}")

            @made.on_disconnect
            async def disconnected(peer: tomada.Connection) -> None:
                stage.mark(f"disconnect {peer.end_reason}")

            return made

        stage = Stage()
        server = await tomada.serve(app(stage), "tls://127.0.0.1:0", tls=secured[0])
        client = await tomada.connect(server.addresses[0], tls=secured[1])
        held = asyncio.create_task(client.ask(Hold("work")))
        await stage.until("connect tls", "began work")
        closing = asyncio.create_task(server.close())
        with pytest.raises(tomada.ConnectionLost):
            await client.receive()
        stage.open("work")
        assert await held == "work"
        await closing
        assert stage.events[-1] == "disconnect the server stops"
        await client.close()
        assert client.end_reason.startswith("the peer said goodbye (going away)")

    run(main())


def test_a_handler_knows_who_asks(run: Run, authority: Authority) -> None:
    app = tomada.App("door")

    @app.on
    async def who(_: WhoAmI, peer: tomada.Connection) -> str:
        assert peer.identity is not None
        return f"{peer.identity.common_name} {peer.identity.names[0]} {peer.alpn}"

    async def main() -> None:
        teller = authority.teller()
        ours = tomada.TLS(certificate=teller.certificate, authority=teller.authority, protocols=("bank/1",))
        async with (
            tomada.serve(app, "tls://127.0.0.1:0", tls=authority.mutual("bank/1")) as server,
            tomada.connect(server.addresses[0], tls=ours) as client,
        ):
            assert await client.ask(WhoAmI()) == "teller 1 email:teller@example.org bank/1"
            assert client.identity is not None
            assert "dns:localhost" in client.identity.names
            with pytest.raises(tomada.HandshakeFailed, match="the peer refused: it wants a certificate of this end"):
                await tomada.connect(server.addresses[0], tls=authority.client)

    run(main())


def test_without_tls_nobody_is_known(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            assert client.identity is None
            assert client.alpn is None

    run(main())


def test_who_takes_tcp_for_tls_or_tls_for_tcp_is_told_at_both_ends(
    run: Run, secured: Secured, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(secured=secured) as (server, _):
            with pytest.raises(
                tomada.HandshakeFailed, match="it sent a TLS alert: it speaks TLS, use a tls:// address"
            ):
                await tomada.connect(other_scheme(server.addresses[0], "tcp"))
        async with serving() as (server, _):
            with pytest.raises(tomada.ConnectFailed, match="if it speaks none, use a tcp:// address"):
                await tomada.connect(other_scheme(server.addresses[0], "tls"), tls=secured[1])
        assert "refused: spoke plain tcp to a tls address: it must connect to tls://" in caplog.text
        assert "it sent a TLS hello: connect with tcp:// to an address without TLS" in caplog.text

    run(main())


def test_a_connection_that_was_cut_on_its_way_says_so(run: Run, secured: Secured) -> None:
    async def main() -> None:
        writers: list[asyncio.StreamWriter] = []

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            while data := await reader.read(65_536):
                writer.write(data)
            writer.close()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            beyond = await asyncio.open_connection("127.0.0.1", server.addresses[0].port)
            await asyncio.gather(carry(reader, beyond[1]), carry(beyond[0], writer))

        async with serving(secured=secured) as (server, stage):
            between = await asyncio.start_server(accept, "127.0.0.1", 0)
            address = tomada.Address("tls", "127.0.0.1", between.sockets[0].getsockname()[1])
            client = await tomada.connect(address, tls=secured[1], sessions=False)
            held = asyncio.create_task(client.ask(Hold("a")))
            await stage.until("began a")
            for writer in writers:
                writer.write_eof()
            with pytest.raises(tomada.ConnectionLost, match="without TLS close_notify: the end may have been cut off"):
                await held
            await client.close()
            await stage.until("cancelled a")
            between.close()

    run(main())


def test_a_hundred_clients_come_and_go(run: Run, secured: Secured) -> None:
    async def main() -> None:
        async def visit(number: int) -> None:
            async with tomada.connect(server.addresses[0], tls=secured[1]) as client:
                data = b"%d" % number * 1_000
                assert await client.ask(Echo(data)) == data

        async with serving(secured=secured) as (server, _):
            await asyncio.gather(*[visit(number) for number in range(100)])

    run(main())


def test_a_client_that_does_nothing_after_its_hello_is_late(
    run: Run, secured: Secured, caplog: pytest.LogCaptureFixture
) -> None:
    """The deadline for the handshake is one, for TLS and what comes after it."""

    async def main() -> None:
        deadlines = tomada.Deadlines(handshake=0.2)
        async with serving(secured=secured, deadlines=deadlines) as (server, _):
            lost = asyncio.get_running_loop().create_future()

            class Silent(asyncio.Protocol):
                def connection_lost(self, exc: Exception | None) -> None:
                    lost.set_result(exc)

            options = transports.Options(tls=secured[1])
            await transports.connect(server.addresses[0], Silent, timeout=30, options=options)
            assert await lost is None
        assert "no handshake within 0.2 s" in caplog.text

    run(main())


def test_certificates_are_reloaded(run: Run, authority: Authority, secured: Secured) -> None:
    async def main() -> None:
        file = authority.folder / "changing.pem"
        file.write_bytes(authority.issue("before", "127.0.0.1").read_bytes())
        own = tomada.TLS(certificate=str(file))
        async with serving(secured=(own, secured[1])) as (server, _):
            seen = []
            for name in ("after", "wrong"):
                async with tomada.connect(server.addresses[0], tls=secured[1]) as client:
                    assert client.identity is not None
                    seen.append(client.identity.fingerprint)
                file.write_bytes(authority.issue(name, "127.0.0.1").read_bytes() if name == "after" else b"")
                if name == "after":
                    server.reload_certificates()
            assert len(set(seen)) == 2
            with pytest.raises(tomada.ListenFailed, match="the certificate stays as it was"):
                server.reload_certificates()

    run(main())


def test_a_server_without_a_certificate_is_told_what_to_give(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def main() -> None:
        with pytest.raises(tomada.ListenFailed, match=r"tls=tomada.TLS\(certificate=…, key=…\), or --tls-certificate"):
            await tomada.serve(house(Stage()), "tls://127.0.0.1:0")

    run(main())
