"""The FTP server, with ftplib and curl as its clients, and with sockets that mean harm."""

from __future__ import annotations

import asyncio
import ftplib
import io
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tomada
from tests.examples.classics.conftest import Load, Run, Serve, all_from, ran, raw, tool

ANA = {"FTP_USER": "ana", "FTP_PASSWORD": "secret"}
SONG = random.Random(2).randbytes(300_000)


@pytest.fixture(scope="module")
def at(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> tuple[tomada.Address, Path]:
    folder = tmp_path_factory.mktemp("ftp") / "root"
    (folder / "music").mkdir(parents=True)
    (folder / "song.flac").write_bytes(SONG)
    (folder / "long").touch()
    os.truncate(folder / "long", 100_000_000)
    (folder.parent / "secret").write_text("secret")
    (folder / "way-out").symlink_to(folder.parent / "secret")
    (folder / "way-up").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe")
    (address,) = serve("ftp_server", ADDRESS="tcp://127.0.0.1:0", ROOT=folder, **ANA)
    return address, folder


@pytest.fixture
def root(at: tuple[tomada.Address, Path]) -> Path:
    return at[1]


@pytest.fixture
def address(at: tuple[tomada.Address, Path]) -> tomada.Address:
    return at[0]


Connect = Callable[..., ftplib.FTP]


@pytest.fixture
def connect(address: tomada.Address) -> Iterator[Connect]:
    clients = []

    def connected(*who: str) -> ftplib.FTP:
        client = ftplib.FTP(timeout=50)  # noqa: S321 - the server's own protocol
        clients.append(client)
        client.connect(address.host, address.port or 0)
        client.login(*who)
        return client

    yield connected
    for client in clients:
        client.close()


def fetched(client: ftplib.FTP, name: str, rest: int | None = None) -> bytes:
    data = io.BytesIO()
    client.retrbinary(f"RETR {name}", data.write, rest=rest)
    return data.getvalue()


def test_down_and_from_the_middle(connect: Connect) -> None:
    client = connect()
    assert fetched(client, "song.flac") == SONG
    assert fetched(client, "song.flac", 299_000) == SONG[299_000:]
    assert fetched(client, "song.flac") == SONG, "a beginning counts once"
    assert fetched(client, "song.flac", 300_000) == b""
    with pytest.raises(ftplib.error_perm, match="554"):
        fetched(client, "song.flac", 300_001)
    assert client.size("song.flac") == 300_000
    assert client.sendcmd("MDTM song.flac")[:6] == "213 20"
    assert client.quit() == "221 goodbye"


def test_up_resumed_appended_and_away(connect: Connect, root: Path) -> None:
    client = connect("ana", "secret")
    client.storbinary("STOR new", io.BytesIO(SONG))
    client.storbinary("STOR new", io.BytesIO(b"end"), rest=1_000)
    assert (root / "new").read_bytes() == SONG[:1_000] + b"end"
    client.storbinary("APPE new", io.BytesIO(b"!"))
    assert (root / "new").read_bytes() == SONG[:1_000] + b"end!"
    with pytest.raises(ftplib.error_perm, match="554"):
        client.storbinary("STOR new", io.BytesIO(b"x"), rest=2_000)
    assert client.mkd('a "b"') == '/a "b"'
    client.rename("new", 'a "b"/old')
    assert client.nlst('a "b"') == ["old"]
    client.cwd('a "b"')
    assert client.pwd() == '/a "b"'
    client.delete("old")
    assert client.sendcmd("CDUP") == "250 done"
    client.rmd('a "b"')
    assert not (root / 'a "b"').exists()


def test_listings(connect: Connect) -> None:
    client = connect()
    lines: list[str] = []
    client.dir("-la", lines.append)
    assert any(line.startswith("drwx") and line.endswith(" music") for line in lines)
    assert any(line.startswith("-rw") and " 300000 " in line and line.endswith(" song.flac") for line in lines)
    facts = dict(client.mlsd())
    assert facts["song.flac"]["type"] == "file"
    assert facts["song.flac"]["size"] == "300000"
    assert facts["music"]["type"] == "dir"
    assert client.nlst("music") == []
    with pytest.raises(ftplib.error_perm, match="550 No such file"):
        client.nlst("nothing")


def test_curl_lists_loads_resumes_and_uploads(address: tomada.Address, root: Path, tmp_path: Path) -> None:
    url, file = f"127.0.0.1:{address.port}", tmp_path / "song.flac"
    assert " song.flac" in ran("curl", "-sS", f"ftp://{url}/").stdout
    file.write_bytes(SONG[:100_000])
    for more in ("--ftp-pasv", "--disable-epsv"):
        words = ("-sS", more, "--continue-at", "-", "--output", str(file), f"ftp://{url}/song.flac")
        assert ran("curl", *words).returncode == 0
        assert file.read_bytes() == SONG
        file.unlink()
    file.write_bytes(SONG)
    (root / "up").write_bytes(SONG[:5])
    upload = ("-sS", "--upload-file", str(file), "--continue-at", "-", f"ftp://ana:secret@{url}/up")
    assert ran("curl", *upload).returncode == 0
    assert (root / "up").read_bytes() == SONG
    refused = ran("curl", "-sS", "--upload-file", str(file), f"ftp://{url}/other")
    assert refused.returncode != 0
    assert not (root / "other").exists()


def test_who_may_do_what(connect: Connect, root: Path) -> None:
    for who in (("ana", "wrong"), ("rui", "secret")):
        with pytest.raises(ftplib.error_perm, match="530 no"):
            connect(*who)
    for command in ("DELE song.flac", "MKD x", "RMD music", "RNFR song.flac", "STOR x", "APPE song.flac"):
        with pytest.raises(ftplib.error_perm, match="530 log in"):
            connect().sendcmd(command)
    assert (root / "song.flac").read_bytes() == SONG


@pytest.mark.parametrize(
    "name", ["../secret", "/../../secret", "way-out", "way-up/secret", "music/../../secret", "//../secret", "pipe"]
)
def test_nothing_outside_of_the_root_is_touched(connect: Connect, root: Path, name: str) -> None:
    client = connect("ana", "secret")
    with pytest.raises(ftplib.error_perm, match="550"):
        fetched(client, name)
    with pytest.raises(ftplib.error_perm, match="550"):
        client.size(name)
    client.cwd("/")
    for folder in ("..", "/../..", "music/../../.."):
        client.cwd(folder)
        assert client.pwd() == "/"
    with pytest.raises(ftplib.error_perm, match="550"):
        client.cwd("way-up")
    with pytest.raises(ftplib.error_perm, match="550"):
        client.rmd("/")
    with pytest.raises(ftplib.error_perm, match="550"):
        client.storbinary("STOR way-up/new", io.BytesIO())
    assert (root.parent / "secret").read_text() == "secret"
    assert not (root.parent / "new").exists()


def test_a_link_is_removed_and_not_what_it_leads_to(connect: Connect, root: Path) -> None:
    (root / "link").symlink_to("song.flac")
    connect("ana", "secret").delete("link")

    assert (root / "song.flac").exists()


def test_an_upload_that_breaks_off_stays_for_the_client_to_go_on(connect: Connect, root: Path) -> None:
    client = connect("ana", "secret")
    with client.transfercmd("STOR broken") as data:
        data.sendall(SONG[:150_000])
        data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    with pytest.raises(ftplib.error_temp, match="426"):
        client.voidresp()
    size = client.size("broken")
    assert size is not None
    client.storbinary("STOR broken", io.BytesIO(SONG[size:]), rest=size)
    assert (root / "broken").read_bytes() == SONG


def test_a_file_that_shrinks_is_not_taken_for_whole(address: tomada.Address, root: Path, tmp_path: Path) -> None:
    (root / "film").touch()
    os.truncate(root / "film", 200_000_000)
    url = f"ftp://127.0.0.1:{address.port}/film"
    words = ("--silent", "--limit-rate", "20M", "--ignore-content-length", "--output", str(tmp_path / "film"), url)
    with subprocess.Popen([tool("curl"), *words]) as process:
        while not (tmp_path / "film").exists() or not (tmp_path / "film").stat().st_size:
            assert process.poll() is None
        os.truncate(root / "film", 1_000)
        assert process.wait(30) != 0


def test_a_transfer_is_aborted(connect: Connect) -> None:
    client = connect()
    with client.transfercmd("RETR long") as data:
        assert data.recv(100)
        assert client.abort().startswith("426"), "ftplib sends the end of that line out of band"
        assert client.getresp() == "226 nothing is under way"
    with client.transfercmd("RETR long"):
        assert client.sock is not None
        client.sock.sendall(b"\xff\xf4")  # Telnet's interrupt, and its mark out of band (RFC 959, section 4.1.3)
        client.sock.sendall(b"\xff\xf2", socket.MSG_OOB)
        client.sock.sendall(b"ABOR\r\n")
        with pytest.raises(ftplib.error_temp, match="426"):
            client.getresp()
        assert client.getresp().startswith("226")
    assert client.sendcmd("ABOR").startswith("226")
    assert fetched(client, "song.flac") == SONG


def test_a_data_port_is_for_the_one_client(
    load: Load, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"for one pair of eyes")
    classic = load("ftp_server", ADDRESS="tcp://0.0.0.0:0", ROOT=tmp_path)
    monkeypatch.setattr(classic, "CONNECT_SECONDS", 0.5)

    async def main() -> None:
        async with tomada.serve(classic.app) as server:
            control = await tomada.connect_stream(tomada.Address("tcp", "127.0.0.1", server.addresses[0].port))

            async def say(*commands: bytes) -> bytes:
                answer = b""
                for command in commands:
                    await control.send(command + b"\r\n")
                    answer = await control.receive_until(b"\r\n")
                return answer

            await control.receive_until(b"\r\n")
            port = (await say(b"USER ftp", b"PASS x", b"EPSV")).split(b"|")[3]
            # Another host, which has guessed the port and comes first.
            stranger = socket.socket()
            stranger.bind(("127.0.0.2", 0))
            stranger.setblocking(False)
            await asyncio.get_running_loop().sock_connect(stranger, ("127.0.0.1", int(port)))
            assert (await say(b"RETR file")).startswith(b"150")
            async with tomada.connect_stream(f"tcp://127.0.0.1:{int(port)}") as data:
                assert await data.receive_exactly(20) == b"for one pair of eyes"
            assert (await control.receive_until(b"\r\n")).startswith(b"226")
            with stranger, pytest.raises(ConnectionResetError):
                await asyncio.get_running_loop().sock_recv(stranger, 1)
            # The port is closed when it has been used, and when nobody comes.
            with pytest.raises(tomada.ConnectFailed):
                await tomada.connect_stream(f"tcp://127.0.0.1:{int(port)}")
            assert (await say(b"RETR file")).startswith(b"425 say PASV")
            assert (await say(b"PASV", b"RETR file")).startswith(b"150")
            assert (await control.receive_until(b"\r\n")).startswith(b"425 nobody came")
            control.abort()

    run(main())


@pytest.mark.parametrize(
    ("flood", "answer"),
    [
        (b"X" * 1_000_000, b"220 tomada\r\n"),
        (b"\x00\xff\r\n" * 100_000, b"221 goodbye\r\n"),
        (b"USER ana\r\nPASS guess\r\n" * 50, b"530 no\r\n221 goodbye\r\n"),
        (b"USER ftp\r\nPASS x\r\n" + b"EPSV\r\n" * 200 + b"QUIT\r\n", b"221 goodbye\r\n"),
        (b"USER ftp\r\nPASS x\r\nSIZE a\x00b\r\nREST " + b"9" * 4_000 + b"\r\nQUIT\r\n", b"221 goodbye\r\n"),
    ],
)
def test_floods_end_while_others_are_served(
    address: tomada.Address, connect: Connect, flood: bytes, answer: bytes
) -> None:
    client = connect()
    with raw(address) as connected:
        connected.sendall(flood)
        assert client.voidcmd("NOOP") == "200 done"
        assert all_from(connected).endswith(answer)
    assert fetched(client, "song.flac") == SONG


def test_silence_is_borne_only_while_files_travel(load: Load, run: Run, tmp_path: Path) -> None:
    (tmp_path / "long").touch()
    os.truncate(tmp_path / "long", 100_000_000)
    classic = load("ftp_server", ADDRESS="tcp://127.0.0.1:0", ROOT=tmp_path)

    def load_slowly(address: tomada.Address) -> None:
        with ftplib.FTP(timeout=50) as client:  # noqa: S321 - the server's own protocol
            client.connect(address.host, address.port or 0)
            client.login()
            with client.transfercmd("RETR long") as data:
                time.sleep(1)  # longer than the control connection may be silent otherwise
                assert len(all_from(data)) == 100_000_000
            assert client.voidresp().startswith("226")

    async def main() -> None:
        async with tomada.serve(classic.app, deadlines=tomada.Deadlines(idle=0.3)) as server:
            await asyncio.to_thread(load_slowly, server.addresses[0])
            with raw(server.addresses[0]) as connected:
                assert await asyncio.to_thread(all_from, connected) == b"220 tomada\r\n"

    run(main())
