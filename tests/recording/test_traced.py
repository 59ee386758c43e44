"""Recordings as diagrams, also where their records make no sense."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.recording.rig import Rig, free_port
from tomada.errors import RecordingError
from tomada.recording import load
from tomada.recording.calls import KINDS
from tomada.recording.reading import Recording
from tomada.recording.socket_state import DATAGRAM, MEANINGS, STREAM, SocketState
from tomada.recording.story import program_name
from tomada.recording.traced import Traced
from tomada_recorder.writer import begin

NUMBERS = st.one_of(st.integers(-5, 5), st.integers(), st.none(), st.booleans(), st.floats())
VALUES = st.one_of(NUMBERS, st.text(max_size=5), st.lists(st.integers(0, 3), max_size=3))
NAMES = [
    "socket",
    "bind",
    "accept",
    "connect",
    "send",
    "recv",
    "recvfrom",
    "sendto",
    "close",
    "shutdown",
    "select",
    "?",
]


FIELDS: dict[str, list[Any]] = {
    "pid": [1, 2, 3],
    "n": list(range(30)),
    "socket": [0, 1, 2, 3],
    "at": list(range(0, 1000, 7)),
    "took": [None, 0, 5, 100],
    "call": NAMES,
    "size": [0, 1, 20],
    "new": [0, 0, 1, 2, 3],
    "inode": [0, 1, 2],
    "local": ["", "127.0.0.1:1", "0.0.0.0:1", "/a", "x"],
    "peer": ["", "127.0.0.1:1", "/a", "]"],
    "address": ["", "127.0.0.1:1", ":", "[::ffff:"],
    "family": ["AF_INET", "AF_UNIX", ""],
    "type": ["SOCK_STREAM", "SOCK_DGRAM"],
    "origin": ["created", "accepted", "dup", "forked", "in memory", "socketpair", "?"],
    "source": [0, 1, 2, 3],
    "error": ["", "", "OSError", "BlockingIOError"],
    "tls": [False, False, True],
    "deferred": [False, True],
    "hex": ["", "ff", "zz"],
    "ready": [[], [0, 9], [1]],
    "command": [[], ["", "-"], ["-m"]],
    "text": ["", "x"],
    "records": [0, 3],
}


@pytest.mark.parametrize("seed", range(20))
def test_records_that_contradict_each_other_are_drawn(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(30):
        traced = Traced()
        for _ in range(chance.randrange(60)):
            record = {name: chance.choice(values) for name, values in FIELDS.items()}
            traced.add({**record, "kind": chance.choice([*KINDS, "call", "call", "socket", "other"])})

        sequence = traced.sequence()
        assert all(0 <= step.lane < len(sequence.lanes) for step in sequence.steps)
        assert all(0 <= end < len(sequence.steps) for arrow in sequence.arrows for end in (arrow.source, arrow.target))
        traced.timeline()
        traced.states()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["pid", "n", "socket", "at", "took", "call", "size", "ready"]), VALUES))
def test_fields_of_the_wrong_kind_are_counted(fields: dict[str, Any]) -> None:
    traced = Traced()

    assert traced.add({**fields, "kind": "call"})
    assert traced.passed_over == 1 or len(traced.events()) == 1


def test_a_real_recording_with_noise_in_it(traced: Rig) -> None:
    port = str(free_port())
    traced.serve(["tcp_server.py", port], ["tcp_client.py", port])
    lines = traced.path.read_bytes().splitlines(keepends=True)
    chance = random.Random(7)
    for _ in range(50):
        noisy = [line for line in lines[1:] if chance.random() > 0.2]
        chance.shuffle(noisy)
        traced.path.write_bytes(lines[0] + b"".join(noisy) + b'{"kind":"call","pid":"x"}\n{"kind":"new"}\nhello\n')

        recording = load(traced.path)

        recording.timeline()
        recording.states()
        assert "3 lines of the recording could not be understood" in recording.sequence().notes


def test_a_recording_that_has_lost_its_begin_says_so(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    begin(str(path))
    header = json.loads(path.read_text()) | {"segment": 5, "lost_records": 1234, "lost_bytes": 56_789}
    path.write_text(json.dumps(header) + '\n{"kind":"call","pid"')

    assert load(path).sequence().notes == (
        "the oldest 1,234 records (56,789 bytes) were dropped: the recording has reached its bound of 67,108,864 bytes",
        "the last line of the recording is not whole",
    )


def test_who_has_understood_the_first_record_draws_the_recording(tmp_path: Path) -> None:
    """Lost records are told of by whoever writes, and are of no one kind."""
    path = tmp_path / "recording"
    begin(str(path))
    with path.open("a") as file:
        file.write('{"kind":"tomada","pid":1,"at":1,"program":"bank.py"}\n')
        file.write('{"kind":"wire","pid":1,"wire":1,"at":2,"role":"accepting","here":"a","there":"b","keep":0,')
        file.write('"begins":true}\n{"kind":"lost","pid":1,"at":3,"records":7,"why":"it was late"}\n')
        file.write('{"kind":"lost","records":"x"}\n{"kind":"note","pid":1,"at":4,"text":"of another kind"}\n')

    recording = load(path)

    assert [row.group for row in recording.timeline().rows] == ["bank.py (1)"]
    assert recording.notes == (
        "2 lines of the recording could not be understood",
        "7 records were lost by those who wrote them",
    )


def test_a_process_that_becomes_another_program_leaves_its_calls_behind() -> None:
    traced = Traced()
    traced.add({"kind": "process", "pid": 1, "at": 1, "command": ["py", "one.py"]})
    traced.add({"kind": "socket", "pid": 1, "socket": 1, "at": 1, "fd": 3})
    traced.add({"kind": "begun", "pid": 1, "n": 2, "socket": 1, "call": "recv", "at": 2})
    traced.add({"kind": "process", "pid": 1, "at": 5, "command": ["py", "two.py"]})
    traced.add({"kind": "call", "pid": 1, "n": 2, "socket": 0, "call": "getaddrinfo", "at": 6, "took": 1})

    sequence = traced.sequence()
    assert [(sequence.lanes[step.lane].group, step.text, step.result) for step in sequence.steps] == [
        ("one.py (1)", "recv()", "has not returned"),
        ("two.py (1)", "getaddrinfo()", ""),
    ]


def test_a_recording_of_very_many_calls_takes_memory_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomada.recording.traced.MOST_RECORDS", 10)
    traced = Traced()
    for number in range(25):
        traced.add({"kind": "call", "pid": 1, "n": number, "socket": 0, "call": "getfqdn", "at": number, "took": 1})

    assert len(traced.events()) == 10
    assert traced.sequence().notes == ("what follows is left out: 15 records more than 10",)


def test_a_recording_is_drawn_while_it_grows(traced: Rig) -> None:
    with Recording(traced.path) as recording:
        assert recording.sequence().steps == ()
        traced.run("-c", "import socket; socket.socket().close()")
        assert recording.read() >= 4
        assert [step.text for step in recording.sequence().steps] == ["socket(AF_INET, SOCK_STREAM)", "close()"]
        assert recording.read() == 0


def test_a_timeline(traced: Rig) -> None:
    port = str(free_port())
    told = traced.serve(["tcp_server.py", port], ["tcp_client.py", port])

    timeline = told.recording.timeline()
    listener, client, connection = timeline.rows
    assert [span.text for span in listener.spans] == ["created", "bound", "listening"]
    assert [span.text for span in connection.spans] == ["connected"]
    assert [span.text for span in client.spans] == ["created", "connected"]
    assert (connection.sent, connection.received, client.sent, client.received) == (13, 13, 13, 13)
    assert all(span.ended is not None and span.ended <= timeline.ended for row in timeline.rows for span in row.spans)


def test_errors_are_marks_of_a_timeline(traced: Rig) -> None:
    traced.run("-c", f"import socket\ns = socket.socket(); s.connect_ex(('127.0.0.1', {free_port()})); s.close()")

    (row,) = load(traced.path).timeline().rows
    assert [mark.text for mark in row.marks] == ["OSError: ECONNREFUSED"]
    assert [span.text for span in row.spans] == ["created", "failed"]


def test_states_of_no_such_socket(traced: Rig) -> None:
    traced.run("-c", "import socket; socket.socket().close()")

    with pytest.raises(RecordingError, match="there is no socket 2: the recording has 1, from 1"):
        load(traced.path).states(2)


def test_states_of_all_sockets(traced: Rig) -> None:
    port = str(free_port())
    told = traced.serve(["tcp_server.py", port], ["tcp_client.py", port])

    diagram = told.recording.states()
    taken = {(one.source, one.text): one.taken for one in diagram.transitions if one.taken}
    assert taken == {
        ("created", "bind"): 1,
        ("bound", "listen"): 1,
        ("listening", "close"): 1,
        ("created", "connect"): 1,
        ("connected", "close"): 2,
    }


@pytest.mark.parametrize("table", [STREAM, DATAGRAM], ids=["stream", "datagram"])
def test_every_state_can_be_reached_and_left(table: dict[SocketState, dict[Any, SocketState]]) -> None:
    reached = {SocketState.CREATED} | {target for row in table.values() for target in row.values()}

    assert reached == set(table)
    assert [state for state, row in table.items() if not row] == [SocketState.CLOSED]
    assert set(MEANINGS) == set(SocketState)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["/usr/bin/python3", "-u", "/srv/server.py", "4477"], "server.py"),
        (["python", "-m", "http.server", "8000"], "-m http.server"),
        (["python", "-W", "error", "x.py"], "x.py"),
        (["python", "-c", "import socket\nprint(1)"], "-c import socket"),
        (["python", "-c", "from multiprocessing.spawn import spawn_main; spawn_main()"], "spawned by multiprocessing"),
        (["python"], "python"),
        ([], "process"),
    ],
)
def test_what_a_process_is_called(command: list[str], name: str) -> None:
    assert program_name(tuple(command)) == name
