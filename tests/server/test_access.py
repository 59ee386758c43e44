"""Who may connect over a Unix socket, and who it was."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import tomada
import tomada.sync
from tests.integration.conftest import Run
from tests.integration.house import Echo
from tomada.telemetry import HandshakeEnded, subscribe

OWN = tomada.Credentials(os.getpid(), os.getuid(), os.getgid())
STRANGER = os.getuid() + 1


class Who(tomada.Request[tuple[int, int, int] | None]):
    pass


def app(seen: list[tomada.Credentials | None]) -> tomada.App:
    app = tomada.App("access")

    @app.on
    async def who(_: Who, caller: tomada.Connection) -> tuple[int, int, int] | None:
        known = caller.credentials
        return None if known is None else (known.process, known.user, known.group)

    @app.on
    async def echo(request: Echo) -> bytes:
        return request.data

    @app.on_disconnect
    async def gone(caller: tomada.Connection) -> None:
        seen.append(caller.credentials)

    return app


def test_each_end_knows_the_other_also_after_its_end(run: Run, folder: Path) -> None:
    async def main() -> None:
        seen: list[tomada.Credentials | None] = []
        async with tomada.serve(app(seen), f"unix://{folder}/a.sock", "tcp://127.0.0.1:0") as server:
            here, there = server.addresses
            async with tomada.connect(here) as client:
                assert client.credentials == OWN
                assert await client.ask(Who()) == (OWN.process, OWN.user, OWN.group)
            assert client.credentials == OWN
            async with tomada.connect(there) as client:
                assert client.credentials is None
                assert await client.ask(Who()) is None
        assert seen == [OWN, None]

    run(main())


def test_streams_and_programs_without_a_loop_know_it_too(run: Run, folder: Path) -> None:
    def ask(address: str) -> None:
        with tomada.sync.connect(address) as client:
            assert (client.credentials, client.ask(Who())) == (OWN, (OWN.process, OWN.user, OWN.group))
        assert not client.credentials
        with tomada.sync.connect_stream(address.replace("a.sock", "s.sock")) as stream:
            assert stream.credentials == OWN

    async def main() -> None:
        server_app = app([])

        @server_app.stream(f"unix://{folder}/s.sock")
        async def name(stream: tomada.Stream) -> None:
            assert stream.credentials == OWN
            await stream.send(b"known")

        async with tomada.serve(server_app, f"unix://{folder}/a.sock"):
            async with tomada.connect_stream(f"unix://{folder}/s.sock") as stream:
                assert stream.credentials == OWN
                assert await stream.receive() == b"known"
            await asyncio.to_thread(ask, f"unix://{folder}/a.sock")

    run(main())


def test_who_is_not_allowed_is_told(run: Run, folder: Path) -> None:
    async def main() -> None:
        told: list[HandshakeEnded] = []
        address = f"unix://{folder}/a.sock"
        refused = f"^{address} refused the connection: user {OWN.user} may not connect$"
        async with tomada.serve(app([]), address, allow_users=(STRANGER,)) as server:
            with subscribe(told.append, HandshakeEnded), pytest.raises(tomada.HandshakeFailed, match=refused):
                await tomada.connect(address)
            assert [event.reason for event in told] == [f"user {OWN.user} may not connect"]
            with pytest.raises(tomada.HandshakeFailed, match=refused):
                await asyncio.to_thread(tomada.sync.connect, address)
            assert server.statistics().handshakes == 0

    run(main())


@pytest.mark.parametrize("allowed", [OWN.user, str(OWN.user)])
def test_who_is_allowed_gets_in(run: Run, folder: Path, allowed: int | str) -> None:
    async def main() -> None:
        address = f"unix://{folder}/a.sock"
        async with tomada.serve(app([]), address, allow_users=(STRANGER, allowed)), tomada.connect(address) as client:
            assert await client.ask(Echo(b"in")) == b"in"

    run(main())


def test_a_stream_of_who_is_not_allowed_is_cut_before_its_handler(run: Run, folder: Path) -> None:
    async def main() -> None:
        told: list[HandshakeEnded] = []
        begun: list[str] = []
        server_app = tomada.App("streams")

        @server_app.stream(f"unix://{folder}/s.sock")
        async def handle(stream: tomada.Stream) -> None:
            begun.append(str(stream))

        async with tomada.serve(server_app, allow_users=(STRANGER,)):
            with subscribe(told.append, HandshakeEnded):
                async with tomada.connect_stream(f"unix://{folder}/s.sock") as stream:
                    assert await stream.receive() == b""
            assert [event.reason for event in told] == [f"user {OWN.user} may not connect"]
        assert begun == []

    run(main())


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")
def test_another_user_is_known_as_such(run: Run, folder: Path) -> None:
    folder.chmod(0o755)

    async def main() -> None:
        address = f"unix://{folder}/a.sock"
        seen: list[tomada.Credentials | None] = []
        async with tomada.serve(app(seen), address, unix_mode=0o666):
            pid = await asyncio.to_thread(connect_as, 4_001, 4_002, address)
        assert seen == [tomada.Credentials(pid, 4_001, 4_002)]

    run(main())


AS_SOMEBODY_ELSE = """
import os, sys, tomada.sync
os.setgroups([])
os.setresgid(*3 * [int(sys.argv[2])])
os.setresuid(*3 * [int(sys.argv[1])])
tomada.sync.connect(sys.argv[3]).close()
"""


def connect_as(user: int, group: int, address: str) -> int:
    """Let a process of that user connect, and complete the handshake; its id."""
    words = [sys.executable, "-c", AS_SOMEBODY_ELSE, str(user), str(group), address]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as started:
        _, said = started.communicate(timeout=30)
        assert started.returncode == 0, said
        return started.pid


def test_the_file_has_its_mode(run: Run, folder: Path) -> None:
    async def main() -> None:
        file = folder / "a.sock"
        async with tomada.serve(app([]), f"unix://{file}", unix_mode=0o640, unix_owner=str(OWN.user)):
            assert stat.S_IMODE(file.stat().st_mode) == 0o640

    run(main())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"unix_mode": 0o660},
            "unix_mode and unix_owner: of use at unix, unixgram addresses alone, and there is none in tcp",
        ),
        ({"unix_owner": "ana"}, "unix_mode and unix_owner: of use at unix, unixgram addresses alone"),
        ({"allow_users": ("ana",)}, "allow_users: of use at unix addresses alone"),
        ({"unix_mode": 0o7777}, "unix_mode is 4095, it must be from 0 to 0o777"),
        ({"allow_users": "ana"}, "allow_users is 'ana', it must be a tuple"),
    ],
)
def test_what_would_guard_nothing_is_refused_at_once(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}"):
        tomada.serve(app([]), "tcp://127.0.0.1:0", **options)  # type: ignore[arg-type] # wrong ones among them


def test_a_file_for_datagrams_has_its_mode_too(run: Run, folder: Path) -> None:
    async def main() -> None:
        server_app = app([])

        @server_app.datagram(f"unixgram://{folder}/handler.sock")
        async def take(datagram: bytes, peer: tomada.DatagramPeer) -> None:
            assert datagram == b"never sent", peer

        async with tomada.serve(server_app, f"unixgram://{folder}/messages.sock", unix_mode=0o620):
            for name in ("handler.sock", "messages.sock"):
                assert stat.S_IMODE((folder / name).stat().st_mode) == 0o620

    run(main())


def test_an_address_of_a_stream_s_handler_counts(folder: Path) -> None:
    app = tomada.App("streams")

    @app.stream(f"unix://{folder}/s.sock")
    async def handle(stream: tomada.Stream) -> None:
        await stream.close()

    tomada.serve(app, "tcp://127.0.0.1:0", unix_mode=0o600)


def test_users_of_one_machine_count_each_by_itself(run: Run, folder: Path) -> None:
    async def main() -> None:
        address = f"unix://{folder}/a.sock"
        async with tomada.serve(app([]), address, limits=tomada.Limits(connections_per_host=1)):
            async with tomada.connect(address):
                with pytest.raises(tomada.HandshakeFailed, match=f"has 1 connection of user {OWN.user}, and takes no"):
                    await tomada.connect(address)
            async with tomada.connect(address, wait=5) as again:
                assert await again.ask(Echo(b"again")) == b"again"

    run(main())


def test_a_socket_that_is_none_of_unix_has_no_credentials() -> None:
    from tomada.transports.credentials import credentials  # noqa: PLC0415 - here alone

    with socket.socket(socket.AF_INET) as own:
        assert credentials(own) is None
