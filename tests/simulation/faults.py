"""What goes wrong, when, and to whom: drawn from the seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.kernel import Reset
from tests.simulation.liar import HOST, lie
from tests.simulation.workload import PLACE

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster


_OF_ALL = 6
"""So many faults concern all clients, at most: nothing would ever come to pass."""


class Faults:
    """Brings about the faults of one world. A new kind is a method here, and a name in `KINDS`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._network = cluster.world.network
        self._random = cluster.world.fork("faults")
        self._count = 0

    def plan(self) -> None:
        """Draw all of them, for the time in which there are some."""
        scenario, chance = self._cluster.scenario, self._random
        kinds = [*chance.sample(sorted(KINDS), chance.randint(1, len(KINDS))), "reset", "reset"]
        left = _OF_ALL
        for _ in range(round(scenario.faults * scenario.clients)):
            kind = chance.choice(kinds)
            if "server" in kind or kind in ("isolate", "restore backup"):
                left -= 1
                if left < 0:
                    continue
            self._world.later(chance.random() * scenario.faults_until, self._bring_about, kind)

    def _bring_about(self, kind: str) -> None:
        self._world.faults[kind] += 1
        self._world.history.tell(f"fault: {kind}")
        KINDS[kind](self)

    def _host(self) -> str:
        return self._random.choice(self._cluster.client_hosts)

    def _seconds(self) -> float:
        """How long it lasts: a moment, or longer than deadlines are."""
        return self._random.choice((0.05, 0.5, 3.0, 12.0)) * self._random.uniform(0.5, 1.5)

    def cut(self) -> None:
        """Between the server and one client, in one direction or in both, nothing gets through."""
        client, server = self._host(), self._cluster.server_host
        up, down = self._network.path(client, server), self._network.path(server, client)
        seconds = self._seconds()
        for path in self._random.choice(((up,), (down,), (up, down))):
            self._network.cut(path)
            self._world.later(seconds, self._network.heal, path)

    def isolate(self) -> None:
        """The server is cut off from all."""
        seconds = self._seconds()
        for client in self._cluster.client_hosts:
            for path in (
                self._network.path(client, self._cluster.server_host),
                self._network.path(self._cluster.server_host, client),
            ):
                self._network.cut(path)
                self._world.later(seconds, self._network.heal, path)

    def reset(self) -> None:
        """A connection is reset in a certain byte of a certain frame; both ends hear of it, one, or none."""
        chance = self._random
        frame = chance.choice((0, 0, 1, 2, 3, chance.randrange(50)))
        place = chance.choice((-16, -15, chance.randrange(-16, 0), -1, 0.0, chance.random(), 1.0))
        near, far = chance.choice(((True, True), (True, False), (False, True), (False, False), (False, False)))
        reset = Reset(frame, place, near, far)
        self._network.aim(self._host(), reset, upward=chance.random() < 0.5, at_once=chance.random() < 0.5)

    def stall_client(self) -> None:
        """A client's process stands still."""
        self._cluster.client(self._host()).process.pause(self._seconds())

    def stall_server(self) -> None:
        """The server's process stands still."""
        self._cluster.server.process.pause(self._seconds())

    def kill_client(self) -> None:
        """A client's process is killed; its kernel ends its connections. Another one takes its place."""
        self._cluster.replace_client(self._host(), is_silent=False)

    def lose_client(self) -> None:
        """A client's machine is gone, and says nothing of it: its connections look alive."""
        self._cluster.replace_client(self._host(), is_silent=True)

    def kill_server(self) -> None:
        """The server's process is killed; a new one begins a little later."""
        self._cluster.kill_server(is_silent=False, pause=min(3.0, self._seconds()))

    def lose_server(self) -> None:
        """The server's machine is gone, and comes up again."""
        self._cluster.kill_server(is_silent=True, pause=min(3.0, self._seconds()))

    def stop_server(self) -> None:
        """The server is stopped in order, and another one takes its place."""
        self._cluster.stop_server()

    def restore_backup(self) -> None:
        """The server is killed some time after a backup of its store, which is put back."""
        disk = self._cluster.disk
        if disk is None:
            self.kill_server()
            return
        backup = disk.backup()
        if self._random.random() < 0.5:
            # All sessions go on once more, which the backup does not know.
            self._cluster.kill_server(is_silent=False, pause=0.1)
        self._world.later(self._seconds(), self._cluster.put_back, backup, min(3.0, self._seconds()))

    def lie(self) -> None:
        """Somebody names a session that is not his."""
        victim = self._cluster.engine_of(self._host())
        if victim is not None and victim.session is not None:
            self._count += 1
            process = self._world.process(HOST, f"liar {self._count}", self._cluster.scenario.pace)
            self._cluster.start(process, lie(self._world, victim, PLACE))

    def narrow(self) -> None:
        """A link becomes slow for a while."""
        client, server = self._host(), self._cluster.server_host
        for path in (self._network.path(client, server), self._network.path(server, client)):
            before, path.bandwidth = path.bandwidth, min(path.bandwidth, 5_000.0)
            self._world.later(self._seconds(), setattr, path, "bandwidth", max(before, 50_000.0))


KINDS: dict[str, Callable[[Faults], None]] = {
    "cut": Faults.cut,
    "isolate": Faults.isolate,
    "reset": Faults.reset,
    "stall client": Faults.stall_client,
    "stall server": Faults.stall_server,
    "kill client": Faults.kill_client,
    "lose client": Faults.lose_client,
    "kill server": Faults.kill_server,
    "lose server": Faults.lose_server,
    "stop server": Faults.stop_server,
    "restore backup": Faults.restore_backup,
    "lie": Faults.lie,
    "narrow": Faults.narrow,
}
