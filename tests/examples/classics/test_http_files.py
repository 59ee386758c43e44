"""The file server, with curl as its client, and with sockets that mean harm."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

import tomada
from tests.examples.classics.conftest import Load, Run, Serve, all_from, ran, raw, tool

SONG = random.Random(1).randbytes(300_000)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("http") / "root"
    for name in ("music/café & tea", "site"):
        (folder / name).mkdir(parents=True)
    (folder / "song.flac").write_bytes(SONG)
    (folder / "note.txt").write_text("a note\n")
    (folder / "empty").touch()
    (folder / "site" / "index.html").write_text("<p>home</p>")
    (folder / "music" / "<b>.txt").touch()
    (folder.parent / "secret").write_text("secret")
    (folder / "way-out").symlink_to(folder.parent / "secret")
    (folder / "way-up").symlink_to(folder.parent)
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "way-in").symlink_to("note.txt")
    os.mkfifo(folder / "pipe")
    return folder


@pytest.fixture(scope="module")
def url(serve: Serve, root: Path) -> str:
    (address,) = serve("http_files", ADDRESS="tcp://127.0.0.1:0", ROOT=root)
    return f"http://{address.host}:{address.port}"


@pytest.fixture
def at(url: str) -> tomada.Address:
    return tomada.Address.parse(url.replace("http", "tcp"))


def curl(*words: str) -> str:
    return ran("curl", "--silent", "--show-error", "--path-as-is", *words).stdout


def status(*words: str) -> str:
    return curl("--output", os.devnull, "--write-out", "%{http_code}", *words)


def test_a_file_whole_in_parts_and_resumed(url: str, tmp_path: Path) -> None:
    file = tmp_path / "song.flac"
    for size in (0, 1, 299_999):
        file.write_bytes(SONG[:size])
        curl("--continue-at", "-", "--output", str(file), f"{url}/song.flac")
        assert file.read_bytes() == SONG
    for wanted, part in (("0-0", SONG[:1]), ("-5", SONG[-5:]), ("299990-", SONG[299_990:]), ("5-400000", SONG[5:])):
        curl("--range", wanted, "--output", str(file), f"{url}/song.flac")
        assert file.read_bytes() == part
    assert "Content-Range: bytes 0-1/300000" in curl("--range", "0-1", "--head", f"{url}/song.flac")


@pytest.mark.parametrize(
    ("wanted", "code"),
    [("300000-", 416), ("-0", 416), ("5-2", 200), ("1-2,4-5", 200), ("-", 200), ("x", 200), ("9" * 30 + "-", 200)],
)
def test_ranges_that_are_not_there_or_not_understood(url: str, wanted: str, code: int) -> None:
    assert status("--header", f"Range: bytes={wanted}", f"{url}/song.flac") == str(code)


def test_several_files_over_one_connection(url: str) -> None:
    names = ["note.txt", "nothing", "empty", "note.txt"]
    done = ran("curl", "--silent", "--write-out", "%{num_connects} ", *[f"{url}/{name}" for name in names])

    assert done.stdout.startswith("a note\n1 ")
    assert done.stdout.endswith("a note\n0 ")
    assert done.stdout.count("404 Not Found") == 0 < done.stdout.count("Not Found")


def test_the_head_only(url: str) -> None:
    head = curl("--head", f"{url}/song.flac", f"{url}/nothing", f"{url}/note.txt")

    assert head.count("HTTP/1.1 200 OK") == 2
    assert "HTTP/1.1 404 Not Found" in head
    assert "Content-Length: 300000" in head
    assert "Content-Type: text/plain" in head


def test_what_has_not_changed_is_not_sent_again(url: str, tmp_path: Path) -> None:
    save, compare = ("--etag-save", str(tmp_path / "tag")), ("--etag-compare", str(tmp_path / "tag"))
    assert status(*save, f"{url}/note.txt") == "200"
    assert status(*compare, f"{url}/note.txt") == "304"
    assert status(*compare, f"{url}/song.flac") == "200"
    assert status("--header", "If-None-Match: *", f"{url}/note.txt") == "304"
    modified = next(line for line in curl("--head", f"{url}/note.txt").splitlines() if "Last-Modified" in line)
    assert status("--header", f"If-Modified-Since:{modified.partition(':')[2]}", f"{url}/note.txt") == "304"
    assert status("--range", "0-1", "--header", 'If-Range: "another"', f"{url}/note.txt") == "200"


def test_folders(url: str) -> None:
    assert curl("--location", f"{url}/site") == "<p>home</p>"
    assert "Location: /music/caf%C3%A9%20%26%20tea/" in curl("--head", f"{url}/music/caf%C3%A9%20%26%20tea")
    page = curl(f"{url}/music/")
    assert '<a href="./%3Cb%3E.txt">&lt;b&gt;.txt</a>' in page
    assert '<a href="./caf%C3%A9%20%26%20tea/">café &amp; tea/</a>' in page
    assert "Location: /site/" in curl("--head", f"{url}//site"), "and not //site/, which is another host"


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "music/../../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "way-out",
        "way-up/secret",
        "way-up",
        "circle",
        "pipe",
        "/etc/passwd",
        "x" * 5_000,
    ],
)
def test_nothing_outside_of_the_root_is_served(url: str, path: str) -> None:
    assert status(f"{url}/{path}") == "404"
    assert status(f"{url}/way-in") == "200"


def test_what_cannot_be_done_is_refused(url: str, root: Path) -> None:
    assert status("--upload-file", str(root / "song.flac"), f"{url}/new") == "405"
    assert status("--request", "OPTIONS", f"{url}/") == "405"
    assert status("--data", "x=1", f"{url}/note.txt") == "405"
    assert status("--request", "GET", "--data", "x=1", f"{url}/note.txt") == "200"
    assert not (root / "new").exists()


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /%00 HTTP/1.0\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5_000 + b"\r\n", 431),
        (b"GET /" + b"x" * 100_000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n", 400),
    ],
)
def test_nonsense_is_told_so_and_ends_the_connection(at: tomada.Address, request_: bytes, code: int) -> None:
    with raw(at) as connected, raw(at) as bystander:
        connected.sendall(request_)
        answer = all_from(connected)
        assert answer.startswith(b"HTTP/1.1 %d " % code)
        assert b"Connection: close" in answer
        bystander.sendall(b"GET http://x/note.txt?a=b HTTP/1.0\r\n\r\n")
        assert all_from(bystander).endswith(b"\r\n\r\na note\n")


def test_requests_sent_ahead_are_answered_in_order(at: tomada.Address) -> None:
    with raw(at) as connected:
        connected.sendall(b"GET /note.txt HTTP/1.1\r\nHost: x\r\n\r\n" * 50 + b"\r\nGET /empty HTTP/1.0\r\n\r\n")
        assert all_from(connected).count(b"\r\n\r\na note\n") == 50


def test_a_file_that_shrinks_while_it_is_sent_is_not_taken_for_whole(url: str, root: Path, tmp_path: Path) -> None:
    film = root / "film"
    film.touch()
    os.truncate(film, 200_000_000)
    words = ("--silent", "--limit-rate", "20M", "--output", str(tmp_path / "film"), f"{url}/film")
    with subprocess.Popen([tool("curl"), *words]) as process:
        while not (tmp_path / "film").exists() or not (tmp_path / "film").stat().st_size:
            assert process.poll() is None
        os.truncate(film, 1_000)
        film.unlink()
        assert process.wait(30) != 0
    assert (tmp_path / "film").stat().st_size < 200_000_000


def test_a_file_that_vanishes_while_it_is_sent_is_sent(at: tomada.Address, root: Path) -> None:
    content = SONG * 100  # more than the system's buffers hold
    (root / "brief").write_bytes(content)
    with raw(at) as connected:
        connected.sendall(b"GET /brief HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        first = connected.recv(1)
        (root / "brief").unlink()
        assert (first + all_from(connected)).partition(b"\r\n\r\n")[2] == content


def trickle(address: tomada.Address) -> None:
    """Send a head without end, a byte at a time, until nobody takes any more."""
    with raw(address) as connected, suppress(ConnectionError):
        while True:
            connected.sendall(b"x")
            time.sleep(0.02)


def test_who_trickles_is_cut_while_others_are_served(load: Load, run: Run, root: Path) -> None:
    classic = load("http_files", ADDRESS="tcp://127.0.0.1:0", ROOT=root)

    async def main() -> None:
        async with tomada.serve(classic.app, deadlines=tomada.Deadlines(frame=0.3)) as server:
            trickling = asyncio.create_task(asyncio.to_thread(trickle, server.addresses[0]))
            async with tomada.connect_stream(server.addresses[0]) as stream:
                while not trickling.done():
                    await stream.send(b"GET /note.txt HTTP/1.1\r\nHost: x\r\n\r\n")
                    await stream.receive_until(b"a note\n")

    run(main())


def test_who_takes_nothing_is_cut(load: Load, run: Run, root: Path) -> None:
    (root / "long").touch()
    os.truncate(root / "long", 100_000_000)
    classic = load("http_files", ADDRESS="tcp://127.0.0.1:0", ROOT=root)

    async def main() -> None:
        async with tomada.serve(classic.app, deadlines=tomada.Deadlines(progress=0.1)) as server:
            with raw(server.addresses[0]) as deaf:
                deaf.sendall(b"GET /long HTTP/1.0\r\n\r\n")
                assert await asyncio.to_thread(deaf.recv, 5) == b"HTTP/"
                await server.close()
                assert len(await asyncio.to_thread(all_from, deaf)) < 100_000_000

    run(main())
