"""The standard library's web server, a thread for each connection."""

import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.connection_load import rate_of_connections
from benchmarks.load import Plan

ASK = b"GET / HTTP/1.0\r\n\r\n"
PAGE = b"hello\n" * 100


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024

    def handle_error(self, *_: object) -> None:
        """Clients reset their connections as soon as they have their answer."""


def serve(announce: Callable[[int], None]) -> None:
    """Answer every request with a small page."""
    with _Server(("127.0.0.1", 0), _Page) as server:
        announce(server.server_address[1])
        server.serve_forever()


def measure(port: int, plan: Plan) -> float:
    """Requests per second, each over a connection of its own."""
    return rate_of_connections(port, plan, ASK, _answer_bytes(port))


def _answer_bytes(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(ASK)
        return sum(iter(lambda: len(one.recv(65_536)), 0))
