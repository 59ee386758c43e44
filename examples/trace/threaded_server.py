"""Answers each client in a thread of its own; ends after as many clients as it is told."""

import socketserver
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 50007
CLIENTS = int(sys.argv[2]) if len(sys.argv) > 2 else 2


class Capitals(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(self.request.recv(1024).upper())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


with Server(("127.0.0.1", PORT), Capitals) as server:
    for _ in range(CLIENTS):
        server.handle_request()
