"""Names with several addresses, some of which lead nowhere. The resolver is ours, the listeners are real."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.integration.conftest import descriptors
from tests.transports.conftest import Run
from tests.transports.recorder import Recorder
from tomada import transports
from tomada.address import Address
from tomada.errors import ConnectFailed
from tomada.transports import Options, blocking, happy_eyeballs

NAME = "several.example"


def sockets() -> list[str]:
    """Those that this process has open."""
    return [link for link in descriptors() if link.startswith("socket:")]


def info(host: str) -> tuple[Any, ...]:
    if ":" in host:
        plain, _, zone = host.partition("%")
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (plain, 0, 0, int(zone or 0)))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0))


def resolve(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """The running loop says that the name stands for these."""
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def getaddrinfo(host: str, port: Any, **options: Any) -> Any:
        return [info(each) for each in hosts] if host == NAME else await real(host, port, **options)

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)


class Places:
    """Loopback addresses on one port: who accepts, who refuses, and who never answers."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.port = 0

    def listen(self, host: str, backlog: int = 500) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, self.port), family=family, backlog=backlog)
        self.port = listener.getsockname()[1]
        return self._stack.enter_context(closing(listener))

    def be_silent(self, host: str) -> None:
        """A listener whose queue is full answers no further caller."""
        listener = self.listen(host, backlog=0)
        family = listener.family
        for _ in range(4):
            caller = self._stack.enter_context(closing(socket.socket(family)))
            caller.setblocking(False)
            caller.connect_ex((host, self.port))
        probe = self._stack.enter_context(closing(socket.socket(family)))
        probe.settimeout(0.05)
        with pytest.raises(TimeoutError):
            probe.connect((host, self.port))

    @property
    def address(self) -> Address:
        return Address("tcp", NAME, self.port)


@pytest.fixture
def places() -> Iterator[Places]:
    with ExitStack() as stack:
        yield Places(stack)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gets a head start that would end within the test."""
    monkeypatch.setattr(happy_eyeballs, "HEAD_START", 30)


async def connected_to(address: Address, timeout: float = 5) -> str:
    """The host that took the connection, which is closed again."""
    before = sockets()
    transport, recorder = await transports.connect(address, Recorder, timeout=timeout)
    assert (await recorder.made) is not None
    host = str(transport.get_extra_info("peername")[0])
    await recorder.close()
    await nothing_is_left(before)
    return host


async def nothing_is_left(before: list[str]) -> None:
    while len(asyncio.all_tasks()) > 1 or len(sockets()) > len(before):  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.001)


def test_the_families_take_turns() -> None:
    given = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2", "192.0.2.1", "fe80::1%3"]

    assert happy_eyeballs.interleaved(map(info, given)) == [
        "2001:db8::1",
        "192.0.2.1",
        "2001:db8::2",
        "192.0.2.2",
        "2001:db8::3",
        "fe80::1%3",
    ]


def test_a_silent_address_is_overtaken(run: Run, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        places.listen("127.0.0.2")
        places.be_silent("127.0.0.1")
        resolve(monkeypatch, "127.0.0.1", "127.0.0.2")
        begun = time.perf_counter()
        assert await connected_to(places.address) == "127.0.0.2"
        assert time.perf_counter() - begun >= happy_eyeballs.HEAD_START * 0.9

    run(main())


@pytest.mark.usefixtures("slow")
def test_one_that_refuses_is_followed_at_once(run: Run, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        places.listen("127.0.0.3")
        resolve(monkeypatch, "127.0.0.1", "127.0.0.2", "127.0.0.3")
        assert await connected_to(places.address) == "127.0.0.3"

    run(main())


@pytest.mark.usefixtures("slow")
def test_a_machine_without_ipv6_reaches_the_others(run: Run, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        places.listen("127.0.0.1")
        resolve(monkeypatch, "2001:db8::1", "127.0.0.1")
        create = asyncio.get_running_loop().create_connection

        async def without_ipv6(factory: Any, host: str, port: int) -> Any:
            if ":" in host:
                raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
            return await create(factory, host, port)

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", without_ipv6)
        assert await connected_to(places.address) == "127.0.0.1"

    run(main())


def test_a_slow_address_may_still_win(run: Run, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempts that were begun go on: the first is not given up because the second was begun."""

    async def main() -> None:
        monkeypatch.setattr(happy_eyeballs, "HEAD_START", 0.01)
        places.listen("127.0.0.1")
        resolve(monkeypatch, "127.0.0.1", "127.0.0.2")
        loop = asyncio.get_running_loop()
        create = loop.create_connection
        second = asyncio.Event()

        async def one_waits(factory: Any, host: str, port: int) -> Any:
            if host == "127.0.0.1":
                await second.wait()
                return await create(factory, host, port)
            second.set()
            return await asyncio.get_running_loop().create_future()

        monkeypatch.setattr(loop, "create_connection", one_waits)
        assert await connected_to(places.address) == "127.0.0.1"

    run(main())


