"""The standard library's server that forks for each connection, with the modules loaded that tomada's has."""

import socketserver
from collections.abc import Callable

from benchmarks.child_load import Exchange, promptness, rate_of_children
from benchmarks.contenders import children_tomada
from benchmarks.load import Plan
from benchmarks.payload import HEADER, TEXT, Ping, Pong, answer, decode_ping, frame

__all__ = ["children_tomada", "measure", "serve"]


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """One request, one reply."""
        data = self.request.recv(65_536)
        length, *_, identifier, _ = HEADER.unpack_from(data)
        self.request.sendall(frame(identifier, answer(decode_ping(data[HEADER.size : HEADER.size + length]))))


class _Server(socketserver.ForkingTCPServer):
    request_queue_size = 1024
    allow_reuse_address = True


def serve(announce: Callable[[int], None]) -> None:
    """Serve for ever."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        announce(server.server_address[1])
        server.serve_forever()


def exchange() -> Exchange:
    """Request and reply."""
    return ((frame(1, Ping(1, TEXT)), len(frame(1, Pong(1, TEXT)))),)


def measure(port: int, plan: Plan) -> float:
    """Connections per second, or how prompt they are."""
    return (promptness if plan.load > 1 else rate_of_children)(port, plan, exchange())
