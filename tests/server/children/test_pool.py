from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

import tomada
from tests.authority import Authority
from tests.integration.conftest import Run
from tests.server.children import program
from tests.server.children.homes import bystander, is_alive, processes, serving, until
from tests.server.children.program import Die, Echo, Hold, Who
from tomada import Children, ChildrenFailed, ConnectionLost
from tomada.server.children import pool as pool_module
from tomada.server.children.channel import Fork, Kill, Serve
from tomada.server.children.pool import Pool
from tomada.telemetry import ChildEnded, ChildStarted, subscribe


def pool(server: tomada.Server) -> Pool:
    assert server._front is not None
    assert server._front._pool is not None
    return server._front._pool


async def child_of(server: tomada.Server) -> int:
    """The process that serves a connection made for this."""
    async with tomada.connect(server.addresses[0]) as connection:
        return (await connection.ask(Who()))[0]


def test_each_connection_has_its_own_process_which_ends_with_it(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            pids = [await child_of(server) for _ in range(5)]
            assert len(set(pids)) == 5
            await until(lambda: not any(map(is_alive, pids)))

    run(main())


def test_a_child_without_a_descriptor_for_its_connection_ends(run: Run) -> None:
    """It would live on, and its peer would wait, for ever."""
    ended: list[ChildEnded] = []

    async def main() -> None:
        async with serving(children=Children(spare=1)) as server:
            await until(lambda: pool(server)._idle)
            assert pool(server)._idle[0].channel.send(Serve(0))  # as it comes where the system gives no descriptor
            await until(lambda: ended)
            assert "has as many files open as it may" in ended[0].reason
            await child_of(server)

    with subscribe(ended.append, ChildEnded):
        run(main())


def test_a_template_without_a_descriptor_for_a_channel_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving(children=Children(spare=1)) as server:
            own = pool(server)
            tell = own._tell

            def tell_without(message: Fork | Kill, passed: socket.socket | None = None) -> None:
                if passed is not None:
                    passed.close()
                tell(message)

            with monkeypatch.context() as patch:
                patch.setattr(own, "_tell", tell_without)
                own._fork()
                (number,) = [number for number, child in own._children.items() if not child.ready_at]
                await until(lambda: number not in own._children)
            await child_of(server)
            await child_of(server)

    run(main())


def test_a_child_that_does_not_end_makes_room_for_others(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an application whose end hangs would use up all children, and nobody would know why none is served."""
    monkeypatch.setattr(pool_module, "_LAST_WAIT", 0.3)
    ended: list[ChildEnded] = []

    async def main() -> None:
        deadlines = tomada.Deadlines(drain=0.1)
        async with serving(children=Children(spare=1, most=2), deadlines=deadlines) as server:
            for _ in range(4):
                async with tomada.connect(server.addresses[0]) as connection:
                    await connection.ask(Die("never ends"))
            await until(lambda: len(ended) >= 2)

    with subscribe(ended.append, ChildEnded):
        run(main())
    reasons = {one.reason for one in ended if one.connections}
    assert "had not ended 0.5 s after its last connection and was killed" in reasons


def test_a_process_may_serve_several_connections_one_after_the_other(run: Run) -> None:
    async def main() -> None:
        async with serving(children=Children(spare=1, connections=3)) as server:
            pids = [await child_of(server)]
            for _ in range(12):
                # It is idle again when the server has heard that its connection has ended.
                await until(lambda: pool(server)._idle)
                pids.append(await child_of(server))
            assert max(pids.count(pid) for pid in pids) == 3

    run(main())


def test_children_that_are_too_many_to_wait_are_let_go(run: Run) -> None:
    async def main() -> None:
        async with serving(children=Children(spare=1, connections=100)) as server:
            connections = [await tomada.connect(server.addresses[0]) for _ in range(3)]
            for connection in connections:
                await connection.close()
            ((template, _),) = processes()
            await until(lambda: len(processes(template)) == 1)

    run(main())


def test_callers_wait_where_there_are_as_many_children_as_may_be(run: Run) -> None:
    async def main() -> None:
        async with serving(children=Children(spare=2, most=2)) as server, bystander(server):
            first = await tomada.connect(server.addresses[0])
            waiting = [asyncio.create_task(child_of(server)) for _ in range(3)]
            ((template, _),) = processes()
            await asyncio.sleep(0.1)
            assert not any(task.done() for task in waiting)
            assert len(processes(template)) == 2
            await first.close()
            assert len(set(await asyncio.gather(*waiting))) == 3

    run(main())


def test_start_and_end_of_each_child_are_told(run: Run) -> None:
    async def main() -> None:
        events: list[Any] = []
        with subscribe(events.append, ChildStarted, ChildEnded):
            async with serving(children=Children(spare=1)) as server:
                pid = await child_of(server)
                async with tomada.connect(server.addresses[0]) as connection:
                    with pytest.raises(ConnectionLost):
                        await connection.ask(Die("exit"))
        own = [event for event in events if event.pid == pid]
        assert [type(event) for event in own] == [ChildStarted, ChildEnded]
        ended = [event for event in events if isinstance(event, ChildEnded)]
        assert [(event.reason, event.connections) for event in ended if event.is_wrong] == [
            ("ended with exit status 3", 1)
        ]
        assert all(event.seconds > 0 for event in ended)

    run(main())


def test_a_child_that_is_asked_to_end_says_goodbye_and_lets_what_is_under_way_end(run: Run) -> None:
    async def main() -> None:
        async with serving() as server, bystander(server), tomada.connect(server.addresses[0]) as connection:
            pid, *_ = await connection.ask(Who())
            call = asyncio.create_task(connection.ask(Hold(0.2)))
            await connection.ping()
            os.kill(pid, signal.SIGTERM)
            assert await call == "held"
            await until(lambda: not is_alive(pid))
            assert "going away" in connection.end_reason

    run(main())


def test_a_server_that_stops_lets_what_is_under_way_end(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            connection = await tomada.connect(server.addresses[0])
            call = asyncio.create_task(connection.ask(Hold(0.2)))
            stream = await tomada.connect_stream(server.addresses[1])
            await connection.ping()
            await server.close()
            assert await call == "held"
            assert "going away" in connection.end_reason
            await connection.close()
            await stream.close()

    run(main())


@pytest.mark.parametrize("how", ["hang", "stop"])
def test_a_child_that_has_not_ended_by_the_drain_deadline_is_killed(run: Run, how: str) -> None:
    async def main() -> None:
        async with serving(deadlines=tomada.Deadlines(drain=0.3)) as server:
            connection = await tomada.connect(server.addresses[0])
            call = asyncio.create_task(connection.ask(Die(how)))
            await asyncio.sleep(0.1)
            await server.close()
            with pytest.raises(ConnectionLost, match=r"had not ended 0\.3 s after the server was stopped"):
                await call

    run(main())


def test_an_application_that_does_not_start_is_told_at_once(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOMADA_TEST_READY", f"{folder}/ready")

    async def main() -> None:
        with pytest.raises(
            ChildrenFailed,
            match=r"a child process cannot start: RuntimeError: the shop is shut .*program\.py.*, in start",
        ):
            async with serving():
                pass
        assert processes() == []

    run(main())


def test_children_that_cannot_start_later_on_are_tried_again_and_told_once(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TOMADA_TEST_READY", f"{folder}/ready")
    ready = folder / "ready"
    ready.touch()

    async def main() -> None:
        async with serving(children=Children(spare=1)) as server, bystander(server):
            await until(lambda: pool(server)._idle)
            ready.unlink()
            await child_of(server)  # the one that waited
            waiting = asyncio.create_task(child_of(server))
            await until(lambda: pool(server)._stillborn >= 3)
            assert not waiting.done()
            ready.touch()
            await waiting

    with caplog.at_level(logging.ERROR, "tomada"):
        run(main())
    told = [record.getMessage() for record in caplog.records if "before they can serve" in record.getMessage()]
    assert len(told) == 1
    assert "the shop is shut" in told[0]


def test_callers_that_say_nothing_have_no_children(run: Run) -> None:
    async def main() -> None:
        async with serving(children=Children(spare=1, most=2)) as server:
            address = server.addresses[0]
            silent = [socket.create_connection((address.host, address.port or 0)) for _ in range(10)]
            await child_of(server)
            for one in silent:
                one.close()

    run(main())


def test_a_template_that_is_stopped_is_noticed(run: Run) -> None:
    async def main() -> None:
        async with serving(deadlines=tomada.Deadlines(heartbeat=0.2)) as server:
            ((template, _),) = processes()
            os.kill(template, signal.SIGSTOP)
            try:
                await child_of(server)
                failed = server.failed
                assert failed is not None
                await until(failed.done)
                assert f"forks children, {template}, has not answered for 0.4 s" in str(failed.result())
            finally:
                os.kill(template, signal.SIGCONT)

    run(main())


def test_without_its_template_a_server_serves_nobody_any_more(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as server:
            connection = await tomada.connect(server.addresses[0])
            ((template, _),) = processes()
            pids = dict(processes(template))
            os.kill(template, signal.SIGKILL)
            with pytest.raises(ConnectionLost, match="was ended, as the process that forks children was"):
                await connection.ask(Hold(60))
            await until(lambda: not any(map(is_alive, pids)))
            with pytest.raises(tomada.ConnectFailed):
                await tomada.connect(server.addresses[0] if server.addresses else connection.peer)
            await connection.close()

    run(main())
    assert "the process that forks children has ended" in caplog.text


def test_an_application_of_no_module_is_told_what_to_do(run: Run) -> None:
    async def main() -> None:
        app = tomada.App("nowhere")

        @app.on
        async def echo(request: Echo) -> bytes:
            return request.data

        with pytest.raises(ChildrenFailed, match="no module has the application 'nowhere' as a variable"):
            await tomada.serve(app, "tcp://127.0.0.1:0", isolation="process")
        assert processes() == []

    run(main())


def test_an_address_inside_of_one_process_is_refused(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(tomada.ListenFailed, match="it is inside of one process"):
            await tomada.serve(program.app, "memory://here", isolation="process")
        assert processes() == []

    run(main())


def test_more_connections_than_the_server_may_have_are_refused_with_the_reason(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(connections=1)
        async with serving(limits=limits) as server, bystander(server):
            with pytest.raises(tomada.HandshakeFailed, match="the server has 1 connection, and takes no more"):
                await tomada.connect(server.addresses[0])

    run(main())


def test_a_certificate_that_was_renewed_is_used_by_the_next_children(
    run: Run, authority: Authority, folder: Path
) -> None:
    file = folder / "server.pem"
    shutil.copy(authority.certificate, file)
    other = authority.issue("other", "localhost", common_name="other")

    async def main() -> None:
        async with serving("tls://localhost:0", tls=tomada.TLS(certificate=str(file))) as server:

            async def serial() -> object:
                address = f"tls://localhost:{server.addresses[0].port}"
                async with tomada.connect(address, tls=authority.client) as connection:
                    assert await connection.ask(Echo(b"1")) == b"1"
                    link = connection._link
                    assert link.transport is not None
                    return link.transport.get_extra_info("ssl_object").getpeercert()["serialNumber"]

            first = await serial()
            shutil.copy(other, file)
            server.reload_certificates()
            assert await serial() != first

    run(main())


def test_what_can_not_be_set_is_told() -> None:
    with pytest.raises(ValueError, match="isolation is 'task', and children are of 'process'"):
        tomada.serve(program.app, "tcp://:0", children=Children())
    with pytest.raises(ValueError, match="isolation is 'fork'"):
        tomada.serve(program.app, "tcp://:0", isolation="fork")  # type: ignore[arg-type] # that is the point
    for wrong in ({"connections": 0}, {"spare": -1}, {"most": 1.5}, {"memory_bytes": "1"}):
        with pytest.raises(ValueError, match="it must be a whole number above 0"):
            Children(**wrong)
