"""What must hold at any time, and what at the end of every world."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster


def bounds(cluster: Cluster) -> None:
    """Buffers are bounded at every time."""
    limits = cluster.scenario.limits
    # Beside what may wait there is one message in each lane that has just been let through, and what handlers answer
    # that had begun.
    most = limits.buffer_bytes * 5 // 4 + (2 + min(limits.handlers, limits.requests)) * cluster.scenario.longest + 4_096
    # Items may bring as much again: what the peer's handlers hold must not keep answers back.
    allowed = {"waiting_bytes": most, "held_bytes": most, "unacknowledged_bytes": most + limits.buffer_bytes * 5 // 4}
    for connection in cluster.connections():
        statistics = connection.statistics()
        allowed["stream_bytes"] = statistics.streams * (limits.stream_bytes + cluster.scenario.longest + 1_024)
        for name, bound in allowed.items():
            count = getattr(statistics, name)
            cluster.ledger.most_waiting = max(cluster.ledger.most_waiting, count)
            if count > bound:
                cluster.world.violate(f"{name} is {count} in {connection!r}, where {bound} are allowed")


def calls_in_time(cluster: Cluster) -> None:
    """No call lasts longer than it may."""
    ledger = cluster.ledger
    for count, call in tuple(ledger.calls.items()):
        if call.process.is_dead:
            del ledger.calls[count]
        elif ledger.age(call) > call.within:
            del ledger.calls[count]
            cluster.world.violate(f"{call.process.name}: {call.what} has not ended after {call.within:g} s")


def drained(cluster: Cluster) -> None:
    """After the faults, and after all has been closed: nothing is lost in silence, and nothing is left."""
    world, ledger = cluster.world, cluster.ledger
    for flow in ledger.flows.values():
        lost = flow.lost(ledger.whole)
        if lost:
            world.violate(f"{flow.name}: {lost[:5]} of {flow.sent} messages are lost, {len(lost)}, and nobody was told")
    for key, asked in ledger.asked.items():
        if asked.running and not asked.process.is_dead:
            world.violate(f"{key}: its handler still runs in {asked.process.name}")
    for call in ledger.calls.values():
        if not call.process.is_dead:
            world.violate(f"{call.process.name}: {call.what} has not ended")
    for process in world.processes:
        if not process.is_dead:
            for task in process.tasks():
                world.violate(f"{process.name}: the task {task.get_name()} is left: {task.get_coro()}")
