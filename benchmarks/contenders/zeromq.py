"""pyzmq in its fastest honest form: blocking calls, a DEALER that asks and a ROUTER that answers.

The request's number travels in the payload and is what replies are matched by. Frames are received and sent one by
one, because ``recv_multipart`` has to ask for each whether more follow. No high-water mark: a ROUTER drops what
exceeds it, and nothing may be lost here. Each end has one ZeroMQ I/O thread, pinned to the same core as its process.
"""

import itertools
from collections.abc import Callable, Iterator
from time import perf_counter

import zmq

from benchmarks.load import Plan, WrongReply
from benchmarks.payload import TEXT, Ping, answer, decode_ping, decode_pong, encode


def serve(announce: Callable[[int], None]) -> None:
    """Answer whatever comes, to whom it came from."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.set_hwm(0)
        router.bind("tcp://127.0.0.1:0")
        announce(int(router.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]))
        receive, send = router.recv, router.send
        while True:
            identity = receive()
            reply = answer(decode_ping(receive()))
            send(identity, zmq.SNDMORE)
            send(encode(reply))


def measure(port: int, plan: Plan) -> float:
    """Send ``plan.load`` requests, then one more for each reply."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.set_hwm(0)
        dealer.connect(f"tcp://127.0.0.1:{port}")
        return rate_of_dealer(dealer.recv, dealer.send, plan)


def rate_of_dealer(receive: Callable[[], bytes], send: Callable[[bytes], object], plan: Plan) -> float:
    """Replies per second over a socket that is open."""
    numbers = itertools.count(1)
    _phase(receive, send, numbers, plan.load, plan.warm_up)
    return _phase(receive, send, numbers, plan.load, plan.seconds)


def _phase(
    receive: Callable[[], bytes],
    send: Callable[[bytes], object],
    numbers: Iterator[int],
    in_flight: int,
    seconds: float,
) -> float:
    waiting: set[int] = set()
    count = 0

    def ask() -> None:
        number = next(numbers)
        waiting.add(number)
        send(encode(Ping(number, TEXT)))

    start = perf_counter()
    for _ in range(in_flight):
        ask()
    while waiting:
        reply = decode_pong(receive())
        if reply.number not in waiting:
            raise WrongReply(f"got a reply to {reply.number}, which is not waited for")
        waiting.remove(reply.number)
        count += 1
        if perf_counter() < start + seconds:
            ask()
    return count / (perf_counter() - start)
