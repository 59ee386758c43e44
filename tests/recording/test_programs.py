"""The programs of every socket course, unchanged: what their diagrams say."""

from __future__ import annotations

import os

import pytest

from tests.authority import Authority
from tests.recording.rig import Rig, Told, free_port, name_of
from tomada.diagrams import Tone

pytestmark = pytest.mark.skipif(os.name != "posix", reason="programs fork")
PRIMITIVES = ("socket", "bind", "listen", "accept", "connect", "send", "sendall", "recv", "close")


def blocked(told: Told, program: str) -> list[str]:
    return [name_of(step) for step in told.steps(program) if step.is_blocked]


def test_a_tcp_server_and_its_client(traced: Rig) -> None:
    port = str(free_port())

    told = traced.serve(["tcp_server.py", port], ["tcp_client.py", port])

    server = [name for name in told.names("tcp_server.py") if name in PRIMITIVES]
    assert server == ["socket", "bind", "listen", "accept", "recv", "sendall", "close", "close"]
    assert told.names("tcp_client.py") == ["socket", "connect", "sendall", "recv", "close"]
    assert sorted(told.arrows()) == [
        ("tcp_client.py connect", "tcp_server.py accept", 0),
        ("tcp_client.py sendall", "tcp_server.py recv", 13),
        ("tcp_server.py sendall", "tcp_client.py recv", 13),
    ]
    assert len(told.lanes("tcp_server.py")) == 2, "the one that listens, and the connection"
    assert len(told.lanes("tcp_client.py")) == 1
    (accept,) = told.steps("tcp_server.py", "accept")
    (connect,) = told.steps("tcp_client.py", "connect")
    assert accept.is_blocked
    assert accept.ended is not None
    assert accept.begun < connect.begun < accept.ended, "it waits for connect"


def test_recv_waits_for_send(traced: Rig) -> None:
    port = str(free_port())
    server = traced.start("tcp_server.py", port)
    traced.wait_for_call("listen")
    client = traced.code(
        "late_client.py",
        "import socket, sys\n"
        f"with socket.create_connection(('127.0.0.1', {port})) as client:\n"
        "    sys.stdin.readline()\n"
        "    client.sendall(b'late')\n",
    )
    process = traced.start(client, reads=True)
    traced.wait_for_call("recv", kind="begun")
    process.communicate("go\n")
    traced.end(server)
    told = traced.told()

    (recv,) = told.steps("tcp_server.py", "recv")
    (send,) = told.steps("late_client.py", "sendall")
    assert recv.is_blocked
    assert recv.ended is not None
    assert recv.begun < send.begun < recv.ended
    assert ("late_client.py sendall", "tcp_server.py recv", 4) in told.arrows()


def test_states_go_along(traced: Rig) -> None:
    port = str(free_port())

    told = traced.serve(["tcp_server.py", port], ["tcp_client.py", port])

    listener, connection = told.lanes("tcp_server.py")
    states = [[step.state for step in told.sequence.steps if step.lane == lane] for lane in (listener, connection)]
    assert states == [
        ["created", "created", "bound", "listening", "listening", "closed"],
        ["connected", "connected", "closed"],
    ]
    diagram = told.recording.states(1)
    taken = sorted((one.order, one.source, one.text, one.target) for one in diagram.transitions if one.taken)
    assert taken == [
        (1, "created", "bind", "bound"),
        (2, "bound", "listen", "listening"),
        (3, "listening", "close", "closed"),
    ]
    assert diagram.current == "closed"


def test_datagrams(traced: Rig) -> None:
    port = str(free_port())

    told = traced.serve(["udp_server.py", port], ["udp_client.py", port], ready="bind")

    assert told.names("udp_server.py") == ["socket", "bind", "recvfrom", "sendto", "close"]
    assert told.names("udp_client.py") == ["socket", "settimeout", "sendto", "recvfrom", "close"]
    assert told.arrows() == [
        ("udp_client.py sendto", "udp_server.py recvfrom", 13),
        ("udp_server.py sendto", "udp_client.py recvfrom", 13),
    ]
    assert blocked(told, "udp_server.py") == ["recvfrom"]
    (came,) = told.steps("udp_server.py", "recvfrom")
    assert came.data == "hello, server"
    assert came.result.startswith("13 bytes from 127.0.0.1:")


