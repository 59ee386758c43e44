"""The parts of the supervisor, each by itself."""

from __future__ import annotations

import os
import selectors
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tomada.server.workers import directory
from tomada.server.workers.backoff import BackOff
from tomada.server.workers.channel import Channel, ChannelBroken, supervisors_end, workers_end
from tomada.server.workers.crew import LATE_START, Crew, NotStarted, Plan
from tomada.server.workers.messages import Beat, Failed, FromWorker, Ready, Sockets, Start, Stop, ToWorker, Want
from tomada.server.workers.worker import Worker

# How long until the next one.


def test_who_dies_quickly_is_started_ever_later_and_who_lived_a_minute_at_once() -> None:
    back_off = BackOff()
    assert [back_off.pause(5.0) for _ in range(8)] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert [back_off.pause(60.0), back_off.pause(0.0)] == [0, 1]


def test_it_does_not_overflow_in_years() -> None:
    back_off = BackOff()
    for _ in range(3_000):
        assert back_off.pause(0) <= 30


# What the two tell each other.


@pytest.fixture
def pair() -> Iterator[tuple[Channel[FromWorker], Channel[ToWorker]]]:
    ours, theirs = socket.socketpair()
    ends = supervisors_end(ours), workers_end(theirs)
    yield ends
    for end in ends:
        end.close()


Ends = tuple[Channel[FromWorker], Channel[ToWorker]]


def test_messages_arrive_in_order(pair: Ends) -> None:
    ours, theirs = pair
    for message in (Want(()), Ready("farm", ("tcp://:1",)), Beat(), Failed("no", 3)):
        theirs.send(message)
    assert ours.receive() == [Want(()), Ready("farm", ("tcp://:1",)), Beat(), Failed("no", 3)]
    assert ours.receive() == []
    ours.send(Start(b"x"))
    ours.send(Stop(handover=True))
    assert theirs.receive() == [Start(b"x"), Stop(handover=True)]


def test_sockets_arrive_with_their_message(pair: Ends) -> None:
    ours, theirs = pair
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ours.send(Sockets(("a",)), [one])
        ours.send(Sockets(()))
        ours.send(Sockets(("b", "c")), [two, one])
        got: list[ToWorker] = []
        while len(got) < 3:
            got += theirs.receive()
        taken = [theirs.take_sockets(len(message.addresses)) for message in got if isinstance(message, Sockets)]
        names = [[own.getsockname() for own in sockets] for sockets in taken]
        assert names == [[one.getsockname()], [], [two.getsockname(), one.getsockname()]]
        for own in (own for sockets in taken for own in sockets):
            own.close()
    with pytest.raises(ChannelBroken, match="1 descriptors were announced, and 0 came"):
        theirs.take_sockets(1)


def test_the_end_is_heard(pair: Ends) -> None:
    ours, theirs = pair
    theirs.send(Beat())
    theirs.close()
    assert ours.receive() == [Beat()]
    ours.send(Stop(handover=False))
    assert ours.receive() == []
    assert ours.is_ended


def test_who_does_not_read_is_found_out(pair: Ends) -> None:
    ours, _ = pair
    with pytest.raises(ChannelBroken, match="the other end does not read"):
        ours.send(Start(bytes(100_000_000)))


