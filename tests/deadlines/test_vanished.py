"""Peers that vanish without a word: processes that are stopped, and a network whose link is taken down."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

import tomada
from tests.deadlines.program import deadlines
from tests.integration.conftest import Run
from tests.integration.house import Echo, Hold, Stage, house, turns_until
from tests.integration.processes import environment

PROGRAM = Path(__file__).with_name("program.py")
HEARTBEAT = 0.5
WITHIN = 2 * HEARTBEAT + 0.25
"""Two heartbeats, and what a busy machine takes to run who notices."""


class Vanishing:
    """A program in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self, word: str = "") -> tuple[float, str]:
        """When it said what begins so, and what."""
        assert self._process.stdout is not None
        while True:
            said = (await self._process.stdout.readline()).decode().strip()
            assert said, f"it ended, and said nothing of {word!r}"
            at, _, text = said.partition(" ")
            if text.startswith(word):
                return float(at), text

    def stop(self) -> float:
        """It runs no more, and nobody is told; the time."""
        self._process.send_signal(signal.SIGSTOP)
        return time.monotonic()

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@asynccontextmanager
async def vanishing(*words: str, inside: str = "") -> AsyncIterator[Vanishing]:
    command = ["ip", "netns", "exec", inside] if inside else []
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, sys.executable, str(PROGRAM), *words, stdout=pipe, stdin=null, env=environment()
    )
    started = Vanishing(process)
    try:
        yield started
    finally:
        await started.kill()


def is_quick(seconds: float) -> bool:
    return 0 <= seconds <= WITHIN


@pytest.mark.parametrize("scheme", ["tcp", "unix", "ws"])
def test_a_server_that_is_stopped_is_found_out_and_what_was_asked_fails(run: Run, folder: Path, scheme: str) -> None:
    async def main() -> None:
        here = f"unix://{folder}/house.sock" if scheme == "unix" else f"{scheme}://127.0.0.1:0"
        async with vanishing("serve", here, str(HEARTBEAT)) as server:
            _, addresses = await server.line()
            (address,) = [one for one in addresses.split() if one.startswith(here[:6])][:1]
            client = await tomada.connect(address, deadlines=deadlines(str(HEARTBEAT)), sessions=False)
            calls = [asyncio.create_task(client.ask(Hold(""))) for _ in range(20)]
            for _ in calls:
                await server.line("began")
            await asyncio.sleep(WITHIN)
            assert client.is_open, "one that is only waiting lives"
            begun = server.stop()
            outcomes = await asyncio.gather(*calls, client.receive(), return_exceptions=True)
            assert is_quick(time.monotonic() - begun)
            assert {type(outcome) for outcome in outcomes} == {tomada.ConnectionLost}
            assert client.end_reason == "the peer gave no sign of life for 1 s"
            await client.close()

    run(main())


def test_a_client_that_is_stopped_is_found_out_and_its_handlers_go(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        serving = tomada.serve(house(stage), "tcp://127.0.0.1:0", deadlines=deadlines(str(HEARTBEAT)))
        async with (
            serving as server,
            tomada.connect(server.addresses[0]) as bystander,
            vanishing("ask", str(server.addresses[0]), str(HEARTBEAT)) as client,
        ):
            await stage.until("began ")
            begun = client.stop()
            await stage.until("cancelled ")
            assert is_quick(time.monotonic() - begun)
            await turns_until(lambda: len(server.connections) == 1)
            assert server.statistics().connections == 1
            assert server.statistics().failed == 1
            assert await bystander.ask(Echo(b"all is well")) == b"all is well"

    run(main())


@pytest.mark.parametrize("is_asking", [True, False], ids=["asking", "quiet"])
def test_a_blocking_client_finds_out_a_server_that_is_stopped(run: Run, is_asking: object) -> None:
    async def main() -> None:
        async with vanishing("serve", "tcp://127.0.0.1:0", str(HEARTBEAT)) as server:
            _, addresses = await server.line()
            ended: list[float] = []
            client = await asyncio.to_thread(
                tomada.sync.connect, addresses.split()[0], deadlines=deadlines(str(HEARTBEAT)), sessions=False
            )

            def ask() -> None:
                with pytest.raises(tomada.ConnectionLost, match="gave no sign of life for 1 s"):
                    client.ask(Hold(""))
                ended.append(time.monotonic())

            asking = threading.Thread(target=ask)
            if is_asking:
                asking.start()
                await server.line("began")
            await asyncio.sleep(WITHIN)
            assert client.is_open
            begun = server.stop()
            await turns_until(lambda: not client.is_open)
            assert is_quick(time.monotonic() - begun)
            if is_asking:
                await asyncio.to_thread(asking.join)
                assert is_quick(ended[0] - begun)
            await asyncio.to_thread(client.close)

    run(main())


NUMBERS = itertools.count()
IP = shutil.which("ip")


class Link:
    """Two network namespaces with a cable between them."""

    def __init__(self) -> None:
        self.names = [f"tomada-{os.getpid()}-{next(NUMBERS)}-{side}" for side in "ab"]
        self.addresses = ["10.213.7.1", "10.213.7.2"]

    def make(self) -> None:
        near, far = self.names
        for name in self.names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", near, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", far)
        for name, device, address in zip(self.names, ("near", "far"), self.addresses, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", device)
            ip("-n", name, "link", "set", device, "up")

    def cut(self) -> float:
        ip("-n", self.names[1], "link", "set", "far", "down")
        return time.monotonic()

    def remove(self) -> None:
        for name in self.names:
            with suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)


def ip(*words: str) -> None:
    subprocess.run([IP or "ip", *words], check=True, capture_output=True)


@pytest.fixture
def link() -> Iterator[Link]:
    link = Link()
    try:
        if sys.platform != "linux" or IP is None:
            pytest.skip("there are no network namespaces here, or no program ip")
        link.make()
    except subprocess.CalledProcessError as error:
        link.remove()
        pytest.skip(f"network namespaces cannot be made here: {error.stderr}")
    try:
        yield link
    finally:
        link.remove()


@pytest.mark.parametrize("how", ["ask", "ask_sync"])
def test_a_link_that_is_taken_down_is_found_out_at_both_ends(link: Link, how: str) -> None:
    async def main() -> None:
        near, far = link.names
        async with vanishing("serve", f"tcp://{link.addresses[0]}:4477", str(HEARTBEAT), inside=near) as server:
            _, addresses = await server.line()
            async with vanishing(how, addresses.split()[0], str(HEARTBEAT), inside=far) as client:
                await server.line("began")
                await asyncio.sleep(WITHIN)
                begun = link.cut()
                for end, word in ((server, "ended"), (client, "lost")):
                    at, said = await end.line(word)
                    assert is_quick(at - begun), said
                    assert "no sign of life" in said
                at, _ = await server.line("cancelled")
                assert is_quick(at - begun)

    asyncio.run(main())


def test_the_system_finds_out_for_byte_streams_on_which_nobody_receives(link: Link) -> None:
    async def main() -> None:
        near, far = link.names
        async with vanishing("serve", f"tcp://{link.addresses[0]}:4477", "1", inside=near) as server:
            _, addresses = await server.line()
            port = addresses.split()[1].rpartition(":")[2]
            async with vanishing("stream", f"tcp://{link.addresses[0]}:{port}", "1", inside=far) as client:
                await client.line("connected")
                begun = link.cut()
                for end, word in ((server, "ended"), (client, "lost")):
                    at, said = await end.line(word)
                    assert at - begun < 6, said
                    assert said.endswith("the connection was lost: the peer's system gave no sign of life")

    asyncio.run(main())
