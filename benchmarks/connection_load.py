"""The load of the suite of connections: bare sockets that connect, exchange once, and close, some at a time."""

import os
import selectors
import socket
import struct
from time import perf_counter

from benchmarks.load import Plan, WrongReply

RESET = struct.pack("ii", 1, 0)
"""A linger of no seconds: no port is left in TIME_WAIT, of which a machine has few."""


class _Caller:
    """Makes one connection after the other."""

    def __init__(self, selector: selectors.BaseSelector, port: int, hello: bytes, answer_bytes: int) -> None:
        self._selector = selector
        self._address = ("127.0.0.1", port)
        self._hello = hello
        self._answer_bytes = answer_bytes
        self.count = 0
        self.begin()

    def begin(self) -> None:
        self._missing = self._answer_bytes
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        error = self._socket.connect_ex(self._address)
        if error not in (0, 115):  # EINPROGRESS
            raise WrongReply(os.strerror(error))
        self._selector.register(self._socket, selectors.EVENT_WRITE, self._connected)

    def _connected(self) -> None:
        self._socket.send(self._hello)
        self._selector.modify(self._socket, selectors.EVENT_READ, self._answered)

    def _answered(self) -> None:
        answer = self._socket.recv(65_536)
        if not answer:
            raise WrongReply("the server closed the connection")
        self._missing -= len(answer)
        if self._missing <= 0:
            self._selector.unregister(self._socket)
            self._socket.close()
            self.count += 1
            self.begin()


def rate_of_connections(port: int, plan: Plan, hello: bytes, answer_bytes: int) -> float:
    """Connections per second, ``plan.load`` under way at a time, each with one exchange of the same sizes."""
    with selectors.DefaultSelector() as selector:
        callers = [_Caller(selector, port, hello, answer_bytes) for _ in range(plan.load)]

        def phase(seconds: float) -> float:
            before, begun = sum(caller.count for caller in callers), perf_counter()
            while perf_counter() < begun + seconds:
                for key, _ in selector.select(seconds):
                    key.data()
            return (sum(caller.count for caller in callers) - before) / (perf_counter() - begun)

        phase(plan.warm_up)
        return phase(plan.seconds)


def greeting(port: int, hello: bytes) -> int:
    """The size of what a server answers to ``hello``, in bytes."""
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(hello)
        return len(one.recv(65_536))
