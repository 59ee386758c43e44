from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path

import pytest

import tomada
from tests.authority import Authority
from tests.integration.conftest import Run
from tests.server.children.homes import bystander, is_alive, processes, serving, until
from tests.server.children.program import HERE, MIB, Die, Echo, LeakInThread, Make, Try, Who
from tomada import ConnectionLost

SOON = tomada.Deadlines(heartbeat=0.5)
BOUND = tomada.Children(spare=4, memory_bytes=64 * MIB, processor_seconds=2)
RULES = "broke the rules of its channel"
ENDS = {
    "abort": "was killed by signal 6 (SIGABRT)",
    "segmentation fault": "was killed by signal 11 (SIGSEGV)",
    "kill": "was killed by signal 9 (SIGKILL)",
    "real-time signal": "was killed by signal 37 (a real-time signal)",
    "exit": "ended with exit status 3",
    "exit well": "ended with exit status 0",
    "sys.exit": "ended with exit status 4",
    "sys.exit with words": "ended with exit status 1",
    "orphan": "ended with exit status 5",
    "leak": "used more than its 64 MiB of memory",
    "hang": "did not answer for 1 s and was killed",
    "stop": "did not answer for 1 s and was killed",
    "garbage": f"{RULES} (it sent what is no message",
    "too much": f"{RULES} (it sent a message of more than 4096 bytes) and was killed",
    "ready again": f"{RULES} (it said Ready while serving) and was killed",
    "wrong pong": f"{RULES} (it said Pong while serving) and was killed",
    "failed": f"{RULES} (it said Failed while serving) and was killed",
    "passes files": f"{RULES} (it said Ready while serving) and was killed",
    "nothing": "was killed by signal 9 (SIGKILL)",
    "closes its channel": "was killed by signal 9 (SIGKILL)",
}


async def last_words(server: tomada.Server, request: tomada.Request[int], number: int = 0) -> str:
    """What the caller of a handler that ends its process is told."""
    async with tomada.connect(server.addresses[number]) as connection:
        with pytest.raises(ConnectionLost) as lost:
            await connection.ask(request)
        assert connection.end_reason == str(lost.value)
    return str(lost.value)


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def told(reason: str) -> str:
    return f"the peer said goodbye (failed): the process of this connection {reason}"


@pytest.mark.parametrize("scheme", ["tcp", "unix", "ws"])
def test_the_caller_is_told_how_its_process_ended_and_nobody_else_notices(run: Run, folder: Path, scheme: str) -> None:
    address = {"tcp": HERE, "unix": f"unix://{folder}/app.sock", "ws": "ws://127.0.0.1:0"}[scheme]

    async def main() -> None:
        async with serving(address, children=BOUND, deadlines=SOON) as server, bystander(server):
            reasons = await asyncio.gather(*(last_words(server, Die(how)) for how in ENDS))
            for reason, expected in zip(reasons, ENDS.values(), strict=True):
                assert reason.startswith(told(expected))
            ((template, _),) = processes()
            await until(lambda: len(processes(template)) == 1 + BOUND.spare)
            assert "Z" not in {state for _, state in processes(template)}

    run(main())


def test_a_loop_without_end_and_a_leak_in_a_thread_are_bounded(run: Run) -> None:
    async def main() -> None:
        async with serving(children=tomada.Children(memory_bytes=64 * MIB, processor_seconds=1)) as server:
            reasons = await asyncio.gather(last_words(server, Die("spin")), last_words(server, LeakInThread()))
            assert list(reasons) == [
                told("used more than its 1 s of processor time"),
                told("used more than its 64 MiB of memory"),
            ]

    run(main())


