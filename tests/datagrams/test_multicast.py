from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import sys

import pytest

import tomada
import tomada.sync
from tests.datagrams.ends import SOON, bound, received
from tests.integration.conftest import Run
from tomada.address import Address

GROUP = "239.77.1.2"
GROUP_6 = "ff11::77:12"


def port_of(one: tomada.DatagramSocket) -> int:
    assert one.address.port is not None
    return one.address.port


@pytest.mark.parametrize(("group", "anywhere"), [(GROUP, "udp://0.0.0.0"), (GROUP_6, "udp://[::]")])
@pytest.mark.parametrize("batches", [True, False])
def test_all_members_receive_what_one_sends(run: Run, group: str, anywhere: str, *, batches: bool) -> None:
    member = tomada.Multicast(join=group, interface="lo")
    sender = tomada.Multicast(interface="lo", ttl=0)
    host = f"[{group}]" if ":" in group else group

    async def main() -> None:
        async with bound("udp://:0", multicast=member, batches=batches) as probe:
            port = port_of(probe)
        async with (
            bound(f"udp://:{port}", multicast=member, batches=batches) as one,
            bound(f"udp://:{port}", multicast=member, batches=batches) as other,
            bound(f"{anywhere}:0", multicast=sender, batches=batches) as talker,
        ):
            try:
                await talker.send(b"to all", f"udp://{host}:{port}")
            except tomada.ConnectFailed as error:
                assert "no route leads there" in str(error)  # noqa: PT017 - a system may have none, and says so
                return
            assert await received(one, 1) == await received(other, 1) == [b"to all"]

    run(main())


@pytest.mark.parametrize(
    ("multicast", "text"),
    [
        (tomada.Multicast(join="192.0.2.1"), "192.0.2.1 is no multicast group; take one from 224"),
        (tomada.Multicast(join="nonsense"), "nonsense is no multicast group"),
        (tomada.Multicast(join="::1"), "::1 is no multicast group"),
        (tomada.Multicast(join=GROUP, interface="lost0"), "interface 'lost0' does not lead to the multicast group"),
        (tomada.Multicast(interface="lost0"), "interface 'lost0' does not lead to the multicast group"),
        (tomada.Multicast(join=GROUP, interface="192.0.2.7"), "interface '192.0.2.7' does not lead to"),
    ],
)
def test_a_group_that_cannot_be_joined(run: Run, multicast: tomada.Multicast, text: str) -> None:
    async def main() -> None:
        with pytest.raises(tomada.ListenFailed, match=re.escape(text)):
            await tomada.bind("udp://:0", multicast=multicast)

    run(main())
    with pytest.raises(tomada.ListenFailed, match=re.escape(text)):
        tomada.sync.bind("udp://:0", multicast=multicast)


WITHOUT_ROUTES = """
import tomada
def tried(work):
    try:
        work()
    except tomada.TomadaError as error:
        print(type(error).__name__, error)
for address, group in (("udp://0.0.0.0:0", "239.77.1.2"), ("udp://[::]:0", "ff02::1234")):
    tried(lambda: tomada.sync.bind(address, multicast=tomada.Multicast(join=group)))
with tomada.sync.bind("udp://0.0.0.0:0", multicast=tomada.Multicast()) as socket:
    tried(lambda: socket.send(b"x", "udp://239.77.1.2:5000"))
"""


def test_a_group_without_a_route() -> None:
    """In a network namespace of its own, which has no interface that is up."""
    alone = ["unshare", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may make no network namespaces")
    done = subprocess.run([*alone, sys.executable, "-c", WITHOUT_ROUTES], capture_output=True, text=True, check=True)
    joined, joined_6, sent = done.stdout.splitlines()

    for line, group in ((joined, "239.77.1.2"), (joined_6, "ff02::1234")):
        assert line.startswith("ListenFailed cannot listen on udp://")
        assert f"no route leads to the multicast group {group}; name one that does" in line
    assert sent.startswith("ConnectFailed cannot send to udp://239.77.1.2:5000: no route leads there")


def test_how_far_it_travels() -> None:
    with pytest.raises(ValueError, match="ttl is 256, it must be from 0 to 255"):
        tomada.Multicast(ttl=256)
    with tomada.sync.bind("udp://0.0.0.0:0", multicast=tomada.Multicast(ttl=7, loopback=False)) as one:
        opened = one._opened.socket
        assert opened.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 7
        assert opened.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == 0


def test_broadcast_must_be_asked_for(run: Run) -> None:
    async def main() -> None:
        async with tomada.bind("udp://0.0.0.0:0", broadcast=True) as one, bound("udp://0.0.0.0:0") as other:
            await one.send(b"to all", Address("udp", "127.255.255.255", other.address.port))
            assert (await other.receive(timeout=SOON)).data == b"to all"
            await asyncio.sleep(0)
            assert one.statistics.unreachable == 0

    run(main())