def test_a_forking_server(traced: Rig) -> None:
    port = str(free_port())

    told = traced.serve(["forking_server.py", port, "2"], *[["tcp_client.py", port]] * 2)

    groups = list(dict.fromkeys(told.sequence.lanes[lane].group for lane in told.lanes("forking_server.py")))
    assert len(groups) == 3, "the parent and two children"
    assert told.lanes("forking_server.py") == list(range(len(told.lanes("forking_server.py")))), "side by side"
    for child in groups[1:]:
        names = told.names(child, "accept", "recv", "sendall")
        assert names == ["recv", "sendall"]
        assert {step.state for step in told.steps(child, "recv", "sendall")} == {"connected"}
    assert told.names(groups[0], "accept", "recv", "sendall") == ["accept", "accept"]
    assert sorted(told.arrows()) == sorted(
        2
        * [
            ("tcp_client.py connect", "forking_server.py accept", 0),
            ("tcp_client.py sendall", "forking_server.py recv", 13),
            ("forking_server.py sendall", "tcp_client.py recv", 13),
        ]
    )


def test_a_threaded_server(traced: Rig) -> None:
    port = str(free_port())

    told = traced.serve(["threaded_server.py", port, "2"], *[["tcp_client.py", port]] * 2)

    assert told.names("threaded_server.py", "accept", "recv") == ["accept", "recv"] * 2
    assert [arrow for arrow in told.arrows() if arrow[2]] == [
        ("tcp_client.py sendall", "threaded_server.py recv", 13),
        ("threaded_server.py sendall", "tcp_client.py recv", 13),
    ] * 2
    records = [record for record in traced.records() if record.get("call") == "recv" and record.get("thread")]
    assert all("Thread-" in record["thread"] for record in records)
    assert len({record["thread"] for record in records}) == 2


def test_an_asyncio_server(traced: Rig) -> None:
    port = str(free_port())

    told = traced.serve(["asyncio_server.py", port, "2"], *[["tcp_client.py", port]] * 2)

    arrows = [arrow for arrow in told.arrows() if arrow[2]]
    assert [arrow for arrow in arrows if arrow[1].startswith("asyncio")] == [
        ("tcp_client.py sendall", "asyncio_server.py recv", 13)
    ] * 2
    assert [arrow for arrow in arrows if arrow[0].startswith("asyncio")] == [
        ("asyncio_server.py send", "tcp_client.py recv", 13)
    ] * 2
    waits = [step for step in told.steps("asyncio_server.py") if "Selector" in step.text]
    assert waits
    assert all(step.is_blocked and step.tone is Tone.CONTROL for step in waits)
    assert not [step for step in told.steps("asyncio_server.py", "recv", "accept") if step.is_blocked]
    assert any("asyncio wakes its own loop" in note for note in told.sequence.notes)


def test_tls(traced: Rig, authority: Authority) -> None:
    port = str(free_port())
    certificate, key = authority.apart("localhost", "localhost")

    told = traced.serve(
        ["tls_server.py", port, str(certificate), str(key)], ["tls_client.py", port, str(authority.file)]
    )

    assert told.names("tls_server.py", "do_handshake", "recv", "sendall") == ["do_handshake", "recv", "sendall"]
    arrows = [arrow for arrow in told.arrows() if arrow[2]]
    assert arrows == [
        ("tls_client.py sendall", "tls_server.py recv", 13),
        ("tls_server.py sendall", "tls_client.py recv", 13),
    ]
    (handshake,) = told.steps("tls_client.py", "do_handshake")
    assert handshake.result.startswith("TLSv1")
    (came,) = told.steps("tls_client.py", "recv")
    assert came.data == "HELLO, SERVER"


def test_a_spawned_process(traced: Rig) -> None:
    traced.run("spawned_client.py")
    told = traced.told()

    assert told.names("spawned by multiprocessing", "connect", "sendall", "recv") == ["connect", "sendall", "recv"]
    assert [arrow for arrow in told.arrows() if arrow[2]] == [
        ("spawned by multiprocessing sendall", "spawned_client.py recv", 13),
        ("spawned_client.py sendall", "spawned by multiprocessing recv", 13),
    ]
