"""Workers that die, hang, start slowly, or not at all."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

import tomada
import tomada.sync
from tests.server.workers.farm import Block, Die, Nap, Pid
from tests.server.workers.supervised import HERE, Call, Supervised, farm, is_there, until


def test_a_worker_that_is_killed_is_replaced_and_leaves_no_zombie(place: Path) -> None:
    with Supervised(place, str(farm(place)), "--workers", "2", "--bind", HERE) as server:
        told = server.said("listening")
        victim, bystander = told["workers"]
        os.kill(victim, signal.SIGKILL)
        ended = server.said("worker_ended", pid=victim)
        assert (ended["number"], ended["reason"], ended["is_wrong"]) == (1, "it was killed by SIGKILL", True)
        other = server.said("worker_started", number=1)["pid"]
        assert sorted(server.children()) == sorted([bystander, other])
        server.signal(signal.SIGTERM)
        assert server.end() == 0


def test_callers_wait_while_the_worker_is_replaced(place: Path) -> None:
    with Supervised(place, str(farm(place, START_SECONDS=0.3)), "--workers", "1", "--bind", HERE) as server:
        address = server.listening()
        with tomada.sync.connect(address) as client, pytest.raises(tomada.ConnectionLost):
            client.ask(Die())
        callers = [tomada.sync.connect(address) for _ in range(5)]
        assert len({caller.ask(Pid()) for caller in callers}) == 1
        for caller in callers:
            caller.close()


@pytest.mark.parametrize("how", ["stopped", "blocked"])
def test_a_worker_that_hangs_is_killed_and_replaced(place: Path, how: str) -> None:
    words = ("--workers", "1", "--bind", HERE, "--worker-timeout", "1.5")
    with Supervised(place, str(farm(place)), *words) as server:
        told = server.said("listening")
        (pid,) = told["workers"]
        if how == "stopped":
            os.kill(pid, signal.SIGSTOP)
        else:
            with (
                tomada.sync.connect(told["addresses"][0]) as client,
                pytest.raises(tomada.ConnectionLost),
            ):
                client.ask(Block(60))
        ended = server.said("worker_ended", pid=pid)
        assert ended["reason"] == "it was killed by SIGKILL (no sign of life for 1.5 s)"
        server.said("worker_started", number=1)
        with tomada.sync.connect(told["addresses"][0]) as client:
            assert client.ask(Pid()) != pid


def test_a_slow_start_is_no_hang(place: Path) -> None:
    words = ("--workers", "1", "--bind", HERE, "--worker-timeout", "0.4")
    with Supervised(place, str(farm(place, START_SECONDS=0.9)), *words) as server:
        assert server.said("worker_started")["seconds"] >= 0.9


def test_a_worker_that_keeps_dying_is_started_ever_later(place: Path) -> None:
    with Supervised(place, str(farm(place)), "--workers", "1", "--bind", HERE) as server:
        (first,) = server.said("listening")["workers"]
        os.kill(first, signal.SIGKILL)
        second = server.said("worker_started")["pid"]
        os.kill(second, signal.SIGSEGV)
        assert server.said("worker_ended", pid=second)["reason"] == "it was killed by SIGSEGV"
        server.said("worker_started")
        assert "worker 1 is started again in 1 s: it keeps ending" in server.errors


def test_who_cannot_start_any_more_is_tried_again(place: Path) -> None:
    file = farm(place)
    with Supervised(place, str(file), "--workers", "2", "--bind", HERE) as server:
        first, bystander = server.said("listening")["workers"]
        good = file.read_text()
        file.write_text("import no_such_module_here\n")
        os.kill(first, signal.SIGKILL)
        server.said("worker_ended", pid=first)
        assert "could not be started" in server.said("worker_ended", number=1)["reason"]
        file.write_text(good)
        server.said("worker_started", number=1)
        assert is_there(bystander)


# What cannot start at all.


def failed(place: Path, *words: str) -> tuple[int, dict[str, object], str]:
    with Supervised(place, *words) as server:
        status = server.end()
        (said,) = [line for line in server.rest() if "event" not in line]
        return status, said, server.errors


def test_an_import_error_ends_it_all_with_one_traceback(place: Path) -> None:
    (place / "broken.py").write_text("import no_such_module_here\n")
    status, said, errors = failed(place, "broken.py", "--workers", "3")
    assert (status, said["message"]) == (
        3,
        "broken.py could not be started: ModuleNotFoundError: No module named 'no_such_module_here'",
    )
    assert errors.count("Traceback") == 1
    assert "No module named 'no_such_module_here'" in errors


def test_a_start_function_that_raises_ends_it_all(place: Path) -> None:
    file = farm(place)
    file.write_text(file.read_text().replace("await asyncio.sleep(START_SECONDS)", "raise RuntimeError('no database')"))
    status, _, errors = failed(place, str(file), "--workers", "2", "--bind", HERE)
    assert status == 3
    assert errors.count("Traceback") == 1
    assert "RuntimeError: no database" in errors


def test_a_busy_port_is_told_with_its_holder(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = f"tcp://127.0.0.1:{busy.getsockname()[1]}"
        status, said, errors = failed(place, str(farm(place)), "--workers", "2", "--bind", address)
    assert status == 3
    assert str(said["message"]).startswith(f"cannot listen on {address}: port ")
    assert "is held by process" in str(said["message"])
    assert "Traceback" not in errors


def test_the_port_of_another_server_with_workers_is_busy(place: Path) -> None:
    file = farm(place)
    with Supervised(place, str(file), "--workers", "2", "--bind", HERE) as server:
        address = server.listening()
        other = place / "other"
        other.mkdir()
        status, said, _ = failed(other, str(file), "--workers", "2", "--bind", address)
        assert (status, "is held by" in str(said["message"])) == (3, True)
        assert len(server.children()) == 2


def test_a_worker_that_ends_before_it_is_ready_ends_it_all(place: Path) -> None:
    (place / "gone.py").write_text("import os\nos._exit(7)\n")
    status, said, _ = failed(place, "gone.py", "--workers", "2")
    assert (status, said["message"]) == (3, "worker 1 did not start: it ended with exit status 7")


def test_an_application_that_ends_its_process_is_told(place: Path) -> None:
    (place / "leaves.py").write_text("raise SystemExit('no licence')\n")
    status, said, _ = failed(place, "leaves.py", "--workers", "2")
    assert (status, said["message"]) == (3, "leaves.py ends its own process: exit status no licence")


def test_a_wrong_target_is_wrong_usage(place: Path) -> None:
    status, said, errors = failed(place, "nowhere.py", "--workers", "2")
    assert (status, said["message"]) == (2, "there is no file nowhere.py")
    assert "Traceback" not in errors


def test_one_that_fails_later_than_the_first_ends_it_all(place: Path) -> None:
    file = farm(place)
    flag = place / "first"
    text = f"\nfrom pathlib import Path\nif Path({str(flag)!r}).exists():\n    raise RuntimeError('the second')\n"
    file.write_text(file.read_text() + text + f"Path({str(flag)!r}).touch()\n")
    status, _, errors = failed(place, str(file), "--workers", "2", "--bind", HERE)
    assert status == 3
    assert errors.count("Traceback") == 1
    assert "RuntimeError: the second" in errors


# The end.


def test_a_signal_lets_what_is_under_way_end(place: Path) -> None:
    with Supervised(place, str(farm(place)), "--workers", "2", "--bind", HERE) as server:
        address = server.listening()
        pids = set(server.children())
        with tomada.sync.connect(address) as client:
            call = Call(place, client, Nap(0.5))
            # As a terminal does at Ctrl-C: the workers get it, too.
            os.killpg(server.process.pid, signal.SIGINT)
            assert call.answer() == 1
        assert server.end() == 0
        assert {int(line) for line in (place / "ended").read_text().split()} == pids
        with pytest.raises(tomada.ConnectFailed):
            tomada.sync.connect(address)


def test_what_does_not_end_is_cut_at_the_deadline(place: Path) -> None:
    with Supervised(place, str(farm(place)), "--workers", "1", "--bind", HERE, "--drain", "0.3") as server:
        with tomada.sync.connect(server.listening(), sessions=False) as client:
            call = Call(place, client, Nap(60))
            server.signal(signal.SIGTERM)
            assert isinstance(call.answer(), tomada.ConnectionLost)
        assert server.end() == 0


def test_a_second_signal_ends_it_at_once(place: Path) -> None:
    with Supervised(place, str(farm(place)), "--workers", "2", "--bind", HERE, "--drain", "60") as server:
        with tomada.sync.connect(server.listening(), sessions=False) as client:
            call = Call(place, client, Nap(60))
            server.signal(signal.SIGTERM)
            with pytest.raises(tomada.ConnectionLost, match="going away"):
                client.receive()
            server.signal(signal.SIGTERM)
            assert isinstance(call.answer(), tomada.ConnectionLost)
        assert server.end() == 0


def test_a_third_signal_kills(place: Path) -> None:
    with Supervised(place, str(farm(place)), "--workers", "1", "--bind", HERE, "--drain", "60") as server:
        with tomada.sync.connect(server.listening(), sessions=False) as client:
            call = Call(place, client, Block(60))
            (pid,) = server.children()
            for _ in range(3):
                server.signal(signal.SIGTERM)
                until(lambda: server.process.poll() is not None or not _has_pending(server.process.pid))
            assert isinstance(call.answer(), tomada.ConnectionLost)
        assert server.end() == 0
        assert not is_there(pid)


def test_workers_end_with_their_supervisor(place: Path) -> None:
    with Supervised(place, str(farm(place)), "--workers", "2", "--bind", HERE) as server:
        address = server.listening()
        pids = server.children()
        with tomada.sync.connect(address) as client:
            call = Call(place, client, Nap(0.5))
            server.process.kill()
            assert call.answer() == 1
        until(lambda: not any(is_there(pid) for pid in pids))
        with pytest.raises(tomada.ConnectFailed):
            tomada.sync.connect(address)


def test_a_signal_while_it_starts_ends_it(place: Path) -> None:
    with Supervised(place, str(farm(place, START_SECONDS=60.0)), "--workers", "1", "--bind", HERE) as server:
        until(server.children)
        server.signal(signal.SIGTERM)
        assert server.end() == 0


def _has_pending(pid: int) -> bool:
    """Whether a signal has not been taken yet."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = [line.split()[1] for line in lines if line.startswith(("SigPnd", "ShdPnd"))]
    return any(int(mask, 16) for mask in masks)
