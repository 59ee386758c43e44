"""Readings in the words of `prometheus_client`: for registries, and as text."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from tomada.metrics.families import FAMILIES, Reading
from tomada.metrics.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from prometheus_client.core import Metric

    from tomada.metrics.families import Family
    from tomada.server import Server

PATIENCE: Final = 5.0
"""Seconds after which a server is given up whose event loop does not answer."""


class Metrics(Collector):
    """All that a server counts, for a registry of `prometheus_client`.

    ::

        async with tomada.serve(app, "tcp://:4477") as server:
            with Metrics(server) as metrics:
                prometheus_client.REGISTRY.register(metrics)
                ...

    A registry may be asked in any thread: in that of the server's event loop the connections are read at once, which
    takes about 2 ms for a thousand of them; from any other one the loop is asked, and reads them a few hundred in each
    of its turns.

    Handlers are timed, and events counted, from the making of this to its `close`. To be made in the server's event
    loop.

    Args:
        server: It listens.
    """

    def __init__(self, server: Server) -> None:
        self._reader = Reader(server)
        self._loop = asyncio.get_running_loop()

    def collect(self) -> Iterator[Metric]:
        """What there is now, for a registry.

        Raises:
            TimeoutError: The event loop did not answer within 5 seconds: a handler keeps it to itself.
        """
        return metrics_of(self._read())

    def _read(self) -> Reading:
        if not self._loop.is_running() or _running() is self._loop:
            return self._reader.read()
        asked = asyncio.run_coroutine_threadsafe(self._reader.gather(), self._loop)
        try:
            return asked.result(PATIENCE)
        except TimeoutError:
            asked.cancel()
            raise TimeoutError(f"the server's event loop did not answer within {PATIENCE:g} s") from None

    def describe(self) -> Iterator[Metric]:
        """The names, for registries that look for clashes when this is registered."""
        return metrics_of(Reading([], []))

    def close(self) -> None:
        """Count no more; what was counted can still be read."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def metrics_of(reading: Reading) -> Iterator[Metric]:
    """All families, with what there is of each."""
    made = {name: _made(name, family) for name, family in FAMILIES.items()}
    for number in reading.numbers:
        metric = made.get(number.name)
        if isinstance(metric, CounterMetricFamily | GaugeMetricFamily):
            metric.add_metric(number.labels, number.value)
    for one in reading.distributions:
        metric = made.get(one.name)
        if isinstance(metric, HistogramMetricFamily):
            metric.add_metric(one.labels, [(_bound(bound), count) for bound, count in one.buckets], one.seconds)
    yield from made.values()


def _made(name: str, family: Family) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    if family.kind == "counter":
        return CounterMetricFamily(name, family.text, labels=family.labels)
    if family.kind == "gauge":
        return GaugeMetricFamily(name, family.text, labels=family.labels)
    return HistogramMetricFamily(name, family.text, labels=family.labels)


def _bound(value: float) -> str:
    return "+Inf" if value == inf else repr(value)


class _One(Collector):
    """One reading, as a registry takes it."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        return metrics_of(self._reading)


def as_text(reading: Reading, accept: str) -> tuple[bytes, str]:
    """A reading in the format that a scraper's ``Accept`` header asks for, and what that is called."""
    encode, kind = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_One(reading))
    return encode(registry), kind


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
