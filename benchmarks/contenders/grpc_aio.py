"""grpcio's asyncio interface: one unary method, with msgspec in the place of generated protobuf code."""

from collections.abc import Awaitable, Callable
from typing import cast

import grpc

from benchmarks.load import Plan, rate_of_workers, run
from benchmarks.payload import TEXT, Ping, Pong, answer, decode_ping, decode_pong, encode


async def _ping(request: Ping, _context: object) -> Pong:
    return answer(request)


def serve(announce: Callable[[int], None]) -> None:
    """Serve the method ``/bench/ping`` without encryption."""

    async def main() -> None:
        method = grpc.unary_unary_rpc_method_handler(_ping, decode_ping, encode)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench", {"ping": method}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        announce(port)
        await server.wait_for_termination()

    run(main())


def measure(port: int, plan: Plan) -> float:
    """``plan.load`` workers call the method over one channel, which is one connection."""

    async def main() -> float:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/bench/ping", encode, decode_pong)

            def ask(number: int) -> Awaitable[Pong]:
                return cast(Awaitable[Pong], call(Ping(number, TEXT)))

            return await rate_of_workers(ask, plan)

    return run(main())
