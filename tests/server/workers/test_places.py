"""Where workers accept: each kind of address, and how callers are spread."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

import tomada
import tomada.sync
from tests.server.workers.farm import Pid, Version
from tests.server.workers.supervised import HERE, Supervised, change, farm
from tomada.errors import AddressInUse, ListenFailed
from tomada.server.activation import Activation
from tomada.server.workers.holder import Holder
from tomada.server.workers.messages import Place
from tomada.transports.datagrams.transport import DatagramOptions
from tomada.transports.reservation import reserve

ECHO = """
import asyncio, os, tomada
app = tomada.App("echo")

@app.stream("tcp://127.0.0.1:0")
async def upper(stream: tomada.Stream) -> None:
    await stream.send(str(os.getpid()).encode())

@app.datagram("udp://127.0.0.1:0")
async def who(datagram: bytes, peer: tomada.DatagramPeer) -> None:
    peer.reply(str(os.getpid()).encode()[: len(datagram)])

@app.datagram("unixgram://FOLDER/gram.sock")
async def one(datagram: bytes, peer: tomada.DatagramPeer) -> None:
    peer.reply(str(os.getpid()).encode()[: len(datagram)])
"""


def asked(address: str, times: int) -> set[int]:
    """The processes that answer."""
    found = set()
    for _ in range(times):
        with tomada.sync.connect(address) as client:
            found.add(client.ask(Pid()))
    return found


@pytest.mark.parametrize("placement", ["spread", "shared"])
def test_all_workers_accept_at_the_port_that_the_system_chose(place: Path, placement: str) -> None:
    words = ("--workers", "3", "--bind", "tcp://localhost:0", "--placement", placement)
    with Supervised(place, str(farm(place)), *words) as server:
        told = server.said("listening")
        found = asked(told["addresses"][0], 60)
        assert found <= set(told["workers"])
        # Whom the system wakes at a shared socket is its own affair.
        assert found == set(told["workers"]) or placement == "shared"


def test_a_socket_file_is_shared_and_removed_at_the_end(place: Path) -> None:
    path = place / "farm.sock"
    with Supervised(place, str(farm(place)), "--workers", "2", "--bind", f"unix://{path}") as server:
        told = server.said("listening")
        assert asked(told["addresses"][0], 10) <= set(told["workers"])
        server.process.terminate()
        assert server.end() == 0
        assert not path.exists()


def test_a_socket_file_has_the_mode_that_is_asked_for_and_lets_in_who_may(place: Path) -> None:
    path = place / "farm.sock"
    words = ("--workers", "2", "--bind", f"unix://{path}", "--unix-mode", "600", "--allow-user", str(os.geteuid()))
    with Supervised(place, str(farm(place)), *words) as server:
        told = server.said("listening")
        assert path.stat().st_mode & 0o777 == 0o600
        assert asked(told["addresses"][0], 2) <= set(told["workers"])


def test_what_guards_nothing_is_wrong_usage(place: Path) -> None:
    with Supervised(place, str(farm(place)), "--workers", "2", "--bind", HERE, "--unix-mode", "600") as server:
        assert server.end() == 2
        (said,) = [line for line in server.rest() if "event" not in line]
        assert "unix_mode and unix_owner: of use at unix, unixgram addresses alone" in said["message"]


def test_the_default_address_is_the_applications_affair(place: Path) -> None:
    (place / "echo.py").write_text(ECHO.replace("FOLDER", str(place)))
    with Supervised(place, "echo.py", "--workers", "2") as server:
        told = server.said("listening")
        stream, datagrams, file = told["addresses"]
        assert stream.startswith("tcp://")
        with tomada.sync.connect_stream(stream) as client:
            assert int(client.receive()) in told["workers"]
        with tomada.sync.bind("udp://127.0.0.1:0", peer=datagrams) as one:
            found = set()
            for _ in range(10):
                one.send(b"who are you?")
                found.add(int(one.receive(timeout=5).data))
            assert len(found) == 1, "whose memory of what comes twice is its own"
        with tomada.sync.bind(f"unixgram://{place}/client.sock", peer=file) as one:
            one.send(b"who are you?")
            assert int(one.receive(timeout=5).data) == told["workers"][0]


def test_memory_is_inside_one_process(place: Path) -> None:
    with Supervised(place, str(farm(place)), "--workers", "2", "--bind", HERE, "--bind", "memory://farm") as server:
        assert len(server.said("listening")["addresses"]) == 2


# Reservations.


def test_what_is_reserved_is_nobody_elses_and_refuses_callers() -> None:
    held = reserve(tomada.Address.parse("tcp://localhost:0"))
    try:
        port = held.addresses[0].port
        assert {address.port for address in held.addresses} == {port}
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port or 0))
        with pytest.raises(AddressInUse):
            reserve(held.addresses[0])
        twins = held.twins()
        assert [twin.getsockname() for twin in twins] == [own.getsockname() for own in held.sockets]
        for twin in twins:
            twin.close()
    finally:
        held.close()


@pytest.mark.parametrize("address", ["unix://{}/a.sock", "unixgram://{}/a.sock"])
def test_a_stale_file_is_replaced_and_a_living_one_is_not(place: Path, address: str) -> None:
    where = tomada.Address.parse(address.format(place))
    held = reserve(where)
    if where.scheme == "unix":
        held.sockets[0].listen(1)
    with pytest.raises(AddressInUse):
        reserve(where)
    for own in held.sockets:
        own.close()
    again = reserve(where)
    again.close()
    assert not (place / "a.sock").exists()


def test_a_file_that_is_no_socket_stays(place: Path) -> None:
    (place / "a.sock").write_text("precious")
    with pytest.raises(ListenFailed, match="a file that is no socket is there"):
        reserve(tomada.Address.parse(f"unix://{place}/a.sock"))
    assert (place / "a.sock").read_text() == "precious"


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("tcp://no-such-host.invalid:0", "is not known"),
        ("udp://no-such-host.invalid:0", "is not known"),
        ("tcp://192.0.2.1:0", "this machine has no such address"),
        ("unix:///no/such/folder/a.sock", "there is no directory"),
        ("memory://farm", "it is inside one process"),
    ],
)
def test_what_cannot_be_reserved_says_why(address: str, text: str) -> None:
    with pytest.raises(ListenFailed, match=text):
        reserve(tomada.Address.parse(address))


def test_all_interfaces_have_one_port() -> None:
    held = reserve(tomada.Address("ws", "", 0, "/farm"))
    hosts = {address.host for address in held.addresses}
    assert "0.0.0.0" in hosts  # noqa: S104 - as it is told
    assert {address.path for address in held.addresses} == {"/farm"}
    held.close()


def test_a_place_that_fails_leaves_nothing_held() -> None:
    holder = Holder(Activation(), 2, is_spread=True)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(AddressInUse):
            holder.claim([Place("tcp://127.0.0.1:0"), Place(f"tcp://127.0.0.1:{port}")])
    holder.claim([Place("tcp://127.0.0.1:0"), Place("tcp://127.0.0.1:0")])
    places = holder.sockets([Place("tcp://127.0.0.1:0"), Place("tcp://127.0.0.1:0")], 2)
    assert len({addresses for _, addresses in places}) == 2
    holder.close()


@pytest.mark.parametrize(
    ("address", "options"),
    [("unixgram://{}/a.sock", None), ("udp://127.0.0.1:0", DatagramOptions(broadcast=True))],
)
def test_what_several_would_each_receive_one_worker_has(
    place: Path, address: str, options: DatagramOptions | None
) -> None:
    holder = Holder(Activation(), 2, is_spread=True)
    wanted = [Place(address.format(place), options or DatagramOptions())]
    holder.claim(wanted)
    assert [len(sockets) for sockets, _ in holder.sockets(wanted, 1)] == [1]
    assert holder.sockets(wanted, 2) == [([], ())]
    holder.close()


def test_the_port_is_free_again_at_once(place: Path) -> None:
    file = farm(place)
    with Supervised(place, str(file), "--workers", "2", "--bind", HERE) as server:
        told = server.said("listening")
        with tomada.sync.connect(told["addresses"][0]) as client:
            client.ask(Pid())
            server.process.terminate()  # so that this end closes first, and its half of the connection lingers
            assert server.end() == 0
    with Supervised(place, str(file), "--workers", "2", "--bind", told["addresses"][0]) as server:
        again = server.said("listening")
        assert again["addresses"] == told["addresses"]
        assert asked(again["addresses"][0], 40) == set(again["workers"])


@pytest.mark.timeout(180)  # it starts, kills and reloads, which takes long beside others
def test_workers_may_serve_each_connection_in_a_child(place: Path) -> None:
    children = ("--isolation", "process", "--spare-children", "1", "--most-children", "4")
    words = ("--workers", "2", "--bind", HERE, *children)
    with Supervised(place, str(farm(place)), *words) as server:
        told = server.said("listening")
        found = asked(told["addresses"][0], 5)
        assert len(found) == 5
        assert not found & set(told["workers"])
        os.kill(told["workers"][0], signal.SIGKILL)
        server.said("worker_started", number=1)
        assert len(asked(told["addresses"][0], 5)) == 5
        change(place / "farm.py", VERSION=2)
        server.signal(signal.SIGHUP)
        server.said("reloaded")
        with tomada.sync.connect(told["addresses"][0]) as client:
            assert client.ask(Version()) == 2
        server.signal(signal.SIGTERM)
        assert server.end() == 0
