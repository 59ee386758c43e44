"""EasyNetwork on uvloop, with lines as its guide's echo server has them."""

from collections.abc import Callable

from easynetwork.serializers import StringLineSerializer

from benchmarks.contenders.echo_easynetwork import serve_packets
from benchmarks.echo_load import rate_of_echoes


def serve(announce: Callable[[int], None]) -> None:
    """Echo lines."""
    serve_packets(announce, StringLineSerializer())


measure = rate_of_echoes
