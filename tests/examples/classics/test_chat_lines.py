"""The chat, with nc and bare sockets as its members."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

import tomada
from tests.examples.classics.conftest import Load, Run, all_from, raw, serving, tool


@pytest.fixture
def address() -> Iterator[tomada.Address]:
    """Of a room of the test's own."""
    with serving("chat_lines", ADDRESS="tcp://127.0.0.1:0") as addresses:
        yield addresses[0]


class Terminal:
    """Somebody at a terminal, who types and reads."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.unread = b""

    def type(self, *lines: str) -> None:
        self.socket.sendall("".join(f"{line}\n" for line in lines).encode())

    def read(self) -> str:
        """A line; an empty one at the end."""
        while b"\r\n" not in self.unread and (data := self.socket.recv(65_536)):
            self.unread += data
        line, _, self.unread = self.unread.partition(b"\r\n")
        return line.decode()

    def read_until(self, wanted: str) -> list[str]:
        read = [self.read()]
        while read[-1] != wanted:
            assert read[-1], read
            read.append(self.read())
        return read


Open = Callable[[str], Terminal]


@pytest.fixture
def terminal(address: tomada.Address) -> Iterator[Open]:
    with ExitStack() as stack:

        def opened(name: str) -> Terminal:
            connected = stack.enter_context(raw(address))
            terminal = Terminal(connected)
            terminal.type(name)
            terminal.read_until(f"* {name} is here")
            assert terminal.read().startswith("* /who")
            return terminal

        yield opened


def test_a_conversation(terminal: Open) -> None:
    ana, rui = terminal("ana"), terminal("Rui")
    assert ana.read() == "* Rui is here"
    ana.type("olá")
    assert ana.read() == rui.read() == "<ana> olá"
    rui.type("/me waves")
    assert ana.read() == rui.read() == "* Rui waves"
    ana.type("/msg rui only you")
    assert ana.read() == "[to Rui] only you"
    assert rui.read() == "[ana] only you"
    ana.type("/msg eva x", "/who", "", "/help")
    assert [ana.read() for _ in range(3)] == [
        "* there is no eva here",
        "* here: Rui, ana",
        "* /who  /me WHAT YOU DO  /msg NAME TEXT  /quit",
    ]
    rui.type("/quit bye")
    assert ana.read() == "* Rui left: bye"
    assert rui.read() == ""


def test_names(terminal: Open, address: tomada.Address) -> None:
    terminal("eva")
    with raw(address) as connected:
        other = Terminal(connected)
        other.type("EVA", "", "two words", "x" * 21, "\x1b[31m", "eva2", "/quit")
        read = other.read_until("* eva2 is here")
    assert read[0] == "* What is your name?"
    assert read[1] == "* that is somebody else"
    assert read[2:6] == ["* up to 20 letters and digits, please"] * 4


def test_two_people_with_nc(address: tomada.Address) -> None:
    command = [tool("nc"), "-N", address.host, str(address.port)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as two,
    ):
        assert one.stdin is not None
        assert one.stdout is not None
        one.stdin.write("uma\n")
        one.stdin.flush()
        while "uma is here" not in one.stdout.readline():
            pass
        said, _ = two.communicate("duas\nhello from nc\n", timeout=20)
        assert "<duas> hello from nc\n" in said.replace("\r", "")
        heard, _ = one.communicate("", timeout=20)
        assert "* duas is here\n<duas> hello from nc\n* duas left\n" in heard.replace("\r", "")


def test_nobody_rings_anothers_bell(terminal: Open) -> None:
    ana, rui = terminal("ana3"), terminal("rui3")
    rui.socket.sendall(b"a\x07b\x1b[2Jc\xff\xfe\xc2\x9bd\r\n")

    assert ana.read_until("<rui3> ab[2Jc��d")


@pytest.mark.parametrize("flood", [b"x" * 1_000_000, b"name4\n" + b"x" * 1_000_000])
def test_a_line_without_end_ends_it(terminal: Open, address: tomada.Address, flood: bytes) -> None:
    ana = terminal("ana4")
    with raw(address) as connected:
        connected.sendall(flood)
        assert all_from(connected).endswith(b"* that line is too long\r\n")
    ana.type("still here")
    assert ana.read_until("<ana4> still here")


def test_who_resets_is_forgotten(terminal: Open, address: tomada.Address) -> None:
    ana = terminal("ana5")
    with raw(address) as connected:
        connected.sendall(b"gone\n")
        ana.read_until("* gone is here")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    ana.read_until("* gone was lost")
    ana.type("/who")
    assert "gone" not in ana.read()


def test_a_slow_reader_misses_lines_and_nobody_else_does(load: Load, run: Run) -> None:
    classic = load("chat_lines", ADDRESS="tcp://127.0.0.1:0")
    classic.PAUSE = 0
    lines = 20_000

    async def enter(address: tomada.Address, name: bytes) -> tomada.Stream:
        stream = await tomada.connect_stream(address, limits=tomada.Limits(receive_bytes=1_024))
        await stream.send(name + b"\n")
        await stream.receive_until(b"* %s is here\r\n" % name)
        await stream.receive_until(b"/quit\r\n")
        return stream

    async def main() -> None:
        async with tomada.serve(classic.app) as server:
            slow, fast = [await enter(server.addresses[0], name) for name in (b"slow", b"fast")]
            for number in range(lines):
                await fast.send(b"%d %s\n" % (number, b"x" * 900))
                await fast.receive_until(b"x\r\n")
            received = missed = 0
            last = ""
            while not last.startswith(f"<fast> {lines - 1} "):
                last = (await slow.receive_until(b"\r\n")).decode()
                received += last.startswith("<fast>")
                if told := re.fullmatch(r"\* you missed (\d+) lines", last):
                    missed += int(told[1])
            assert missed > 0
            assert received + missed in (lines, lines + 1), "with the news that fast is here"
            for stream in (slow, fast):
                stream.abort()

    run(main())
