"""pyzmq PUSH and PULL, with blocking calls: the messages one way, and over a second pair the count, when it is asked.

A number of 0 asks for it, behind the messages that it counts. `marks` are the high-water marks, in messages; ZeroMQ's
own, by default, which bound what waits at either end; 0 is no bound.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import zmq

from benchmarks.load import Plan, rate_of_messages
from benchmarks.payload import TEXT, Ping, decode_ping, encode

MARKS: Final = 1_000
"""ZeroMQ's own."""


def serve(announce: Callable[[int], None], marks: int = MARKS) -> None:
    """Decode and count whatever comes."""
    with zmq.Context() as context, context.socket(zmq.PULL) as pull, context.socket(zmq.PUSH) as push:
        pull.set_hwm(marks)
        pull.bind("tcp://127.0.0.1:0")
        announce(int(pull.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]))
        receive = pull.recv
        push.connect(receive().decode())
        handled = 0
        while True:
            message = decode_ping(receive())
            if not message.number:
                push.send(handled.to_bytes(8, "big"))
                continue
            handled += 1
            if message.number != handled:
                raise ValueError(f"{message.number} came in the place of {handled}")


def measure(port: int, plan: Plan, marks: int = MARKS) -> float:
    """Send one after the other, as fast as `send` lets."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        push.set_hwm(marks)
        push.connect(f"tcp://127.0.0.1:{port}")
        pull.bind("tcp://127.0.0.1:0")
        send = push.send
        send(pull.getsockopt(zmq.LAST_ENDPOINT))

        async def flood(first: int, count: int) -> None:
            for number in range(first, first + count):
                send(encode(Ping(number, TEXT)))

        async def finish() -> int:
            send(encode(Ping(0, "")))
            return int.from_bytes(pull.recv(), "big")

        return asyncio.run(rate_of_messages(flood, finish, plan))
