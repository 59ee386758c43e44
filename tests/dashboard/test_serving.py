"""The dashboard of real servers: one process, several, and those that come and go."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import tomada
import tomada.sync
from tests.dashboard.watched import place_of, seen, serving
from tests.server.workers.farm import Block, Nap, Pid, Version
from tests.server.workers.supervised import Call, Supervised, change, farm, is_there, until
from tomada.cli.dashboard_options import HOST, PORT
from tomada.feed.messages import Close, Drain, NotAllowed, Picture, Watch


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a path short enough for socket files."""
    with tempfile.TemporaryDirectory(prefix="tomada-") as name:
        yield Path(name)


def is_over(client: tomada.sync.Connection) -> bool:
    """Whether it can ask no more: its server's goodbye may still be on its way."""
    try:
        client.ask(Version())
    except tomada.ConnectionLost:
        return True
    return False


def test_one_process_is_seen_and_its_connections_are_closed(place: Path) -> None:
    with serving(place) as server:
        told = server.said("listening")
        dashboard = place_of(told)
        with tomada.sync.connect(told["addresses"][0], sessions=False) as client:
            assert client.ask(Version()) == 1
            picture = seen(dashboard.feed, lambda picture: picture.totals.received_messages)
            (row,) = picture.connections
            assert (picture.app, picture.addresses, picture.matching) == ("farm", told["addresses"], 1)
            assert (row.kind, row.state, row.received_messages, row.sent_messages) == ("messages", "open", 1, 1)
            assert row.peer.startswith("tcp://127.0.0.1:")
            assert row.software == "tomada (Python)"
            assert not picture.may_act
            (worker,) = picture.workers
            assert (worker.number, worker.pid, worker.state) == (0, server.process.pid, "serving")
            assert picture.settings["connections"] == 10_000
            with tomada.sync.connect(dashboard.feed) as viewer, pytest.raises(NotAllowed):
                viewer.ask(Close(row.id))
            with tomada.sync.connect(dashboard.acting) as viewer:
                assert viewer.ask(Close(row.id)) is True
                assert viewer.ask(Close("1-1")) is False
                assert viewer.ask(Drain(0)) is False  # nobody would start another one
            until(lambda: is_over(client))
        assert seen(dashboard.feed, lambda picture: not picture.matching).totals.opened == 1
        with tomada.sync.connect(dashboard.app) as client:
            assert client.ask(Pid()) == server.process.pid
            picture = seen(dashboard.feed, lambda picture: picture.connections)
            assert [row.peer for row in picture.connections] == ["dashboard"]
        server.signal(signal.SIGTERM)
        assert server.end() == 0
    assert not list(place.glob("tomada/*"))


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_with_other_isolation_it_shows_what_can_be_shown(place: Path, isolation: str) -> None:
    with serving(place, "--isolation", isolation) as server:
        told = server.said("listening")
        dashboard = place_of(told)
        with tomada.sync.connect(dashboard.app) as client:
            assert client.ask(Version()) == 1
            if isolation == "thread":
                picture = seen(dashboard.feed, lambda picture: picture.connections)
                with tomada.sync.connect(dashboard.acting) as viewer:
                    assert viewer.ask(Close(picture.connections[0].id)) is True
                assert not seen(dashboard.feed, lambda picture: not picture.matching).connections
            else:
                picture = seen(dashboard.feed, lambda picture: picture.totals.connections == 1)
                assert picture.workers[0].children > 1
                assert (picture.workers[0].connections, picture.connections) == (1, [])
        server.signal(signal.SIGTERM)
        assert server.end() == 0


def numbers(picture: Picture) -> list[tuple[int, int]]:
    return [(worker.number, worker.pid) for worker in picture.workers if worker.state == "serving"]


def test_several_workers_are_one_picture(place: Path) -> None:
    with serving(place, "--workers", "2") as server:
        told = server.said("listening")
        dashboard = place_of(told)
        clients = [tomada.sync.connect(told["addresses"][0]) for _ in range(8)]
        pids = [client.ask(Pid()) for client in clients]
        picture = seen(dashboard.feed, lambda picture: picture.totals.received_messages == 8, sort="peer", count=5)
        assert numbers(picture) == list(enumerate(told["workers"], 1))
        assert (picture.matching, picture.totals.connections) == (8, 8)
        rest = seen(dashboard.feed, lambda picture: picture.connections, sort="peer", first=5, count=5)
        peers = [row.peer for row in (*picture.connections, *rest.connections)]
        assert (len(peers), peers) == (8, sorted(peers))
        by_worker = {number: told["workers"][number - 1] for number in (1, 2)}
        shown = [by_worker[row.worker] for row in (*picture.connections, *rest.connections)]
        assert sorted(shown) == sorted(pids)
        found = seen(dashboard.feed, lambda _: True, query=peers[3].upper())
        assert [row.peer for row in found.connections] == [peers[3]]
        for client in clients:
            client.close()


