"""What systemd does, without systemd: sockets that are given, and a socket that listens to notifications."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tomada
import tomada.sync
from tests.server.workers.farm import Pid, Version
from tests.server.workers.supervised import HERE, Supervised, farm
from tomada.errors import ListenFailed
from tomada.server.activation import activation
from tomada.server.notifier import notifier

# A service manager: puts its sockets from 3 on, says so, and becomes the service.
LAUNCHER = """
import os, sys
names, numbers, *command = sys.argv[1:]
held = [os.dup2(int(number), 50 + at) for at, number in enumerate(numbers.split(","))]
for at, number in enumerate(held):
    os.dup2(number, 3 + at)
    os.set_inheritable(3 + at, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(held)), "LISTEN_FDNAMES": names}
os.execv(sys.executable, [sys.executable, "-m", "tomada", *command])
"""


class Activated(Supervised):
    """As `Supervised`, with sockets given to it."""

    def __init__(self, folder: Path, given: list[socket.socket], names: str, *words: str) -> None:
        self.given = given
        self.names = names
        super().__init__(folder, *words)

    def command(self, *words: str) -> list[str]:
        numbers = ",".join(str(own.fileno()) for own in self.given)
        return [sys.executable, "-c", LAUNCHER, self.names, numbers, *words]

    def descriptors(self) -> list[int]:
        return [own.fileno() for own in self.given]


@pytest.fixture
def given() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as own:
        yield own


def at(own: socket.socket) -> str:
    return f"tcp://127.0.0.1:{own.getsockname()[1]}"


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
@pytest.mark.parametrize("named", [True, False])
def test_sockets_that_are_given_are_served(
    place: Path,
    given: socket.socket,
    workers: tuple[str, ...],
    named: bool,  # noqa: FBT001 - a parameter of pytest's
) -> None:
    bind = ("--bind", at(given)) if named else ()
    with (
        tomada.sync.connect_stream(at(given)),
        Activated(place, [given], "x", "serve", str(farm(place)), *workers, *bind) as server,
    ):
        assert server.said("listening")["addresses"] == [at(given)]
        with tomada.sync.connect(at(given)) as client:
            assert client.ask(Version()) == 1
        server.signal(signal.SIGTERM)
        assert server.end() == 0


def test_a_socket_file_that_is_given_stays(place: Path) -> None:
    path = place / "given.sock"
    with socket.socket(socket.AF_UNIX) as own:
        own.bind(str(path))
        own.listen()
        with Activated(place, [own], "", "serve", str(farm(place)), "--workers", "2") as server:
            assert server.said("listening")["addresses"] == [f"unix://{path}"]
            server.signal(signal.SIGTERM)
            assert server.end() == 0
        assert path.is_socket(), "it is the service manager's"


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_a_socket_that_nobody_names_is_an_error(place: Path, given: socket.socket, workers: tuple[str, ...]) -> None:
    with Activated(place, [given], "", "serve", str(farm(place)), *workers, "--bind", HERE) as server:
        assert server.end() == 3
        (said,) = [line for line in server.rest() if "event" not in line]
        assert said["message"] == (
            f"the service manager gives a socket at {at(given)}, where nothing is served: name that address with "
            "--bind, or leave --bind out to serve at all of them"
        )


def test_its_name_is_the_scheme(place: Path, given: socket.socket) -> None:
    with Activated(place, [given], "ws", "serve", str(farm(place)), "--workers", "1") as server:
        (address,) = server.said("listening")["addresses"]
        assert address == at(given).replace("tcp", "ws") + "/"
        with tomada.sync.connect(address) as client:
            assert client.ask(Version()) == 1


def test_sockets_for_others_are_left_alone() -> None:
    environment = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "HOME": "/"}
    assert activation(environment).addresses == []
    assert environment == {"HOME": "/"}


def test_what_is_given_must_be_a_listening_socket() -> None:
    program = (
        "import os; from tomada.server.activation import activation\n"
        "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}\n"
        "activation()"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec {sys.executable} -c "$0" 3</dev/null', program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the service manager gives descriptor 3, which is no socket" in done.stderr
    assert ListenFailed.__name__ in done.stderr


# Notifications.


class Manager:
    """Receives notifications."""

    def __init__(self, place: Path, *, abstract: bool = False) -> None:
        name = f"@tomada-test-{os.getpid()}" if abstract else str(place / "notify.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if abstract else name)
        self.socket.settimeout(20)
        self.environment = {"NOTIFY_SOCKET": name}

    def told(self) -> dict[str, str]:
        lines = self.socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def told_of(self, name: str) -> dict[str, str]:
        while name not in (told := self.told()):
            pass
        return told

    def hear_for_ever(self) -> None:
        while True:
            self.told()

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def manager(place: Path) -> Iterator[Manager]:
    made = Manager(place)
    yield made
    made.close()


def test_the_managers_socket_may_be_in_no_file_system(place: Path) -> None:
    manager = Manager(place, abstract=True)
    notifier(manager.environment).ready("two\nlines " + "x" * 2_000)
    told = manager.told()
    assert (told["READY"], told["STATUS"][:11], len(told["STATUS"])) == ("1", "two lines x", 1_000)
    manager.close()


def test_a_supervisor_tells_of_its_life(place: Path, manager: Manager) -> None:
    file = farm(place)
    words = (str(file), "--workers", "2", "--bind", HERE)
    with Supervised(place, *words, environment=manager.environment) as server:
        address = server.listening()
        ready = manager.told()
        assert ready == {"READY": "1", "STATUS": f"2 workers serve farm at {address}"}
        server.signal(signal.SIGHUP)
        reloading = manager.told()
        assert reloading["RELOADING"] == "1"
        assert int(reloading["MONOTONIC_USEC"]) > 0
        assert manager.told()["READY"] == "1"
        file.write_text("import no_such_module_here\n")
        server.signal(signal.SIGHUP)
        assert manager.told()["RELOADING"] == "1"
        assert manager.told()["READY"] == "1", "the old version is"
        server.signal(signal.SIGTERM)
        assert manager.told()["STOPPING"] == "1"
        assert server.end() == 0


def test_a_single_process_tells_of_its_life(place: Path, manager: Manager) -> None:
    words = (str(farm(place)), "--bind", HERE)
    with Supervised(place, *words, environment={**manager.environment, "WATCHDOG_USEC": "400000"}) as server:
        address = server.listening()
        assert manager.told_of("READY")["STATUS"] == f"listens on {address}"
        for _ in range(2):
            assert manager.told_of("WATCHDOG")
        server.signal(signal.SIGHUP)
        assert manager.told_of("RELOADING")
        assert manager.told_of("READY")
        server.signal(signal.SIGTERM)
        assert manager.told_of("STOPPING")
        assert server.end() == 0


def test_signs_of_life_come_from_the_workers(place: Path, manager: Manager) -> None:
    words = (str(farm(place)), "--workers", "1", "--bind", HERE)
    with Supervised(place, *words, environment={**manager.environment, "WATCHDOG_USEC": "1000000"}) as server:
        (pid,) = server.said("listening")["workers"]
        for _ in range(2):
            assert manager.told_of("WATCHDOG")
        os.kill(pid, signal.SIGSTOP)
        manager.socket.settimeout(1.5)
        with pytest.raises(TimeoutError):
            manager.hear_for_ever()


def test_a_manager_that_is_gone_harms_nobody(place: Path) -> None:
    words = (str(farm(place)), "--workers", "1", "--bind", HERE)
    environment = {"NOTIFY_SOCKET": str(place / "nobody.sock")}
    with (
        Supervised(place, *words, environment=environment) as server,
        tomada.sync.connect(server.listening()) as client,
    ):
        assert client.ask(Pid()) in server.children()


def test_what_is_said_to_the_manager_is_not_for_children() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1", "HOME": "/"}
    assert notifier(environment).watchdog == 0, "it is for another process"
    assert environment == {"HOME": "/"}
