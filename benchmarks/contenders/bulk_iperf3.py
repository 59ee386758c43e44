"""iperf3: C, one stream, buffers of 1 MiB."""

import json
import socket
import subprocess
from collections.abc import Callable

from benchmarks.load import Plan


def serve(announce: Callable[[int], None]) -> None:
    """Run its server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["iperf3", "--server", "--bind", "127.0.0.1", "--port", str(port), "--forceflush"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            for line in server.stdout or ():
                if "listening" in line:
                    announce(port)
        finally:
            server.kill()


def measure(port: int, plan: Plan) -> float:
    """Run its client; what the server received counts."""
    seconds = ("--omit", str(max(1, round(plan.warm_up))), "--time", str(max(1, round(plan.seconds))))
    command = ["iperf3", "--client", "127.0.0.1", "--port", str(port), "--length", "1M", "--json", *seconds]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rate: float = json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]
    return rate / 8e6
