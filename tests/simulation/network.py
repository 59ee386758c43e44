"""The network of the simulation: hosts, the ports where processes listen, and what goes wrong between them.

simloop's own streams are whole packets, which are never lost, over links that are cut both ways or not at all. Here one
direction of a link is a `Path` of its own, with latency, bandwidth and cuts, and a connection has a `Socket` at each
end.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tests.simulation.kernel import Name, Path, Reset, Socket
from tests.simulation.transport import FILES, SimulatedTransport

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

_AGAIN: Final = 1.0
"""Seconds until a kernel asks once more whether somebody accepts."""
_LATE: Final = 0.4
"""So long after a cut has healed, at most, what was lost is sent again."""
_ALL_INTERFACES: Final = ("", "0.0.0.0", "::")  # noqa: S104 - of the simulation's own hosts


class Listening:
    """A process listens at a port."""

    def __init__(self, network: Network, process: Process, factory: Callable[[], asyncio.Protocol], name: Name) -> None:
        self.process = process
        self.factory = factory
        self.name = name
        self._network = network

    def close(self) -> None:
        if self._network.listening.get(self.name) is self:
            del self._network.listening[self.name]


class Network:
    """All hosts, and what is between them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.fork("network")
        self.buffer = self.random.choice((2_048, 16_384, 65_536, 262_144))
        """How much the kernel of one end holds, in each direction."""
        self.listening: dict[Name, Listening] = {}
        self.sockets: dict[int, Socket] = {}
        self.newest: dict[str, Socket] = {}
        """The client's end of the newest connection from a host."""
        self._all: list[Socket] = []
        self._paths: dict[tuple[str, str], Path] = {}
        self._armed: dict[str, tuple[Reset, bool]] = {}
        self._count = 0
        self.delivered = 0
        self.struck = 0
        self._make_path: Callable[[], Path] = lambda: Path((0.0, 0.01), 1e7, 65_536)

    def shape(self, make: Callable[[], Path]) -> None:
        """How each new direction between two hosts is."""
        self._make_path = make

    def path(self, from_: str, to: str) -> Path:
        """The direction from one host to another."""
        path = self._paths.get((from_, to))
        if path is None:
            path = self._paths[from_, to] = self._make_path()
        return path

    # Processes call these.

    def listen(self, process: Process, factory: Callable[[], asyncio.Protocol], name: Name) -> Listening:
        """Accept at a port from now on. Raises `OSError`: somebody does."""
        host, port = name
        name = (process.host if host in _ALL_INTERFACES else host), port
        if name in self.listening:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        listening = self.listening[name] = Listening(self, process, factory, name)
        return listening

    async def connect(
        self, process: Process, factory: Callable[[], asyncio.Protocol], name: Name
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Connect to a port. Raises `ConnectionRefusedError`; where nothing comes through, it waits."""
        self._count += 2
        near = Socket(self, process, (process.host, 10_000 + self._count), name, self._count)
        done: asyncio.Future[None] = process.create_future()
        self._knock(near, done)
        try:
            await done
        except BaseException:
            near.orphan()
            raise
        transport = SimulatedTransport(near)
        protocol = factory()
        transport.begin(protocol)
        return transport, protocol

    def _knock(self, near: Socket, done: asyncio.Future[None]) -> None:
        if near.is_orphan or near.process.is_dead or done.done():
            return
        low, high = near.path.latency
        self.world.later(low + (high - low) * self.random.random(), self._arrive, near, done)
        self.world.later(_AGAIN, self._knock, near, done)

    def _arrive(self, near: Socket, done: asyncio.Future[None]) -> None:
        if near.path.cuts or near.peer is not None:
            return
        listening = self.listening.get(near.other)
        if listening is not None:
            far = near.peer = Socket(self, listening.process, near.other, near.own, near.number + 1)
            far.peer = near
            self._all = [each for each in self._all if not (each.is_gone and each.is_orphan)]
            self._all += [near, far]
            listening.process.post(self._accept, far, listening)
        self._answer(near, done)

    def _answer(self, near: Socket, done: asyncio.Future[None]) -> None:
        """Tell who knocks, once something gets through."""
        if near.back.cuts:
            self.world.later(_AGAIN, self._answer, near, done)
            return
        low, high = near.back.latency
        self.world.later(low + (high - low) * self.random.random(), self._open, near, done)

    def _open(self, near: Socket, done: asyncio.Future[None]) -> None:
        def tell() -> None:
            if done.done():
                return
            if near.peer is None:
                done.set_exception(ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)))
            else:
                done.set_result(None)

        if near.peer is not None and not near.is_orphan:
            self.sockets[near.number] = near
            self.newest[near.own[0]] = near
            self._aim(near)
        near.process.post(tell)

    def _accept(self, far: Socket, listening: Listening) -> None:
        if far.error is not None or self.listening.get(listening.name) is not listening:
            far.lingers = False
            far.orphan()
            return
        self.sockets[far.number] = far
        SimulatedTransport(far).begin(listening.factory())

    def orphan(self, process: Process) -> None:
        """A process is no more: its ports are free, its kernel ends its connections."""
        for listening in [each for each in self.listening.values() if each.process is process]:
            listening.close()
        for socket in [each for each in self._all if each.process is process]:
            socket.orphan()

    def held(self, number: int) -> int:
        """What the product asks of the kernel: how much a socket holds that its peer has not confirmed."""
        socket = self.sockets.get(number - FILES)
        return 0 if socket is None else socket.held

    # What goes wrong.

    def tell_reset(self, from_: Socket) -> None:
        """A kernel says that it has no such connection; lost for good where nothing gets through."""
        peer = from_.peer
        if peer is None or from_.path.cuts or from_.is_dumb:
            return
        low, high = from_.path.latency

        def land() -> None:
            if not from_.path.cuts:
                peer.hear_reset()

        self.world.later(low + (high - low) * self.random.random(), land)

    def vanish(self, host: str) -> None:
        """The host's power is cut: it says nothing more of all that it had."""
        for socket in self._all:
            if socket.own[0] == host:
                socket.is_dumb = True

    def cut(self, path: Path) -> None:
        """Let nothing through."""
        path.cuts += 1

    def heal(self, path: Path) -> None:
        """Let all through again."""
        path.cuts -= 1
        if path.cuts:
            return
        for socket in self._all:
            if path in (socket.path, socket.back):
                self.world.later(_LATE * self.random.random(), socket.recover)

    def aim(self, host: str, reset: Reset, *, upward: bool, at_once: bool) -> None:
        """Let a reset strike the connection of a client's host, or the next one that it makes."""
        self._armed[host] = reset, upward
        near = self.newest.get(host)
        if at_once and near is not None and not near.is_gone:
            self._aim(near)

    def _aim(self, near: Socket) -> None:
        reset, upward = self._armed.pop(near.own[0], (None, True))
        target = near if upward else near.peer
        if reset is not None and target is not None:
            target.strike_at(reset)
