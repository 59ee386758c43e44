"""Datagrams through socket files."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

import pytest

import tomada
import tomada.sync
from tests.datagrams.ends import SOON, bound, received
from tests.integration.conftest import Run
from tomada.transports.datagram import MAX_UNIX_DATAGRAM


def test_there_and_back_and_the_file_goes(run: Run, folder: Path) -> None:
    async def main() -> None:
        async with (
            tomada.bind(f"unixgram://{folder}/one") as one,
            tomada.bind(f"unixgram://{folder}/other") as other,
        ):
            await one.send(b"ping", other.address)
            datagram = await other.receive(timeout=SOON)
            assert datagram.peer == one.address
            await other.send(b"pong", datagram.peer)
            assert await received(one, 1) == [b"pong"]

    run(main())
    assert list(folder.iterdir()) == []


def test_a_sender_without_a_name_cannot_be_answered(run: Run, folder: Path) -> None:
    async def main() -> None:
        async with tomada.bind(f"unixgram://{folder}/one") as one:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
                nameless.sendto(b"x", f"{folder}/one")
            datagram = await one.receive(timeout=SOON)
            assert str(datagram.peer) == "unixgram://"
            with pytest.raises(tomada.DatagramError, match="a peer without a name: it must bind a path"):
                await one.send(b"y", datagram.peer)

    run(main())


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_stale_file_is_replaced_and_a_living_one_is_not(run: Run, folder: Path, kind: socket.SocketKind) -> None:
    path = f"{folder}/one"

    async def main() -> None:
        with socket.socket(socket.AF_UNIX, kind) as dead:
            dead.bind(path)
            if kind == socket.SOCK_DGRAM:
                with pytest.raises(tomada.AddressInUse, match="another process receives there"):
                    await tomada.bind(f"unixgram://{path}")
                with pytest.raises(tomada.AddressInUse, match="another process receives there"):
                    tomada.sync.bind(f"unixgram://{path}")
        if kind == socket.SOCK_DGRAM:
            async with tomada.bind(f"unixgram://{path}"):
                pass

    run(main())


def test_what_is_in_the_way(run: Run, folder: Path) -> None:
    (folder / "file").write_text("precious")
    with socket.socket(socket.AF_UNIX) as streams:
        streams.bind(f"{folder}/streams")
        streams.listen()

        async def main() -> None:
            with pytest.raises(tomada.ListenFailed, match="a file that is no socket is there"):
                await tomada.bind(f"unixgram://{folder}/file")
            with pytest.raises(tomada.AddressInUse, match="another process receives there"):
                await tomada.bind(f"unixgram://{folder}/streams")
            with pytest.raises(tomada.ListenFailed, match="there is no directory"):
                await tomada.bind(f"unixgram://{folder}/none/one")
            with pytest.raises(tomada.ConnectFailed, match="there is no such file"):
                await tomada.bind(f"unixgram://{folder}/own", peer=f"unixgram://{folder}/none")
            with pytest.raises(tomada.ConnectFailed, match="is for streams; take a unix address"):
                await tomada.bind(f"unixgram://{folder}/own", peer=f"unixgram://{folder}/streams")
            assert not (folder / "own").exists()

        run(main())
    assert (folder / "file").read_text() == "precious"


def test_a_receiver_that_is_full_or_gone_holds_up_nobody(run: Run, folder: Path) -> None:
    async def main() -> None:
        async with (
            tomada.bind(f"unixgram://{folder}/one") as one,
            tomada.bind(f"unixgram://{folder}/healthy") as healthy,
        ):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
                full.bind(f"{folder}/full")
                for _ in range(2_000):
                    await one.send(b"x" * 100, f"unixgram://{folder}/full")
                    await asyncio.sleep(0)
                    if one.statistics.given_up:
                        break
                await one.send(b"you", healthy.address)
                assert await received(healthy, 1) == [b"you"]
                assert one.statistics.given_up > 0
            await one.send(b"gone", f"unixgram://{folder}/full")
            await one.send(b"and you", healthy.address)
            assert await received(healthy, 1) == [b"and you"]
            assert one.statistics.refused == 1

    run(main())


def test_a_connected_sender_waits_for_a_full_receiver(run: Run, folder: Path) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as slow:
            slow.bind(f"{folder}/slow")
            async with tomada.bind(
                f"unixgram://{folder}/one",
                peer=f"unixgram://{folder}/slow",
                limits=tomada.DatagramLimits(buffer_bytes=1_000),
            ) as one:

                async def flood() -> None:
                    for _ in range(5_000):
                        await one.send(b"x" * 100, timeout=0.05)

                with pytest.raises(tomada.TimedOut, match="there was no room to send within"):
                    await flood()
                with pytest.raises(tomada.BufferFull):
                    one.send_nowait(b"x")
                sending = asyncio.create_task(one.send(b"last", timeout=SOON))
                slow.settimeout(0)
                data = b""
                async with asyncio.timeout(SOON):
                    while data != b"last":
                        with suppress(BlockingIOError):
                            data = slow.recv(1_000)
                        await asyncio.sleep(0)
                await sending
                assert one.statistics.given_up == 0

    run(main())


def test_one_that_is_too_long_is_never_delivered_cut(run: Run, folder: Path) -> None:
    async def main() -> None:
        async with tomada.bind(f"unixgram://{folder}/one") as one:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MAX_UNIX_DATAGRAM)
                try:
                    sender.sendto(b"x" * (MAX_UNIX_DATAGRAM + 1), f"{folder}/one")
                except OSError:
                    pytest.skip("this system sends none that long")
                sender.sendto(b"whole", f"{folder}/one")
            assert await received(one, 1) == [b"whole"]
            assert one.statistics.truncated == 1
            with pytest.raises(tomada.DatagramTooLong):
                await one.send(b"x" * (MAX_UNIX_DATAGRAM + 1), one.address)

    run(main())


def test_the_blocking_twin_counts_them_too(folder: Path) -> None:
    with tomada.sync.bind(f"unixgram://{folder}/one") as one:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MAX_UNIX_DATAGRAM)
            try:
                sender.sendto(b"x" * (MAX_UNIX_DATAGRAM + 1), f"{folder}/one")
            except OSError:
                pytest.skip("this system sends none that long")
            sender.sendto(b"whole", f"{folder}/one")
        assert one.receive(timeout=SOON).data == b"whole"
        assert one.statistics.truncated == 1


def test_an_unnamed_end_on_linux(run: Run, folder: Path) -> None:
    async def main() -> None:
        from tomada.address import Address  # noqa: PLC0415 - here only

        async with tomada.bind(f"unixgram://{folder}/one") as one, bound(Address("unixgram"), one.address) as unnamed:
            await unnamed.send(b"hello")
            datagram = await one.receive(timeout=SOON)
            await one.send(b"back", datagram.peer)
            assert await received(unnamed, 1) == [b"back"]

    run(main())
