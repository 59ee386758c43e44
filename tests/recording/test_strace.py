"""Nothing is missed: as many calls are recorded as the kernel sees, by kind, also of programs nobody here wrote."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import tomada_recorder
from tests.recording.rig import Rig, free_port, rig
from tests.recording.strace import SYSTEM_CALLS, counted, recorded, why_not
from tomada.cli import tracing

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Rig]:
    """Runs programs under strace, too."""
    with rig(tmp_path, strace=True) as made:
        yield made


def assert_complete(rig: Rig) -> Counter[str]:
    seen = counted(rig.folder.glob("strace.*"))
    assert recorded(rig.records()) == seen
    return seen


def test_the_tcp_programs(watched: Rig) -> None:
    port = str(free_port())
    watched.serve(["tcp_server.py", port], ["tcp_client.py", port])

    seen = assert_complete(watched)

    assert seen == Counter(socket=2, setsockopt=1, bind=1, listen=1, accept=1, connect=1, sendto=2, recvfrom=2)


@pytest.mark.parametrize(
    ("server", "clients"), [("forking_server.py", 2), ("threaded_server.py", 2), ("asyncio_server.py", 2)]
)
def test_servers_of_several_clients(watched: Rig, server: str, clients: int) -> None:
    port = str(free_port())
    watched.serve([server, port, str(clients)], *[["tcp_client.py", port]] * clients)

    assert assert_complete(watched)["accept"] >= clients


def test_the_udp_programs(watched: Rig) -> None:
    port = str(free_port())
    watched.serve(["udp_server.py", port], ["udp_client.py", port], ready="bind")

    assert assert_complete(watched)["recvfrom"] == 2


EVERY_CALL = """
import array, os, socket

a, b = socket.socketpair()
a.sendmsg([b"one", b"two"])
b.recvmsg(100)
a.send(b"three"); b.recv_into(bytearray(10))
a.sendall(b"four"); b.recv(2, socket.MSG_PEEK); b.recv(10)
a.send(b"fd"); b.recvmsg_into([bytearray(1), bytearray(10)])
socket.send_fds(a, [b"x"], [0])
_, fds, _, _ = socket.recv_fds(b, 10, 1)
os.close(fds[0])
c = a.dup()
c.send(b"five"); c.close()
b.recv(10)
a.settimeout(0.01)
try:
    a.recv(10)
except TimeoutError:
    pass
a.shutdown(socket.SHUT_WR)
b.recv(10)
with open("file", "wb") as file:
    file.write(b"content")
d, e = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
d.send(b"datagram"); e.recvfrom(100); d.send(b"another"); e.recvfrom_into(bytearray(10))
u = socket.socket(socket.AF_INET6 if False else socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("127.0.0.1", 0)); u.connect(u.getsockname()); u.send(b"self"); u.recv(10)
f = socket.socket(); f.setblocking(False)
f.connect_ex(("127.0.0.1", 9))
g = socket.socket(fileno=d.detach())
g.send(b"again"); e.recv(10)
"""


def test_every_method(watched: Rig) -> None:
    watched.run(watched.code("every_call.py", EVERY_CALL))

    assert_complete(watched)


def test_a_web_server_and_urllib(watched: Rig) -> None:
    port = str(free_port())
    (watched.folder / "page.txt").write_text("hello " * 10_000)
    server = watched.start("-m", "http.server", port, "--bind", "127.0.0.1")
    watched.wait_for_call("listen")
    fetch = watched.code(
        "fetch.py",
        "import sys, urllib.request\n"
        "for _ in range(3):\n"
        "    with urllib.request.urlopen(sys.argv[1]) as answer:\n"
        "        print(len(answer.read()))\n",
    )

    assert watched.run(fetch, f"http://127.0.0.1:{port}/page.txt").split() == ["60000"] * 3

    end(watched, server)
    assert assert_complete(watched)["accept"] == 3
    told = watched.told()
    assert sum(arrow.size for arrow in told.sequence.arrows if arrow.size) >= 180_000


def test_a_mail_server_and_smtplib(watched: Rig) -> None:
    port = str(free_port())
    server = watched.start(watched.code("mail_server.py", MAIL_SERVER), port)
    watched.wait_for_call("listen")
    client = watched.code(
        "mail.py",
        "import smtplib, sys\n"
        "with smtplib.SMTP('127.0.0.1', int(sys.argv[1]), local_hostname='localhost') as server:\n"
        "    server.sendmail('ana@example.org', ['rui@example.org'], 'Subject: hello\\n\\ntext')\n",
    )
    watched.run(client, port)

    watched.end(server)
    assert_complete(watched)
    told = watched.told()
    assert any("MAIL FROM" in step.data.upper() for step in told.steps("mail_server.py", "recv"))


MAIL_SERVER = """
import asyncio, sys
from aiosmtpd.smtp import SMTP

class Handler:
    async def handle_DATA(self, server, session, envelope):
        done.set()
        return "250 taken"

async def main():
    global done
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    make = lambda: SMTP(Handler(), hostname="localhost", loop=loop)
    server = await loop.create_server(make, "127.0.0.1", int(sys.argv[1]))
    async with server:
        await done.wait()
        await asyncio.sleep(0.2)

asyncio.run(main())
"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """The port of a real Redis."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    port = str(free_port())
    command = [program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert any("Ready to accept" in line for line in server.stdout)
        yield port
        server.terminate()
        server.communicate(timeout=30)


def test_a_redis_client(watched: Rig, redis: str) -> None:
    client = watched.code(
        "cache.py",
        "import sys, redis\n"
        "with redis.Redis(port=int(sys.argv[1]), host='127.0.0.1') as cache:\n"
        "    cache.set('colour', 'green')\n"
        "    with cache.pipeline() as pipe:\n"
        "        pipe.incr('visits').incr('visits')\n"
        "        pipe.execute()\n"
        "    print(cache.get('colour').decode(), cache.get('visits').decode())\n",
    )

    assert watched.run(client, redis) == "green 2\n"

    assert assert_complete(watched)["sendto"] >= 4
    assert any("green" in step.data for step in watched.told().steps("cache.py"))


@pytest.mark.parametrize("missed", ["recv", "sendall", "accept", "bind"])
def test_a_recorder_that_misses_a_kind_of_call_is_found(
    watched: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missed: str
) -> None:
    mutant = tmp_path / "mutant" / "tomada_recorder"
    shutil.copytree(Path(tomada_recorder.__file__).parent, mutant)
    calls = mutant / "calls.py"
    lines = calls.read_text().splitlines(keepends=True)
    calls.write_text("".join(line for line in lines if f'Method("{missed}",' not in line))
    monkeypatch.setattr(tracing, "_STARTUP", mutant / "startup")
    for name in [name for name in os.environ if name.startswith("COV")]:
        monkeypatch.delenv(name)  # the mutant is not what is to be covered
    port = str(free_port())
    process = watched.start("tcp_server.py", port)
    watched.wait_for_call("listen")
    watched.run("tcp_client.py", port)
    watched.end(process)

    seen, found = counted(watched.folder.glob("strace.*")), recorded(watched.records())

    assert set(seen - found) == {SYSTEM_CALLS.get(missed, missed)}


def end(rig: Rig, server: subprocess.Popen[str]) -> None:
    """Ctrl-C for a server that runs under strace, which keeps it to itself: the program is its child."""
    child = next(record["pid"] for record in rig.records() if record["kind"] == "process")
    os.kill(child, 2)
    server.communicate(timeout=30)