def test_workers_come_and_go_while_somebody_watches(place: Path) -> None:
    with serving(place, "--workers", "2") as server:
        told = server.said("listening")
        dashboard = place_of(told)
        with tomada.sync.connect(dashboard.feed) as viewer:
            pictures = iter(viewer.stream(Watch()))
            lines: list[str] = []

            def until_seen(*pids: int) -> Picture:
                for picture in pictures:
                    lines.extend(line.text for line in picture.log)
                    if {pid for _, pid in numbers(picture)} == set(pids):
                        return picture
                raise AssertionError(pids)

            until_seen(*told["workers"])
            os.kill(told["workers"][0], signal.SIGKILL)
            other = server.said("worker_started", number=1)["pid"]
            picture = until_seen(other, told["workers"][1])
            gone = [worker.pid for worker in picture.workers if worker.state == "gone"]
            assert gone == [told["workers"][0]]
            while not any("SIGKILL" in text for text in lines):  # the supervisor says so, in its own log
                lines += [line.text for line in next(pictures).log]
            change(place / "farm.py", VERSION=2)
            server.signal(signal.SIGHUP)
            until_seen(*server.said("reloaded")["workers"])


def test_a_worker_is_drained_and_replaced_and_no_caller_is_turned_away(place: Path) -> None:
    with serving(place, "--workers", "2") as server:
        told = server.said("listening")
        dashboard = place_of(told)
        with tomada.sync.connect(dashboard.feed) as viewer, pytest.raises(NotAllowed):
            viewer.ask(Drain(2))
        with tomada.sync.connect(dashboard.acting) as viewer:
            assert viewer.ask(Drain(9)) is False
            assert viewer.ask(Drain(2)) is True
        ended = server.said("worker_ended", pid=told["workers"][1])
        assert not ended["is_wrong"]
        picture = seen(dashboard.feed, lambda picture: len(numbers(picture)) == 2)
        assert told["workers"][1] not in dict(map(reversed, numbers(picture)))  # type: ignore[arg-type] # pairs
        with tomada.sync.connect(told["addresses"][0]) as client:
            assert client.ask(Version()) == 1


def test_a_worker_that_cannot_be_replaced_goes_on(place: Path) -> None:
    with serving(place, "--workers", "1") as server:
        told = server.said("listening")
        (place / "farm.py").write_text("this is no Python\n")
        with tomada.sync.connect(place_of(told).acting) as viewer:
            assert viewer.ask(Drain(1)) is False
        with tomada.sync.connect(told["addresses"][0]) as client:
            assert client.ask(Pid()) == told["workers"][0]


