"""The load of the suite of echoes, the same for all: bare protocols that send, wait for all of it, and send again."""

import asyncio
from typing import cast

from benchmarks.load import Plan, WrongReply, run

PAYLOAD = b"a line of sixty-four bytes with its end, as the players say :-)\n"


class _Player(asyncio.Protocol):
    def __init__(self) -> None:
        self.count = 0
        self._due = PAYLOAD

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(PAYLOAD)

    def data_received(self, data: bytes) -> None:
        if not self._due.startswith(data):
            raise WrongReply(f"sent {PAYLOAD!r}, got {data!r}")
        self._due = self._due[len(data) :]
        if not self._due:
            self.count += 1
            self._due = PAYLOAD
            self._transport.write(PAYLOAD)


def rate_of_echoes(port: int, plan: Plan) -> float:
    """Echoes per second over ``plan.load`` connections, one under way on each."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        players = [(await loop.create_connection(_Player, "127.0.0.1", port))[1] for _ in range(plan.load)]
        await asyncio.sleep(plan.warm_up)
        before, begun = [player.count for player in players], loop.time()
        await asyncio.sleep(plan.seconds)
        gained = [player.count - count for player, count in zip(players, before, strict=True)]
        if not all(gained):
            raise WrongReply(f"{gained.count(0)} of {plan.load} connections were not served")
        return sum(gained) / (loop.time() - begun)

    return run(main())
