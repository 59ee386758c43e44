from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import pytest

from tests.timeless import TimelessLoop
from tests.transports.conftest import Run
from tomada import transports
from tomada.address import Address
from tomada.errors import ListenFailed
from tomada.settings import Limits
from tomada.telemetry import AcceptFailed, AcceptResumed, Event, subscribe
from tomada.transports import Admission, Options, Ticket, accepting, acceptor
from tomada.transports.acceptor import Acceptor
from tomada.transports.credentials import credentials

HERE = Address("tcp", "127.0.0.1", 4477)
BUSY = BlockingIOError(errno.EAGAIN, "nobody")


class Socket:
    """A caller's, or a listening one that answers as its script says."""

    family = socket.AF_INET

    def __init__(self, *script: OSError | None) -> None:
        self.script = list(script)
        self.number = 99
        self.accepted: list[Socket] = []
        self.options: list[Any] = []

    def accept(self) -> tuple[Socket, tuple[str, int]]:
        answer = self.script.pop(0) if self.script else BUSY
        if answer is not None:
            raise answer
        self.accepted.append(Socket())
        return self.accepted[-1], ("192.0.2.1", 1)

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - as a socket has it
        assert not flag

    def setsockopt(self, *option: Any) -> None:
        self.options.append(option)

    def fileno(self) -> int:
        return self.number

    def close(self) -> None:
        self.number = -1


