"""pyzmq as its guide writes it: blocking calls, ``recv_multipart`` and ``send_multipart``."""

from collections.abc import Callable

import zmq

from benchmarks.contenders.zeromq import rate_of_dealer
from benchmarks.load import Plan
from benchmarks.payload import answer, decode_ping, encode


def serve(announce: Callable[[int], None]) -> None:
    """Answer whatever comes, to whom it came from."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.set_hwm(0)
        router.bind("tcp://127.0.0.1:0")
        announce(int(router.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]))
        while True:
            identity, payload = router.recv_multipart()
            router.send_multipart([identity, encode(answer(decode_ping(payload)))])


def measure(port: int, plan: Plan) -> float:
    """Send ``plan.load`` requests, then one more for each reply."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.set_hwm(0)
        dealer.connect(f"tcp://127.0.0.1:{port}")
        return rate_of_dealer(lambda: dealer.recv_multipart()[0], lambda data: dealer.send_multipart([data]), plan)
