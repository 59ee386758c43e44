"""pyzmq's own asyncio sockets on uvloop: any number of coroutines share a socket, as they share a tomada connection."""

import asyncio
from collections.abc import Callable

import zmq
import zmq.asyncio

from benchmarks.load import Plan, rate_of_workers, run
from benchmarks.payload import TEXT, Ping, Pong, answer, decode_ping, decode_pong, encode


def serve(announce: Callable[[int], None]) -> None:
    """Answer whatever comes, to whom it came from."""

    async def main() -> None:
        with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as router:
            router.set_hwm(0)
            router.bind("tcp://127.0.0.1:0")
            announce(int(router.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]))
            while True:
                identity, payload = await router.recv_multipart()
                await router.send_multipart([identity, encode(answer(decode_ping(payload)))])

    run(main())


def measure(port: int, plan: Plan) -> float:
    """One task receives replies, ``plan.load`` workers ask; the number in the payload is the id."""

    async def main() -> float:
        with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as dealer:
            dealer.set_hwm(0)
            dealer.connect(f"tcp://127.0.0.1:{port}")
            waiting: dict[int, asyncio.Future[Pong]] = {}

            async def ask(number: int) -> Pong:
                reply: asyncio.Future[Pong] = asyncio.get_running_loop().create_future()
                waiting[number] = reply
                await dealer.send(encode(Ping(number, TEXT)))
                return await reply

            async def dispatch() -> None:
                while True:
                    reply = decode_pong(await dealer.recv())
                    waiting.pop(reply.number).set_result(reply)

            async with asyncio.TaskGroup() as group:
                dispatching = group.create_task(dispatch())
                rate = await rate_of_workers(ask, plan)
                dispatching.cancel()
        return rate

    return run(main())
