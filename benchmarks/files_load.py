"""The load of the suite of files: one receiver for every contender, which asks for the same file again and again."""

import socket
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from benchmarks.load import Plan, WrongReply

SIZE = 1_073_741_824
_PIECE = bytes(range(256)) * 4_096


def folder_with_file() -> Path:
    """The folder with the file ``file`` in it, which is written where it is not there yet."""
    folder = Path(__file__).parent.parent / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "file"
    if not path.exists() or path.stat().st_size != SIZE:
        with path.open("wb") as file:
            for _ in range(SIZE // len(_PIECE)):
                file.write(_PIECE)
    return folder


def rate_of_files(ask: Callable[[], tuple[socket.socket, int]], plan: Plan) -> float:
    """Megabytes per second, whole files only.

    Args:
        ask: Asks for the file: the connection on which it comes, and how many of its bytes have come already.
        plan: For how long.
    """
    buffer = bytearray(1_048_576)

    def receive() -> None:
        connection, count = ask()
        with connection:
            while received := connection.recv_into(buffer):
                count += received
        if count != SIZE:
            raise WrongReply(f"{count} bytes came, the file has {SIZE}")

    def phase(seconds: float) -> float:
        begun, files = perf_counter(), 0
        while perf_counter() - begun < seconds:
            receive()
            files += 1
        return files * SIZE / 1e6 / (perf_counter() - begun)

    phase(plan.warm_up)
    return phase(plan.seconds)


def head_of(connection: socket.socket, end: bytes) -> int:
    """Receive up to ``end``; how many bytes of the file came with it."""
    head = b""
    while end not in head:
        head += connection.recv(65_536)
    return len(head.partition(end)[2])