@given(st.binary(min_size=1, max_size=200))
@example(b"\x91\xa2\x00\x80")
def test_what_is_no_message_breaks_only_the_channel(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with closing(supervisors_end(ours)) as channel, theirs:
        theirs.sendall(struct.pack("!I", len(data)) + data)
        try:
            for message in channel.receive():
                assert isinstance(message, FromWorker)
        except ChannelBroken:
            pass


def test_a_message_without_end_is_not_waited_for(pair: Ends) -> None:
    ours, theirs = pair
    theirs.socket.sendall(struct.pack("!I", 1 << 31))
    with pytest.raises(ChannelBroken, match="a message of 2147483648 bytes is announced"):
        ours.receive()


# One worker at a time, by a clock that stands still.


class Listening:
    """Whom the crew tells."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def wanted(self, _: Worker) -> None:
        self.said.append("wanted")

    def is_ready(self, _: Worker) -> None:
        self.said.append("ready")

    def is_deaf(self, _: Worker) -> None:
        self.said.append("deaf")

    def has_ended(self, _: Worker, how: str, *, was_serving: bool) -> None:
        self.said.append(f"ended, {how}{', serving' if was_serving else ''}")

    def is_alive(self, _: float) -> None:
        self.said.append("alive")


SLEEPS = """
import os, socket, struct, sys, time
from tomada.server.workers.channel import workers_end
from tomada.server.workers.messages import Beat, Ready
channel = workers_end(socket.socket(fileno=int(os.environ["TOMADA_CHANNEL"])))
channel.send(Ready("farm", ()))
time.sleep(60)
"""


class Stage:
    """A crew with one worker, which says that it is ready and nothing more."""

    def __init__(self, program: str = SLEEPS) -> None:
        self.now = 1_000.0
        self.told = Listening()
        self.selector = selectors.DefaultSelector()
        plan = Plan(name="farm", command=(sys.executable, "-c", program), settings=b"", workers=1, timeout=30)
        self.crew = Crew(plan, self.selector, self.told, lambda: self.now)

    def hear(self) -> None:
        for key, _ in self.selector.select(10):
            key.data()

    def turn(self, now: float) -> None:
        """As the supervisor does: when something is due, or a while later."""
        due = self.crew.due()
        self.now = now
        assert due <= now
        self.crew.look()

    def until_gone(self, worker: Worker) -> None:
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
        self.crew.reap()


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    for worker in made.crew.members.values():
        worker.kill("the test ends")
        worker.process.wait()
        worker.end()
    made.selector.close()


def test_a_worker_without_a_sign_of_life_is_killed(stage: Stage) -> None:
    worker = stage.crew.start(1)
    stage.crew.serving[1] = worker
    stage.hear()
    assert stage.crew.due() == 1_030
    stage.turn(1_030)
    stage.until_gone(worker)
    assert stage.told.said == ["ready", "ended, it was killed by SIGKILL (no sign of life for 30 s), serving"]
    stage.crew.replace(worker)
    assert stage.crew.due() == 1_030
    stage.turn(1_030)
    assert stage.crew.serving[1] is not worker


def test_a_supervisor_that_was_away_for_long_blames_nobody(stage: Stage) -> None:
    worker = stage.crew.start(1)
    stage.hear()
    stage.turn(1_100)
    assert worker.why == ""
    assert stage.crew.due() == 1_130


def test_a_worker_that_is_starting_has_all_the_time(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    worker = stage.crew.start(1)
    assert stage.crew.due() == 1_000 + LATE_START
    stage.turn(1_000 + LATE_START)
    assert worker.why == ""
    assert "is still starting, after 30 s" in caplog.text
    assert stage.crew.due() == float("inf")


def test_one_that_does_not_end_is_killed(stage: Stage) -> None:
    worker = stage.crew.start(1)
    stage.hear()
    stage.crew.stop(worker, "stopped", handover=False)
    worker.beat_at = 1_034
    assert stage.crew.due() == 1_000 + 3 * 10 + 5
    stage.turn(1_035)
    stage.until_gone(worker)
    assert stage.told.said[-1] == "ended, it was killed by SIGKILL (it had not ended in time)"


def test_a_system_without_waitid_reaps_them_one_by_one(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = stage.crew.start(1)
    worker.kill("the test")
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    monkeypatch.delattr(os, "waitid")
    stage.crew.reap()
    assert not stage.crew.members


def test_a_worker_that_says_nonsense_is_killed() -> None:
    program = "import os, socket, time\ns = socket.socket(fileno=int(os.environ['TOMADA_CHANNEL']))\n"
    stage = Stage(program + "s.sendall(bytes([0, 0, 0, 1, 255]))\ntime.sleep(60)")
    worker = stage.crew.start(1)
    stage.hear()
    stage.until_gone(worker)
    assert "what came is no message" in stage.told.said[-1]
    stage.selector.close()


def test_where_there_is_no_process_to_be_had_it_is_tried_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomada.server.workers.worker.subprocess.Popen", _no_process)
    with pytest.raises(NotStarted, match="worker 1 cannot be started"):
        stage.crew.start(1)
    stage.crew.replace_missing(1)
    stage.turn(1_000)
    stage.turn(1_000)
    assert stage.crew.due() == 1_001


def _no_process(*_: object, **__: object) -> None:
    raise BlockingIOError(11, "Resource temporarily unavailable")


# Where the supervisors of a user are found.


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"RUNTIME_DIRECTORY": "/run/bank:/run/other", "XDG_RUNTIME_DIR": "/run/user/1"}, "/run/bank/tomada"),
        ({"XDG_RUNTIME_DIR": "/run/user/1"}, "/run/user/1/tomada"),
        ({"XDG_RUNTIME_DIR": "relative"}, f"{tempfile.gettempdir()}/tomada-{os.geteuid()}"),
    ],
)
def test_the_folder_is_the_users_own(environment: dict[str, str], expected: str) -> None:
    assert directory.folder(environment) == Path(expected)


def test_a_folder_that_others_may_enter_is_refused(place: Path) -> None:
    made = directory.private_folder(place / "tomada")
    assert made.stat().st_mode & 0o777 == 0o700
    made.chmod(0o755)
    with pytest.raises(directory.DirectoryError, match="nobody else may enter"):
        directory.private_folder(made)
    (place / "link").symlink_to(made)
    with pytest.raises(directory.DirectoryError):
        directory.private_folder(place / "link")
    with pytest.raises(directory.DirectoryError, match="cannot be made"):
        directory.private_folder(place / "no" / "where")


def test_what_is_stale_is_removed_and_who_says_nothing_is_passed_over(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "_PATIENCE", 0.1)
    made = directory.private_folder(place / "tomada")
    stale, mute = made / "7.sock", made / "8.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(stale))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(mute))
        listening.listen()
        listening.settimeout(0)
        assert directory.running(made) == []
    assert not stale.exists()
    assert mute.exists()