def test_of_two_that_answer_at_once_one_is_taken(run: Run, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(happy_eyeballs, "HEAD_START", 0)
        hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
        for host in hosts:
            places.listen(host)
        resolve(monkeypatch, *hosts)
        made: list[Recorder] = []

        def factory() -> Recorder:
            made.append(Recorder())
            return made[-1]

        before = sockets()
        for _ in range(50):
            made.clear()
            _, recorder = await transports.connect(places.address, factory, timeout=5)
            assert made == [recorder]
            await recorder.close()
            await nothing_is_left(before)

    run(main())


def test_what_the_other_end_says_at_once_is_heard(run: Run, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        listener = places.listen("127.0.0.1")
        listener.setblocking(False)
        resolve(monkeypatch, "127.0.0.2", "127.0.0.1")
        loop = asyncio.get_running_loop()
        connecting = asyncio.create_task(transports.connect(places.address, Recorder, timeout=5))
        accepted, _ = await loop.sock_accept(listener)
        with accepted:
            accepted.send(b"220 hello")
            transport, recorder = await connecting
            assert await recorder.data == b"220 hello"
            assert transport.get_protocol() is recorder
            await recorder.close()

    run(main())


def test_a_factory_that_raises_is_heard(run: Run, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        places.listen("127.0.0.1")
        resolve(monkeypatch, "127.0.0.1", "127.0.0.2")
        before = sockets()

        def broken() -> Recorder:
            raise LookupError("no protocol")

        with pytest.raises(LookupError, match="no protocol"):
            await transports.connect(places.address, broken, timeout=5)
        await nothing_is_left(before)

    run(main())


@pytest.mark.parametrize("hold", ["connected", "made"])
def test_one_that_accepts_too_late_is_dropped(
    run: Run, places: Places, monkeypatch: pytest.MonkeyPatch, hold: str
) -> None:
    """It has accepted, and only then the other one wins."""

    async def main() -> None:
        monkeypatch.setattr(happy_eyeballs, "HEAD_START", 0)
        for host in ("127.0.0.1", "127.0.0.2"):
            places.listen(host)
        resolve(monkeypatch, "127.0.0.1", "127.0.0.2")
        loop = asyncio.get_running_loop()
        create = loop.create_connection
        won = asyncio.Event()

        async def one_wins(factory: Any, host: str, port: int) -> Any:
            if host == "127.0.0.2":
                done = await create(factory, host, port)
                won.set()
                return done
            await won.wait()
            if hold == "made":
                task = asyncio.create_task(create(factory, host, port))
                await asyncio.wait([task])
                return task.result()
            return await create(factory, host, port)

        monkeypatch.setattr(loop, "create_connection", one_wins)
        assert await connected_to(places.address) == "127.0.0.2"

    run(main())


@pytest.mark.usefixtures("slow")
def test_all_that_refuse_are_told_as_one(run: Run, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        places.listen("127.0.0.9").close()
        resolve(monkeypatch, "127.0.0.1", "127.0.0.2")
        with pytest.raises(ConnectFailed) as caught:
            await transports.connect(places.address, Recorder, timeout=5)
        advice = "nothing listens there; start the server, or check host and port"
        assert str(caught.value) == f"cannot connect to {places.address}: {advice}"
        assert isinstance(caught.value.__cause__, happy_eyeballs.AllFailed)

    run(main())


def test_reasons_that_differ_are_all_told(run: Run, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(happy_eyeballs, "HEAD_START", 0.01)
        places.be_silent("127.0.0.1")
        resolve(monkeypatch, "127.0.0.1", "127.0.0.2")
        before = sockets()
        with pytest.raises(ConnectFailed) as caught:
            await transports.connect(places.address, Recorder, timeout=0.1)
        text = "nothing listens there; start the server, or check host and port"
        reasons = sorted(["127.0.0.1: timed out after 0.1 s", "127.0.0.2: Connection refused"])
        assert str(caught.value).startswith(f"cannot connect to {places.address}: {text} (")
        assert sorted(str(caught.value).partition(" (")[2].rstrip(")").split("; ")) == reasons
        await nothing_is_left(before)

    run(main())


def test_each_address_has_all_the_time(run: Run, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(happy_eyeballs, "HEAD_START", 0.01)
        for host in ("127.0.0.1", "127.0.0.2"):
            places.be_silent(host)
        resolve(monkeypatch, "127.0.0.1", "127.0.0.2")
        with pytest.raises(ConnectFailed, match=r"timed out after 0\.1 s; is it reachable, and does no firewall"):
            await transports.connect(places.address, Recorder, timeout=0.1)

    run(main())


def test_a_name_that_stands_for_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        resolve(monkeypatch)
        with pytest.raises(ConnectFailed, match=f"the name '{NAME}' is not known"):
            await transports.connect(Address("tcp", NAME, 4477), Recorder, timeout=5)

    run(main())


def test_the_look_up_has_its_time_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async def never(*_: Any, **__: Any) -> Any:
            await asyncio.get_running_loop().create_future()

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
        with pytest.raises(ConnectFailed, match=f"nobody said within 0.02 s what the name '{NAME}' stands for; check"):
            await transports.connect(Address("tcp", NAME, 4477), Recorder, timeout=0.02)

    run(main())


def test_an_attempt_that_is_cancelled_leaves_nothing(run: Run, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(happy_eyeballs, "HEAD_START", 0)
        hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
        for host in hosts:
            places.be_silent(host)
        resolve(monkeypatch, *hosts)
        before = sockets()
        task = asyncio.create_task(transports.connect(places.address, Recorder, timeout=5))
        while len(asyncio.all_tasks()) < 5 or len(sockets()) < len(before) + 3:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await nothing_is_left(before)

    run(main())


def test_one_that_connects_in_the_moment_of_a_cancellation_is_dropped(
    run: Run, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        for host in ("127.0.0.1", "127.0.0.2"):
            places.listen(host)
        resolve(monkeypatch, "127.0.0.1", "127.0.0.2")
        before = sockets()
        for turns in range(30):
            task = asyncio.create_task(transports.connect(places.address, Recorder, timeout=5))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                _, recorder = await task
            except asyncio.CancelledError:
                pass
            else:
                await recorder.close()
            await nothing_is_left(before)

    run(main())


# Without an event loop.


def look_up(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], list[tuple[Any, ...]]]) -> None:
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        return answer() if host == NAME else real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_the_blocking_face_tries_one_after_the_other(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    places.listen("127.0.0.3")
    places.be_silent("127.0.0.1")
    look_up(monkeypatch, lambda: [info(host) for host in ("127.0.0.2", "127.0.0.1", "127.0.0.3")])

    with closing(blocking.connect(places.address, 0.1, Options())) as connected:
        assert isinstance(connected, socket.socket)
        assert connected.getpeername()[0] == "127.0.0.3"


def test_the_blocking_face_tells_all_reasons(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    places.be_silent("127.0.0.1")
    look_up(monkeypatch, lambda: [info(host) for host in ("127.0.0.2", "127.0.0.1")])

    with pytest.raises(ConnectFailed) as caught:
        blocking.connect(places.address, 0.1, Options())
    assert str(caught.value).endswith("(127.0.0.2: Connection refused; 127.0.0.1: timed out after 0.1 s)")


def test_the_look_up_of_the_blocking_face_has_its_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = socket.socketpair()

    def never() -> list[tuple[Any, ...]]:
        asked[0].recv(1)
        return []

    look_up(monkeypatch, never)
    with asked[0], asked[1]:
        with pytest.raises(ConnectFailed, match=f"nobody said within 0.05 s what the name '{NAME}' stands for"):
            blocking.connect(Address("tcp", NAME, 4477), 0.05, Options())
        asked[1].send(b"x")
