"""Reads one server, in its own process."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tomada.metrics.durations import Durations
from tomada.metrics.families import Number, Reading
from tomada.metrics.noted import Noted
from tomada.metrics.traffic import Traffic

if TYPE_CHECKING:
    from tomada.metrics.families import Distribution
    from tomada.server import Server
    from tomada.server.statistics import ServerStatistics

_MEMORY: Final = Path("/proc/self/statm")
_RESIDENT: Final = 1
_LOST: Final = (
    "dropped",
    "dropped_by_system",
    "truncated",
    "unexpected",
    "too_long",
    "refused",
    "unreachable",
    "given_up",
    "withheld",
    "failed",
    "duplicates",
)
"""Of `DatagramStatistics`."""


class Reader:
    """Reads a server. From its making on it counts what is told as events, too, until it is closed.

    Args:
        server: It is used in the server's own event loop, but for `close`.
    """

    __slots__ = ("_build", "_durations", "_noted", "_server", "_started_at")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._noted = Noted(serves=True)
        self._durations = Durations(server.endpoints[0].handler_names())
        self._started_at = time.time() - server.statistics().seconds
        self._build = version("tomada"), ".".join(map(str, sys.version_info[:3]))

    def read(self) -> Reading:
        """All at once: the loop waits for about 2 ms with a thousand connections."""
        traffic = Traffic(self._server.endpoints[0])
        for _ in traffic.portions():
            pass
        return self._reading(traffic)

    async def gather(self) -> Reading:
        """All, a portion in each turn of the loop."""
        traffic = Traffic(self._server.endpoints[0])
        for _ in traffic.portions():
            await asyncio.sleep(0)
        return self._reading(traffic)

    def close(self) -> None:
        """Count no more; what was counted can still be read."""
        self._noted.close()
        self._durations.close()

    def _reading(self, traffic: Traffic) -> Reading:
        told = self._server.statistics()
        numbers = [*self._process(), *_of_server(told), *traffic.numbers(), *self._noted.numbers()]
        numbers += [Number("tomada_children", self._server.children)]
        numbers += self._sessions()
        numbers += _of_datagrams(told)
        numbers += self._durations.numbers()
        distributions: list[Distribution] = [*self._durations.distributions(), *self._noted.distributions()]
        return Reading(numbers, distributions)

    def _process(self) -> list[Number]:
        numbers = [
            Number("tomada_build_info", 1, self._build),
            Number("tomada_start_time_seconds", self._started_at),
            Number("tomada_workers", 1),
            Number("tomada_cpu_seconds_total", time.process_time()),
            Number("tomada_trace_contexts_ignored_total", _ignored_traces()),
        ]
        with suppress(OSError, IndexError, ValueError):  # other systems than Linux
            numbers.append(Number("tomada_resident_memory_bytes", _resident_bytes()))
        return numbers

    def _sessions(self) -> list[Number]:
        sessions = self._server.endpoints[0].sessions
        lost = sessions.lost
        return [
            Number("tomada_sessions", len(sessions) - lost, ("connected",)),
            Number("tomada_sessions", lost, ("waiting",)),
        ]


def _of_server(told: ServerStatistics) -> list[Number]:
    return [
        Number("tomada_connections", told.connections, ("messages",)),
        Number("tomada_connections", told.streams, ("stream",)),
        Number("tomada_callers_accepted_total", told.accepted),
        *(Number("tomada_callers_turned_away_total", count, (limit,)) for limit, count in told.turned_away.items()),
        Number("tomada_connections_opened_total", told.opened),
        Number("tomada_connections_failed_total", told.failed),
        Number("tomada_handshakes_in_progress", told.handshakes),
        Number("tomada_handlers", told.handlers),
    ]


def _of_datagrams(told: ServerStatistics) -> list[Number]:
    numbers = []
    for address, of_one in told.datagrams.items():
        numbers += [
            Number("tomada_datagrams_received_total", of_one.received, (address,)),
            Number("tomada_datagrams_sent_total", of_one.sent, (address,)),
            *(Number("tomada_datagrams_lost_total", getattr(of_one, why), (address, why)) for why in _LOST),
        ]
    return numbers


def _ignored_traces() -> int:
    tracing = sys.modules.get("tomada.tracing")  # not imported for this
    return 0 if tracing is None else int(tracing.ignored())


def _resident_bytes() -> int:
    import resource  # noqa: PLC0415 - not on Windows

    return int(_MEMORY.read_text(encoding="ascii").split()[_RESIDENT]) * resource.getpagesize()
