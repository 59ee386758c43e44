"""The same `DatagramProtocol` on asyncio's own loop."""

import asyncio
from collections.abc import Callable

from benchmarks.contenders import datagrams_protocol
from benchmarks.load import Plan


def serve(announce: Callable[[int], None]) -> None:
    """Open the endpoint."""
    datagrams_protocol.serve(announce, asyncio.run)


def measure(port: int, plan: Plan) -> float:
    """Send one after the other."""
    return datagrams_protocol.measure(port, plan, asyncio.run)
