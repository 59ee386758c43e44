"""Answers all clients in one thread; ends after as many clients as it is told."""

import asyncio
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 50007
CLIENTS = int(sys.argv[2]) if len(sys.argv) > 2 else 2


async def main() -> None:
    answered = asyncio.Semaphore(0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(1024)
        writer.write(data.upper())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        answered.release()

    async with await asyncio.start_server(answer, "127.0.0.1", PORT):
        for _ in range(CLIENTS):
            await answered.acquire()


asyncio.run(main())