def test_what_a_dead_child_has_started_goes_with_it(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            ((template, _),) = processes()
            await last_words(server, Die("orphan"))
            # Its orphans are the template's, which has ended them, and waits for them.
            await until(lambda: len(processes(template)) == 2)
            assert "sleep" not in [name_of(pid) for pid, _ in processes(template)]

    run(main())


def test_a_byte_stream_is_reset_and_does_not_end_in_order(run: Run) -> None:
    async def main() -> None:
        async with serving() as server, bystander(server):
            for how in ("kill", "exit well", "abort"):
                async with tomada.connect_stream(server.addresses[1]) as stream:
                    await stream.send(f"{how}\n".encode())
                    assert await stream.receive() == b"dying\n"
                    with pytest.raises(ConnectionLost, match="reset"):
                        await stream.receive()

    run(main())


def test_a_child_that_somebody_has_taken_over_does_not_end_the_server(run: Run) -> None:
    """With what it has of the file of all pages, where it has something."""

    async def main() -> None:
        async with serving() as server, bystander(server):
            async with tomada.connect(server.addresses[0]) as connection:
                assert await connection.ask(Try("cut pages")) in {"None", "PermissionError"}
            assert "signal 9" in await last_words(server, Die("kill"))

    run(main())


def test_inside_of_tls_nothing_can_be_told(run: Run, authority: Authority) -> None:
    own, trust = authority.server, authority.client

    async def main() -> None:
        async with serving("tls://localhost:0", "wss://localhost:0", tls=own) as server, bystander(server, trust):
            for address in server.addresses[:2]:
                async with tomada.connect(address, tls=trust) as connection:
                    assert await connection.ask(Echo(b"hello")) == b"hello"
                    with pytest.raises(ConnectionLost, match="lost"):
                        await connection.ask(Die("kill"))

    run(main())


def test_nothing_is_said_in_the_middle_of_a_frame(run: Run) -> None:
    """The rest of a message that a dead child has begun must not be made of words about its death."""

    async def main() -> None:
        limits = tomada.Limits(message_bytes=64 * MIB)
        async with serving("tcp://127.0.0.1:0", "ws://127.0.0.1:0", limits=limits) as server, bystander(server):
            for address in server.addresses[:2]:
                async with tomada.connect(address, limits=limits) as connection:
                    pid, *_ = await connection.ask(Who())
                    before = data_bytes(pid)
                    link = connection._link
                    assert link.transport is not None
                    link.transport.pause_reading()
                    calls = [asyncio.ensure_future(connection.ask(Make(16 * MIB))) for _ in range(2)]
                    await until(partial(sleeps_with_more_than, pid, before + 8 * MIB))
                    os.kill(pid, 9)
                    await until(partial(is_dead, pid))
                    link.transport.resume_reading()
                    for lost in await asyncio.gather(*calls, return_exceptions=True):
                        assert isinstance(lost, ConnectionLost)
                        assert "goodbye" not in str(lost)

    run(main())


def is_dead(pid: int) -> bool:
    return not is_alive(pid)


def data_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")


def sleeps_with_more_than(pid: int, size: int) -> bool:
    """Its memory holds the replies, and it waits."""
    return "State:\tS" in Path(f"/proc/{pid}/status").read_text() and data_bytes(pid) > size


def test_a_child_that_is_killed_while_it_waits_is_replaced(run: Run) -> None:
    async def main() -> None:
        async with serving(children=tomada.Children(spare=3)) as server, tomada.connect(server.addresses[0]) as first:
            own, *_ = await first.ask(Who())
            ((template, _),) = processes()
            await until(lambda: len(processes(template)) == 4)
            idle = set(dict(processes(template))) - {own}
            for pid in idle:
                os.kill(pid, 9)
            await until(lambda: len(set(dict(processes(template))) - idle) == 4)
            async with tomada.connect(server.addresses[0]) as second:
                assert await second.ask(Echo(b"served")) == await first.ask(Echo(b"served"))

    run(main())


def test_a_goodbye_before_the_handshake_is_a_handshake_that_failed(run: Run) -> None:
    async def main() -> None:
        async with serving(children=tomada.Children(spare=1), deadlines=SOON) as server:
            ((template, _),) = processes()
            await until(lambda: len(processes(template)) == 1)
            ((pid, _),) = processes(template)
            os.kill(pid, 19)  # SIGSTOP: it gets the connection, and does nothing with it
            with pytest.raises(tomada.HandshakeFailed, match="did not answer for 1 s and was killed"):
                await tomada.connect(server.addresses[0])
            async with tomada.connect(server.addresses[0]) as connection:
                assert await connection.ask(Echo(b"served")) == b"served"

    run(main())
