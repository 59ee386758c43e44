"""An application whose connections end in every way, in the module that child processes load it from.

As a program it serves by `run`: what forks the children is then forked, and not started anew.
"""

# ruff: noqa: T201 - it tells its test on standard output what happens

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import tomada

HERE = "tcp://127.0.0.1:0"
MIB = 1_048_576
NEVER = "never"
"""Where it is among the arguments of a process, that does not come to an end."""
READY = os.environ.get("TOMADA_TEST_READY", "")
"""Where it is set, children start only while there is a file of that name."""


class Echo(tomada.Request[bytes]):
    data: bytes


class Who(tomada.Request[list[int]]):
    """The process id of the child, its user, and its parent."""


class Make(tomada.Request[bytes]):
    size: int


class Hold(tomada.Request[str]):
    seconds: float


class Die(tomada.Request[int]):
    how: str


class LeakInThread(tomada.Request[int]):
    pass


class Try(tomada.Request[str]):
    """What comes of something that a sandbox does not permit."""

    what: str


class Opened:
    """What is made when a child starts."""

    def __init__(self) -> None:
        with Path(__file__).open() as file:
            self.first = os.dup(file.fileno())


app = tomada.App("deaths")


@app.on_start
def start() -> Opened:
    if READY and not Path(READY).exists():
        raise RuntimeError("the shop is shut")
    if READY and Path(READY).read_text() == "leak":
        leak()
    return Opened()


@app.on_stop
async def stop() -> None:
    if NEVER in sys.argv:
        await asyncio.sleep(600)


@app.on
async def echo(request: Echo) -> bytes:
    return request.data


@app.on
async def who(_: Who) -> list[int]:
    return [os.getpid(), os.getuid(), os.getppid()]


@app.on
async def make(request: Make) -> bytes:
    return bytes(request.size)


@app.on
async def hold(request: Hold) -> str:
    await asyncio.sleep(request.seconds)
    return "held"


@app.on
async def die(request: Die) -> int:
    DEATHS[request.how]()
    return 0


@app.on
def leak_in_thread(_: LeakInThread) -> int:
    leak()
    return 0


@app.on
async def try_it(request: Try, opened: Opened) -> str:
    try:
        return f"{TRIALS[request.what](opened)}"
    except OSError as error:
        return type(error).__name__


def leak() -> None:
    kept: list[bytearray] = []
    while True:
        kept.append(bytearray(MIB))


def spin() -> None:
    while True:
        pass


def channel() -> socket.socket:
    """The child's end of its channel: a child that somebody has taken over finds it."""
    for place in Path("/proc/self/fd").iterdir():
        try:
            found = socket.socket(fileno=os.dup(int(place.name)))
        except OSError:
            continue
        if found.type == socket.SOCK_SEQPACKET:
            found.setblocking(True)
            return found
        found.close()
    raise AssertionError("there is no channel")


def say(*words: bytes) -> None:
    """On the channel; then wait for what comes of it."""
    with channel() as own:
        for word in words:
            own.send(word)
    time.sleep(600)


def pass_files() -> None:
    with channel() as own, Path(os.devnull).open() as file:
        socket.send_fds(own, [b"\x91\x0b"], [file.fileno()] * 100)
    time.sleep(600)


def orphan() -> None:
    """Die, and leave a process behind."""
    subprocess.Popen(["/bin/sleep", "600"])
    os._exit(5)


def close_channel() -> None:
    with channel() as own:
        number = os.fstat(own.fileno()).st_ino
    for place in Path("/proc/self/fd").iterdir():
        try:
            if str(place.readlink()) == f"socket:[{number}]":
                os.close(int(place.name))
        except OSError:
            continue
    time.sleep(600)


def files_of_pages() -> list[int]:
    """Descriptors of the file that has the pages of all children."""
    found = []
    for place in Path("/proc/self/fd").iterdir():
        try:
            if "tomada children" in str(place.readlink()):
                found.append(int(place.name))
        except OSError:  # the listing's own
            continue
    return found


def cut_pages() -> None:
    """Make the pages' file empty, with whatever descriptor there is of it."""
    for file in files_of_pages():
        os.ftruncate(file, 0)


DEATHS: dict[str, Callable[[], object]] = {
    "abort": os.abort,
    "segmentation fault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "real-time signal": lambda: os.kill(os.getpid(), signal.SIGRTMIN + 3),
    "exit": lambda: os._exit(3),
    "exit well": lambda: os._exit(0),
    "sys.exit": lambda: sys.exit(4),
    "sys.exit with words": lambda: sys.exit("with words"),
    "leak": leak,
    "spin": spin,
    "hang": lambda: time.sleep(600),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "orphan": orphan,
    "garbage": lambda: say(b"\xff\x00garbage"),
    "nothing": lambda: say(b""),
    "too much": lambda: say(bytes(5_000)),
    "ready again": lambda: say(b"\x91\x0b"),
    "ends twice": lambda: say(b"\x91\x0d", b"\x91\x0d", b"\x91\x0d"),
    "wrong pong": lambda: say(b"\x92\x0e\x07"),
    "parts twice": lambda: say(b"\x91\x0f", b"\x91\x0f"),
    "failed": lambda: say(b"\x92\x0c\xa3why"),
    "passes files": pass_files,
    "closes its channel": close_channel,
    "never ends": lambda: sys.argv.append(NEVER),
    "leaves": lambda: os.kill(os.getpid(), signal.SIGTERM),
}

TRIALS: dict[str, Callable[[Opened], object]] = {
    "open": lambda _: Path(__file__).read_text()[:3],
    "create": lambda _: Path(__file__).with_name("never").write_text(""),
    "remove": lambda _: Path(__file__).with_name("never").unlink(),
    "list": lambda _: len(list(Path("/").iterdir())),
    "socket": lambda _: socket.socket().fileno(),
    "pair": lambda _: socket.socketpair()[0].fileno(),
    "program": lambda _: subprocess.run(["/bin/true"], check=True).returncode,
    "fork": lambda _: os.fork(),
    "signal others": lambda _: os.kill(os.getppid(), 0),
    "signal itself": lambda _: os.kill(os.getpid(), 0),
    "limits of others": lambda _: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE),
    "own limits": lambda _: bool(resource.getrlimit(resource.RLIMIT_NOFILE)),
    "memory file": lambda _: os.memfd_create("hidden"),
    "read": lambda opened: os.pread(opened.first, 3, 0).decode(),
    "many files": lambda _: [os.open(os.devnull, os.O_RDONLY) for _ in range(200)],
    "numbers": lambda _: len(os.urandom(4)),
    "pages of others": lambda _: len(files_of_pages()),
    "cut pages": lambda _: cut_pages(),
}


@app.stream(HERE)
async def stream(stream: tomada.Stream) -> None:
    async for line in stream.lines():
        if line.decode() in DEATHS:
            await stream.send(b"dying\n")
            DEATHS[line.decode()]()
        await stream.send(b"%d %s\n" % (os.getpid(), line))


def serve(address: str, drain: str = "10") -> None:
    children = tomada.Children(spare=2)
    deadlines = tomada.Deadlines(drain=float(drain))
    serving = tomada.serve(app, address, isolation="process", children=children, deadlines=deadlines)
    serving.run(ready=lambda server: print(*server.addresses, flush=True))
    print("left", flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
