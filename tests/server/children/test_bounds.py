from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

import tomada
from tests.integration.conftest import Run
from tests.server.children.homes import bystander, processes, serving
from tests.server.children.program import MIB, Echo, Try, Who
from tomada import Children, ChildrenFailed
from tomada.server.children import limits, sandbox, system_calls

DENIED = (
    "open",
    "create",
    "remove",
    "list",
    "socket",
    "pair",
    "program",
    "fork",
    "signal others",
    "limits of others",
    "memory file",
)
ALLOWED = {"read": '"""', "own limits": "True", "signal itself": "None", "numbers": "4"}

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")


def test_in_its_sandbox_a_handler_is_refused_and_goes_on(run: Run) -> None:
    async def main() -> None:
        addresses = ("tcp://127.0.0.1:0", "ws://127.0.0.1:0")
        async with serving(*addresses, children=Children(spare=1, sandbox=True)) as server, bystander(server):
            for address in server.addresses[:2]:
                async with tomada.connect(address) as connection:
                    assert {what: await connection.ask(Try(what)) for what in DENIED} == dict.fromkeys(
                        DENIED, "PermissionError"
                    )
                    assert {what: await connection.ask(Try(what)) for what in ALLOWED} == ALLOWED
                    assert await connection.ask(Echo(b"goes on")) == b"goes on"

    run(main())


def test_without_a_sandbox_nothing_is_refused(run: Run) -> None:
    async def main() -> None:
        async with serving() as server, tomada.connect(server.addresses[0]) as connection:
            for what in ("open", "list", "program", "signal others", "memory file", *ALLOWED):
                assert await connection.ask(Try(what)) != "PermissionError"

    run(main())


def test_streams_and_tracebacks_work_in_the_sandbox(run: Run) -> None:
    async def main() -> None:
        async with serving(children=Children(spare=1, sandbox=True)) as server:
            async with tomada.connect_stream(server.addresses[1]) as stream:
                await stream.send(b"hello\n")
                assert (await stream.receive()).endswith(b" hello\n")
            async with tomada.connect(server.addresses[0]) as connection:
                with pytest.raises(tomada.RemoteError, match="KeyError"):
                    await connection.ask(Try("no such thing"))
                assert await connection.ask(Echo(b"goes on")) == b"goes on"

    run(main())


def test_the_files_that_a_child_may_have_open_are_bounded(run: Run) -> None:
    async def main() -> None:
        async with serving(children=Children(spare=1, files=64)) as server, tomada.connect(server.addresses[0]) as one:
            assert await one.ask(Try("many files")) == "OSError"
            assert await one.ask(Echo(b"goes on")) == b"goes on"

    run(main())


@as_root
def test_a_child_becomes_another_user(run: Run) -> None:
    async def main() -> None:
        async with (
            serving(children=Children(spare=1, user="nobody")) as server,
            tomada.connect(server.addresses[0]) as one,
        ):
            _, user, parent = await one.ask(Who())
            assert user == limits.bounds_of(Children(user="nobody")).user_id != 0
            ((template, _),) = processes()
            assert parent == template

    run(main())


def test_a_user_that_cannot_be_is_told_at_the_start(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with pytest.raises(ChildrenFailed, match="there is no user 'nobody at all' on this system"):
            async with serving(children=Children(user="nobody at all")):
                pass

    run(main())
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    with pytest.raises(ChildrenFailed, match="may not become the user nobody; start it as root"):
        limits.bounds_of(Children(user="nobody"))


def test_a_child_that_is_over_its_memory_before_it_serves_is_told(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "ready").write_text("leak")
    monkeypatch.setenv("TOMADA_TEST_READY", f"{folder}/ready")

    async def main() -> None:
        with pytest.raises(ChildrenFailed, match="its process used more than its 32 MiB of memory"):
            async with serving(children=Children(memory_bytes=32 * MIB)):
                pass

    run(main())


def test_memory_counts_from_what_the_application_has() -> None:
    first, second = (limits.bounds_of(Children(memory_bytes=size)).data_bytes or 0 for size in (MIB, 3 * MIB))

    assert second - first >= 2 * MIB
    assert first > 2 * MIB


def test_where_memory_cannot_be_bounded_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")

    with pytest.raises(ChildrenFailed, match="can be bounded on Linux only; leave memory_bytes away"):
        limits.bounds_of(Children(memory_bytes=MIB))


def test_a_machine_whose_system_calls_are_not_known_has_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*real[:4], "riscv64")))

    with pytest.raises(
        ChildrenFailed, match="for Linux on x86_64 and aarch64, and this is linux on riscv64; serve without"
    ):
        sandbox.check()


def test_a_kernel_without_filters_has_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        ctypes.set_errno(22)
        return -1

    monkeypatch.setattr(sandbox, "_seccomp", refuse)

    with pytest.raises(ChildrenFailed, match=r"this kernel has no seccomp filters \(Invalid argument\)"):
        sandbox.check()
    monkeypatch.setattr(sandbox, "_NO_NEW_PRIVILEGES", 9_999)
    with pytest.raises(ChildrenFailed, match="the kernel refused the sandbox"):
        sandbox.enter()


Call = tuple[int, int, int]
"""Architecture, number and first argument."""


def outcome(processor: system_calls.Processor, call: Call, own: int = 4_711) -> int:
    """What the filter says, run as the kernel runs it."""
    architecture, number, first = call
    data = {0: number, 4: architecture, 16: first}
    program = sandbox._program(processor, own)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        match code:
            case 0x20:
                accumulator = data[value]
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x35:
                at += if_true if accumulator >= value else if_false
            case 0x45:
                at += if_true if accumulator & value else if_false
            case 0x06:
                return value


@pytest.mark.parametrize("machine", system_calls.PROCESSORS)
def test_the_filter_refuses_what_it_should_and_nothing_else(machine: str) -> None:
    processor = system_calls.PROCESSORS[machine]
    here = processor.architecture
    allow, refuse, absent = 0x7FFF_0000, 0x0005_0001, 0x0005_0026

    for number in range(600):
        said = outcome(processor, (here, number, 0))
        if number > system_calls.LAST or number == processor.clone3:
            assert said == absent
        elif number in processor.denied or number == processor.clone:
            assert said == refuse
        elif number in processor.own_only:
            assert said == (allow if number == processor.own_only[-1] else refuse)
            assert outcome(processor, (here, number, 4_711)) == allow
            assert outcome(processor, (here, number, 1)) == refuse
        else:
            assert said == allow
    assert outcome(processor, (here, processor.clone, 0x003D_0F00)) == allow  # a thread
    assert outcome(processor, (0x4000_0003, 1, 0)) == refuse  # i386
    if processor.foreign:
        assert outcome(processor, (here, processor.foreign + 2, 0)) == refuse
    assert len(sandbox._program(processor, 1)) <= 4_096
