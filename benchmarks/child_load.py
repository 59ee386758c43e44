"""The load of the suites of children: one client that connects, asks once, and closes; again and again."""

import socket
from collections.abc import Callable
from statistics import median
from time import perf_counter, sleep

from benchmarks.connection_load import RESET
from benchmarks.load import Plan, WrongReply

RATE = 100
"""Connections per second where the time of each counts."""

Exchange = tuple[tuple[bytes, int], ...]
"""What is sent, and how many bytes come back, in order."""


def call(port: int, exchange: Exchange) -> bytes:
    """One connection: connect, exchange, close; what came last."""
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        last = b""
        for sent, count in exchange:
            one.sendall(sent)
            last = b""
            while len(last) < count:
                piece = one.recv(65_536)
                if not piece:
                    raise WrongReply("the server closed the connection")
                last += piece
        return last


def rate_of_children(port: int, plan: Plan, exchange: Exchange) -> float:
    """Connections per second, one after the other."""

    def phase(seconds: float) -> float:
        count, begun = 0, perf_counter()
        while perf_counter() < begun + seconds:
            call(port, exchange)
            count += 1
        return count / (perf_counter() - begun)

    phase(plan.warm_up)
    return phase(plan.seconds)


def promptness(port: int, plan: Plan, exchange: Exchange) -> float:
    """How many times a second the median connection would fit, where one begins every hundredth of a second."""

    def phase(seconds: float) -> float:
        taken, begun = [], perf_counter()
        for number in range(int(seconds * RATE)):
            due = begun + number / RATE
            sleep(max(0.0, due - perf_counter()))
            call(port, exchange)
            taken.append(perf_counter() - due)
        return 1 / median(taken)

    phase(plan.warm_up)
    return phase(plan.seconds)


Measure = Callable[[int, Plan], float]
