"""tomada's ``Stream.send_file``."""

import asyncio
import socket
from collections.abc import Callable

import tomada
from benchmarks.files_load import folder_with_file, rate_of_files
from benchmarks.load import Plan, run


def serve(announce: Callable[[int], None]) -> None:
    """Send the file to whoever asks, by a line."""
    app = tomada.App("files")
    folder = folder_with_file()

    @app.stream("tcp://127.0.0.1:0")
    async def send(stream: tomada.Stream) -> None:
        name = await stream.receive_until(b"\n")
        await stream.send_file(folder / name.decode())

    async def main() -> None:
        async with tomada.serve(app) as server:
            announce(server.addresses[0].port or 0)
            await asyncio.Event().wait()

    run(main())


def measure(port: int, plan: Plan) -> float:
    """Ask by a line."""

    def ask() -> tuple[socket.socket, int]:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"file\n")
        return connection, 0

    return rate_of_files(ask, plan)