def dashboards(parent: int) -> list[int]:
    """They are children of a thread of their own."""
    tasks = Path(f"/proc/{parent}/task").iterdir()
    found = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return [pid for pid in found if b"tomada.dashboard" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.parametrize("words", [(), ("--workers", "1")], ids=["alone", "workers"])
def test_a_dashboard_that_is_killed_is_started_again_and_nobody_else_notices(
    place: Path, words: tuple[str, ...]
) -> None:
    with serving(place, *words) as server:
        told = server.said("listening")
        dashboard = place_of(told)
        seen(dashboard.feed, lambda picture: picture.workers)
        (first,) = dashboards(server.process.pid)
        with tomada.sync.connect(told["addresses"][0]) as client:
            os.kill(first, signal.SIGKILL)
            assert client.ask(Version()) == 1
            seen(dashboard.feed, lambda picture: picture.matching)
            (other,) = dashboards(server.process.pid)
            assert other != first
            assert "the dashboard has ended; it is started again in 0 s" in server.errors
            os.kill(other, signal.SIGKILL)
            until(lambda: "it is started again in 1 s" in server.errors)
        server.signal(signal.SIGTERM)
        assert server.end() == 0


@pytest.mark.parametrize("words", [(), ("--workers", "1")], ids=["alone", "workers"])
def test_a_dashboard_ends_with_a_server_that_is_killed(place: Path, words: tuple[str, ...]) -> None:
    with serving(place, *words) as server:
        seen(place_of(server.said("listening")).feed, lambda picture: picture.workers)
        (dashboard,) = dashboards(server.process.pid)
        os.kill(server.process.pid, signal.SIGKILL)
        until(lambda: not is_there(dashboard))
    left = list(place.glob("tomada/*.watched"))
    assert len(left) == 1
    with serving(place) as server:  # whoever comes next removes what was left behind
        server.said("listening")
        assert not left[0].exists()


WATCHING = """
import sys, tomada.sync
from tomada.feed.messages import Watch
feeds = [tomada.sync.connect(sys.argv[1], wait=20) for _ in range(5)]
streams = [iter(feed.stream(Watch())) for feed in feeds]
print([next(stream).app for stream in streams], flush=True)
input()
"""


def test_viewers_that_never_read_keep_nobody_waiting(place: Path) -> None:
    with serving(place) as server:
        told = server.said("listening")
        dashboard = place_of(told)
        program = [sys.executable, "-c", WATCHING, dashboard.feed]
        with (
            subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as deaf,
            tomada.sync.connect(told["addresses"][0]) as client,
        ):
            assert deaf.stdout is not None
            assert deaf.stdout.readline() == f"{['farm'] * 5}\n"
            deaf.send_signal(signal.SIGSTOP)
            with tomada.sync.connect(dashboard.feed) as viewer:
                pictures = iter(viewer.stream(Watch()))
                for _ in range(5):
                    next(pictures)
                    assert client.ask(Version(), timeout=10) == 1
            deaf.kill()


def test_what_is_under_way_is_seen_while_the_server_drains(place: Path) -> None:
    with serving(place) as server:
        told = server.said("listening")
        with (
            tomada.sync.connect(place_of(told).feed) as viewer,
            tomada.sync.connect(told["addresses"][0]) as client,
        ):
            pictures = iter(viewer.stream(Watch()))
            next(pictures)
            call = Call(place, client, Nap(1.5))
            server.signal(signal.SIGTERM)
            assert next(picture for picture in pictures if picture.workers[0].state == "draining").matching
            assert call.answer() == 1
        assert server.end() == 0


def test_dev_has_one_with_a_token_and_takes_another_port_where_its_own_is_taken(place: Path) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # somebody else has it, which is as good
            holder.bind((HOST, PORT))
            holder.listen()
        words = (str(farm(place)), "--bind", "tcp://127.0.0.1:0")
        with Supervised(place, *words, command="dev") as server:
            told = server.said("listening")
            dashboard = place_of(told)
            assert dashboard.port != PORT
            assert dashboard.token
            assert seen(dashboard.acting, lambda picture: picture.workers).may_act
            server.signal(signal.SIGINT)
            assert server.end() == 0
        with Supervised(place, *words, "--no-dashboard", command="dev") as server:
            assert "dashboard" not in server.said("listening")


def test_a_worker_whose_loop_is_blocked_keeps_no_viewer_waiting(place: Path) -> None:
    with serving(place, "--workers", "2") as server:
        told = server.said("listening")
        with (
            tomada.sync.connect(place_of(told).feed) as viewer,
            tomada.sync.connect(told["addresses"][0], sessions=False) as client,
        ):
            pictures = iter(viewer.stream(Watch()))
            next(pictures)
            Call(place, client, Block(60))
            for _ in range(4):
                assert len(next(pictures).workers) == 2
            assert client.is_open  # it is blocked still
            os.killpg(server.process.pid, signal.SIGKILL)


def test_what_other_machines_reach_is_for_the_token_alone(place: Path) -> None:
    words = ("--dashboard", "0.0.0.0:0", "--dashboard-remote", "--dashboard-token", "new")
    with serving(place, *words) as server:
        dashboard = place_of(server.said("listening"))._replace(host="127.0.0.1")
        assert dashboard.may() == {"watch": False, "act": False, "try": False}
        assert dashboard.may(Authorization=f"Bearer {dashboard.token}") == {"watch": True, "act": True, "try": True}
        for address in (dashboard.feed, dashboard.app):
            with pytest.raises(tomada.HandshakeFailed, match="403 Forbidden"):
                tomada.sync.connect(address)
        assert seen(dashboard.acting, lambda picture: picture.workers).may_act


def test_an_application_that_not_any_program_may_speak_to_is_tried_with_the_token_alone(place: Path) -> None:
    words = ("--dashboard", "127.0.0.1:0", "--dashboard-token", "new", "--bind", f"unix://{place}/farm.sock")
    with Supervised(place, str(farm(place)), *words, command="serve") as server:
        dashboard = place_of(server.said("listening"))
        assert dashboard.may() == {"watch": True, "act": False, "try": False}
        with pytest.raises(tomada.HandshakeFailed, match="403 Forbidden"):
            tomada.sync.connect(dashboard.app)
        assert dashboard.may(Authorization=f"Bearer {dashboard.token}")["try"]
        with tomada.sync.connect(f"{dashboard.app}/{dashboard.token}") as client:
            assert client.ask(Version()) == 1