class Loop(TimelessLoop):
    """Where the listening socket is ready whenever somebody looks."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[int, Any] = {}
        self.accepts = 0

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override] # none has any
        assert not args
        self.readers[fd] = callback

    def remove_reader(self, fd: Any) -> bool:
        return self.readers.pop(fd, None) is not None

    def ready(self) -> None:
        """The kernel says that there is something to accept."""
        for callback in [*self.readers.values()]:
            callback()


@pytest.fixture
def told() -> Iterator[list[Event]]:
    events: list[Event] = []
    with subscribe(events.append, AcceptFailed, AcceptResumed):
        yield events


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def made(loop: Loop, listening: Socket, **options: Any) -> tuple[Acceptor, list[Any]]:
    taken: list[Any] = []

    async def make() -> Acceptor:
        return Acceptor(listening, HERE, lambda *what: taken.append(what), **options)  # type: ignore[arg-type] # a script

    return loop.run_until_complete(make()), taken


def failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def pass_by(loop: Loop, seconds: float) -> None:
    loop.run_until_complete(asyncio.sleep(seconds))


@pytest.mark.parametrize("name", ["ECONNABORTED", "EPROTO", "ENETDOWN", "EHOSTUNREACH", "EPERM", "ETIMEDOUT"])
def test_callers_that_have_gone_do_not_keep_others_out(loop: Loop, told: list[Event], name: str) -> None:
    listening = Socket(failure(getattr(errno, name)), None, failure(getattr(errno, name)), None)
    acceptor, taken = made(loop, listening)
    loop.ready()
    assert [accepted for accepted, _ in taken] == listening.accepted
    assert len(taken) == 2
    assert told == []
    assert 99 in loop.readers
    acceptor.close()


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "EREMOTEIO"])
def test_what_the_system_lacks_is_waited_for_and_told_once(loop: Loop, told: list[Event], name: str) -> None:
    number = getattr(errno, name)
    listening = Socket(None, failure(number))
    acceptor, taken = made(loop, listening)
    loop.ready()
    assert len(taken) == 1
    assert loop.readers == {}, "or the loop would turn without end"
    (event,) = told
    assert isinstance(event, AcceptFailed)
    assert event.address == "tcp://127.0.0.1:4477"
    assert event.reason.startswith(os.strerror(number))
    assert event.reason.endswith("; trying again every 1 s")

    for _ in range(3):  # again and again, and some get in
        pass_by(loop, 1.01)
        assert 99 in loop.readers
        listening.script += [None, failure(number)]
        loop.ready()
        assert loop.readers == {}
    assert told == [event]
    assert len(taken) == 4

    pass_by(loop, 1.01)
    listening.script = [None]
    loop.ready()
    pass_by(loop, 2.9)
    assert told == [event]
    pass_by(loop, 0.2)
    resumed = told[1]
    assert isinstance(resumed, AcceptResumed)
    assert resumed.seconds == pytest.approx(7, abs=0.3)
    assert 99 in loop.readers
    acceptor.close()


@pytest.mark.parametrize(("name", "advice"), [("EMFILE", "lower Limits.connections"), ("ENFILE", "fs.file-max")])
def test_without_descriptors_who_waits_is_let_go(loop: Loop, told: list[Event], name: str, advice: str) -> None:
    listening = Socket(failure(getattr(errno, name)), None, None, None)
    acceptor, taken = made(loop, listening)
    loop.ready()
    assert taken == []
    assert [caller.number for caller in listening.accepted] == 3 * [-1]
    assert all(caller.options for caller in listening.accepted), "by a reset"
    assert advice in told[0].reason  # type: ignore[attr-defined] # AcceptFailed
    pass_by(loop, 1.01)
    listening.script = [None]
    loop.ready()
    pass_by(loop, 3.01)
    assert told[1].dropped == 3  # type: ignore[attr-defined] # AcceptResumed
    acceptor.close()


def test_a_reserve_that_somebody_else_took_is_taken_back_later(
    loop: Loop, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = Socket(failure(errno.EMFILE))
    acceptor, _ = made(loop, listening)
    reserve = acceptor._reserve

    def none(*_: Any) -> int:
        raise failure(errno.EMFILE)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", none)
        loop.ready()
    assert acceptor._reserve == -1
    pass_by(loop, 1.01)
    listening.script = [None]
    loop.ready()
    pass_by(loop, 3.01)
    assert acceptor._reserve >= 0
    assert isinstance(told[1], AcceptResumed)
    acceptor.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reserve)


def test_a_network_that_is_down_for_all_is_waited_for_too(loop: Loop, told: list[Event]) -> None:
    acceptor, _ = made(loop, Socket(*[failure(errno.ENETDOWN)] * 64))
    loop.ready()
    assert loop.readers == {}
    assert len(told) == 1
    acceptor.close()


def test_a_socket_that_somebody_else_closed_ends_it_and_says_so(loop: Loop, told: list[Event]) -> None:
    acceptor, _ = made(loop, Socket(failure(errno.EINVAL)))
    loop.ready()
    assert loop.readers == {}
    assert "somebody else has closed the socket" in told[0].reason  # type: ignore[attr-defined] # AcceptFailed
    pass_by(loop, 5)
    assert loop.readers == {}
    acceptor.close()


def test_closed_while_it_waits_it_stays_closed(loop: Loop, told: list[Event]) -> None:
    acceptor, _ = made(loop, Socket(None, failure(errno.ENOMEM), None))
    loop.ready()
    pass_by(loop, 1.01)
    loop.ready()
    acceptor.close()
    acceptor.close()
    pass_by(loop, 10)
    assert loop.readers == {}
    assert acceptor.sockets == ()
    assert len(told) == 1


def test_closed_by_what_it_accepted_it_accepts_no_more(loop: Loop) -> None:
    listening = Socket(None, None)
    acceptor, taken = made(loop, listening)
    acceptor._take = lambda *_: acceptor.close()
    loop.ready()
    assert len(listening.accepted) == 1
    assert taken == []


def test_a_pause_outlasts_nothing(loop: Loop) -> None:
    acceptor, _ = made(loop, Socket(failure(errno.ENOMEM)))
    loop.ready()
    acceptor.pause()
    pass_by(loop, 5)
    assert loop.readers == {}
    acceptor.resume()
    assert 99 in loop.readers
    acceptor.close()


def test_who_cannot_be_taken_is_let_go_and_not_counted(loop: Loop) -> None:
    admission = Admission(Limits())
    listening = Socket(None)
    acceptor, _ = made(loop, listening, admission=admission)

    def fail(*_: Any) -> None:
        raise RuntimeError("no")

    acceptor._take = fail
    with pytest.raises(RuntimeError, match="no"):
        loop.ready()
    assert listening.accepted[0].number == -1
    assert admission.greeting == 0
    acceptor.close()


def test_who_is_not_admitted_is_reset(loop: Loop) -> None:
    listening = Socket(None, None)
    acceptor, taken = made(loop, listening, admission=Admission(Limits(handshakes=1, handshakes_early=1)))
    loop.ready()
    ((accepted, ticket),) = taken
    assert ticket.host == "192.0.2.1"
    assert [caller.number for caller in listening.accepted] == [99, -1]
    assert accepted is listening.accepted[0]
    acceptor.close()


def test_peers_of_socket_files_count_by_their_user(run: Run, address: Address) -> None:
    async def main() -> None:
        tickets: asyncio.Queue[Ticket] = asyncio.Queue()

        def take(accepted: socket.socket, ticket: Ticket | None) -> None:
            assert ticket is not None
            accepted.close()
            tickets.put_nowait(ticket)

        options = Options(admission=Admission(Limits()), allow_users=(os.getuid() + 1,))
        listener = await transports.accept(address, take, options=options)
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(address.path)
            ticket = await tickets.get()
            assert credentials(caller) is not None
        assert credentials(caller) is None, "it is closed"
        assert ticket.host == f"user {os.getuid()}"
        assert ticket.enter() == f"user {os.getuid()} may not connect"
        listener.close()

    run(main())


class Dud(asyncio.Protocol):
    ticket: Ticket
    transport: asyncio.Transport


@pytest.mark.parametrize("scheme", ["tcp", "blind", "memory"])
def test_a_factory_that_raises_costs_one_connection(run: Run, scheme: str, request: pytest.FixtureRequest) -> None:
    if scheme == "blind":
        request.getfixturevalue("blind")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        complaints: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        loop.set_exception_handler(lambda _, context: complaints.put_nowait(context))
        admission = Admission(Limits())
        good: asyncio.Queue[Dud] = asyncio.Queue()
        outcomes = [RuntimeError("no protocol today"), None]

        def factory() -> Dud:
            if (error := outcomes.pop(0)) is not None:
                raise error
            good.put_nowait(Dud())
            return good._queue[-1]  # type: ignore[attr-defined, no-any-return] # asyncio's own

        where = Address("memory", "dud") if scheme == "memory" else Address("tcp", "127.0.0.1", 0)
        listener = await transports.listen(where, factory, options=Options(admission=admission))
        with suppress(OSError):
            first, _ = await transports.connect(listener.addresses[0], asyncio.Protocol, timeout=10)
            first.abort()
        assert str((await complaints.get())["exception"]) == "no protocol today"
        assert admission.greeting == 0
        second, _ = await transports.connect(listener.addresses[0], asyncio.Protocol, timeout=10)
        protocol = await good.get()
        assert admission.greeting == 1
        protocol.ticket.release()
        second.abort()
        listener.close()

    run(main())


def accepted_one(admission: Admission) -> tuple[socket.socket, Ticket]:
    own, other = socket.socketpair()
    other.close()
    ticket = admission.admit("192.0.2.1")
    assert ticket is not None
    return own, ticket


def test_one_that_is_cancelled_before_it_is_served_is_counted_no_more(run: Run) -> None:
    async def main() -> None:
        admission = Admission(Limits())
        own, ticket = accepted_one(admission)
        serving = accepting.Accepting(address=HERE, backlog=1, options=Options(), make=Dud)
        serving._adopt(own, ticket)
        (task,) = accepting._ADOPTING
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)
        assert (own.fileno(), admission.greeting) == (-1, 0)
        assert not accepting._ADOPTING

    run(main())


def test_one_for_whom_there_is_no_layer_is_counted_no_more(run: Run) -> None:
    async def main() -> None:
        admission = Admission(Limits())
        own, ticket = accepted_one(admission)
        with pytest.raises(ListenFailed, match="certificate"):
            await transports.adopt(own, Address("tls", "127.0.0.1", 1), Dud, Options(), ticket)
        assert (own.fileno(), admission.greeting) == (-1, 0)

    run(main())


@pytest.mark.parametrize("error", [OSError(errno.EBADF, "gone"), RuntimeError("no")])
def test_one_around_whom_there_is_no_transport_is_counted_no_more(run: Run, error: Exception) -> None:
    async def main() -> None:
        async def refuse(*_: Any) -> None:
            raise error

        loop: Any = asyncio.get_running_loop()
        loop.connect_accepted_socket = refuse
        admission = Admission(Limits())
        own, ticket = accepted_one(admission)
        if isinstance(error, OSError):  # it has gone already
            await accepting.adopt(own, Dud, ticket)
        else:
            with pytest.raises(RuntimeError):
                await accepting.adopt(own, Dud, ticket)
        assert (own.fileno(), admission.greeting) == (-1, 0)

    run(main())


@pytest.mark.parametrize("scheme", ["blind", "memory"])
def test_a_loop_that_accepts_itself_asks_who_may(run: Run, scheme: str, request: pytest.FixtureRequest) -> None:
    if scheme == "blind":
        request.getfixturevalue("blind")

    async def main() -> None:
        made: asyncio.Queue[Dud] = asyncio.Queue()

        class Kept(Dud):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = cast("asyncio.Transport", transport)
                made.put_nowait(self)

        where = Address("memory", "door") if scheme == "memory" else Address("tcp", "127.0.0.1", 0)
        options = Options(admission=Admission(Limits(handshakes=1, handshakes_early=1)))
        listener = await transports.listen(where, Kept, options=options)
        ends = [(await transports.connect(listener.addresses[0], Recorder, timeout=10))[1] for _ in range(2)]
        kept = await made.get()
        assert kept.ticket.host == ("" if scheme == "memory" else "127.0.0.1")
        assert kept.transport.get_protocol() is kept
        await asyncio.wait([end.lost for end in ends], return_when=asyncio.FIRST_COMPLETED)
        assert [end.lost.done() for end in ends] == [False, True]
        kept.transport.close()
        await ends[0].lost
        listener.close()

    class Recorder(asyncio.Protocol):
        def __init__(self) -> None:
            self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def connection_lost(self, _: Exception | None) -> None:
            self.lost.set_result(None)

    run(main())


def test_a_turn_of_the_loop_takes_so_many_and_no_more(loop: Loop) -> None:
    acceptor_, taken = made(loop, Socket(*[None] * 200))
    loop.ready()
    assert len(taken) == acceptor._BURST
    acceptor_.close()
