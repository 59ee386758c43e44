"""A feed whose server is made up: what it tells is what a test says. Also a program, for a look by eye."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator

import msgspec

import tomada
from tomada.feed.messages import (
    Close,
    ConnectionRow,
    Drain,
    FrameRow,
    LogLine,
    Picture,
    Strike,
    Totals,
    TypeRow,
    Watch,
    WorkerRow,
)


class NotAllowed(tomada.RemoteError):
    """As the feed's own."""

    why: str


def a_connection(number: int, **changes: object) -> ConnectionRow:
    row = ConnectionRow(
        id=f"1-{number}",
        worker=1 + number % 2,
        peer=f"tcp://10.0.0.{number % 250}:{50_000 + number}",
        kind="stream" if number % 5 == 4 else "messages",
        state="open",
        address="tcp://127.0.0.1:4477",
        age=3.5 * number,
        received_messages=1_000 * number,
        sent_messages=900 * number,
        received_bytes=70_000 * number,
        sent_bytes=1_234_567 * number,
        received_rate=12.5 * number,
        sent_rate=10.0 * number,
        waiting_bytes=0,
        unacknowledged_bytes=120,
        held_bytes=0,
        credit_bytes=65_536,
        round_trip=0.000_12 * number if number % 3 else None,
        handlers=number % 4,
        requests=number % 3,
        resumed=0,
        software="tomada/0.1",
    )
    return msgspec.structs.replace(row, **changes)


class World:
    """What the made-up server is like; tests change it while it is watched."""

    def __init__(self, connections: int = 3) -> None:
        self.connections = [a_connection(number) for number in range(1, connections + 1)]
        self.types = [
            TypeRow("Transfer", 1_234, 56.0, 3, 0.1, 0.000_25, 0.004),
            TypeRow("Balance", 99, 0.4, 0, 0, None, None),
        ]
        self.workers = [
            WorkerRow(1, 4711, 3_725, "serving", 2, 0.034, 48_000_000),
            WorkerRow(2, 4712, 12, "draining", 1, 0.9, 1_000_000_000),
        ]
        self.strikes = [Strike("limit", "message_bytes", 16_777_216, 2, "tcp://10.0.0.9:4242", 12.0)]
        self.log = [LogLine(1, time.time(), "INFO", "bank listens on tcp://127.0.0.1:4477", 1)]
        self.frames: list[FrameRow] = []
        self.frames_passed_over = 0
        self.may_act = True
        self.asked: list[Watch] = []
        self.closed: list[str] = []
        self.drained: list[int] = []
        self.seconds = 3_725.0

    def state(self) -> bytes:
        """What would be told, to be compared."""
        return msgspec.msgpack.encode({name: value for name, value in vars(self).items() if name != "asked"})

    def picture(self, question: Watch, *, since: int) -> Picture:
        """What `Watch` is answered with; of the log the lines after `since`."""
        fitting = [
            row for row in self.connections if question.query.lower() in f"{row.peer} {row.state} {row.id}".lower()
        ]
        known = [row for row in fitting if getattr(row, question.sort) is not None]
        known.sort(key=lambda row: getattr(row, question.sort), reverse=question.descending)
        rows = [*known, *(row for row in fitting if row not in known)]
        looked_at = next((row for row in self.connections if row.id == question.connection), None)
        return Picture(
            time=time.time(),
            app="bank",
            addresses=["tcp://127.0.0.1:4477", "unix:///tmp/bank.sock"],
            seconds=self.seconds,
            totals=self._totals(),
            types=self.types,
            workers=self.workers,
            strikes=self.strikes,
            log=[line for line in self.log if line.number > since],
            matching=len(rows),
            connections=rows[question.first : question.first + question.count],
            looked_at=looked_at,
            frames=self.frames if looked_at else [],
            frames_passed_over=self.frames_passed_over if looked_at else 0,
            may_act=self.may_act,
        )

    def _totals(self) -> Totals:
        rows = self.connections
        messages = [row for row in rows if row.kind == "messages"]
        return Totals(
            connections=len(messages),
            streams=len(rows) - len(messages),
            handshakes=0,
            handlers=sum(row.handlers for row in rows),
            accepted=len(rows),
            opened=len(rows),
            failed=0,
            turned_away={"limit": 2},
            received_messages=sum(row.received_messages for row in rows),
            sent_messages=sum(row.sent_messages for row in rows),
            received_bytes=sum(row.received_bytes for row in rows),
            sent_bytes=sum(row.sent_bytes for row in rows),
            received_rate=sum(row.received_rate for row in messages),
            sent_rate=sum(row.sent_rate for row in messages),
            received_byte_rate=70 * sum(row.received_rate for row in messages),
            sent_byte_rate=123 * sum(row.sent_rate for row in messages),
        )


def feed_of(world: World) -> tomada.App:
    """An app that tells about `world`."""
    app = tomada.App("feed")

    @app.on
    async def watch(question: Watch) -> AsyncIterator[Picture]:
        world.asked.append(question)
        since, told = -1, b""
        while True:
            state = world.state()
            if state != told:  # otherwise the screen is left in peace
                told = state
                yield world.picture(question, since=since)
                since = max((line.number for line in world.log), default=-1)
            await asyncio.sleep(0.02)

    @app.on
    async def close(request: Close) -> bool:
        if not world.may_act:
            raise NotAllowed("open the dashboard with its token")
        before = len(world.connections)
        world.connections = [row for row in world.connections if row.id != request.connection]
        world.closed.append(request.connection)
        return len(world.connections) < before

    @app.on
    async def drain(request: Drain) -> bool:
        world.drained.append(request.worker)
        return request.worker in [worker.number for worker in world.workers]

    return app


FRAMES = (("ask", "Transfer", 33, "normal"), ("reply", "Receipt", 12, "normal"), ("send", "Freeze", 9, "urgent"))


async def live(world: World) -> None:
    """Let things happen there."""
    lines = frames = 1
    while True:
        await asyncio.sleep(0.5)
        world.seconds += 0.5
        for at, row in enumerate(world.connections):
            rate = max(0.0, row.received_rate + random.gauss(0, 8))
            world.connections[at] = msgspec.structs.replace(
                row,
                age=row.age + 0.5,
                received_messages=row.received_messages + int(rate / 2),
                received_rate=rate,
                sent_rate=rate * 0.9,
                waiting_bytes=random.choice((0, 0, 0, 1_500)),
            )
        if random.random() < 0.2:
            lines += 1
            level = random.choice(("INFO", "WARNING", "ERROR"))
            world.log.append(LogLine(lines, time.time(), level, f"what happened, number {lines}", 1 + lines % 2))
        world.frames = []
        for _ in range(random.randrange(4)):
            frames += 1
            kind, name, size, lane = random.choice(FRAMES)
            frame = FrameRow(frames / 7, kind == "ask", kind, name, frames, lane, frames, size, count=1 + frames % 3)
            world.frames.append(frame)


async def main(address: str, connections: int) -> None:
    world = World(connections)
    async with tomada.serve(feed_of(world), address) as server:
        print(*server.addresses, flush=True)  # noqa: T201 - a program
        await live(world)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
