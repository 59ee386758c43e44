"""Files to streams: within the kernel where it can, else in pieces read beside the loop."""

from __future__ import annotations

import os
import stat
from typing import IO, TYPE_CHECKING, Final

from tomada.errors import ConnectionLost, FileChanged, LimitExceeded
from tomada.transports import sendfile

if TYPE_CHECKING:
    from tomada.streams.flow import Flow

_PIECE: Final = 262_144


async def send_file(flow: Flow, file: str | os.PathLike[str] | IO[bytes], offset: int, count: int | None) -> int:
    """See `Stream.send_file`."""
    if offset < 0 or (count is not None and count < 0):
        raise ValueError(f"offset is {offset} and count {count}: neither may be below 0")
    if isinstance(file, (str, os.PathLike)):
        number = await flow.loop.run_in_executor(None, _open, file)
        try:
            return await _send(flow, number, os.fspath(file), offset, count)
        finally:
            os.close(number)
    return await _send(flow, file.fileno(), str(getattr(file, "name", "the file")), offset, count)


def _open(path: str | os.PathLike[str]) -> int:
    # A named pipe would keep the opening waiting for a writer.
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise IsADirectoryError(f"{os.fspath(path)} is no regular file: only those can be sent")
    return number


async def _send(flow: Flow, number: int, name: str, offset: int, count: int | None) -> int:
    size = os.fstat(number).st_size
    if count is None:
        count = max(0, size - offset)
    if offset + count > size:
        raise LimitExceeded(f"{name} has {size} bytes: {count} from byte {offset} on are not there")
    async with flow.exclusively():
        by_kernel = sendfile.can_send_file(flow.transport)
        sent = await (_by_kernel if by_kernel else _in_pieces)(flow, number, offset, count)
    if sent < count:
        raise FileChanged(f"{name} became shorter while it was sent: {sent} of {count} bytes went to {flow.peer}")
    return sent


async def _by_kernel(flow: Flow, number: int, offset: int, count: int) -> int:
    await flow.writable(None, empty=True)
    try:
        return await sendfile.send_file(
            flow.transport, number, offset, count, timeout=flow.deadlines.progress, sent=flow.has_sent
        )
    except TimeoutError:
        flow.cut_for_no_progress()
        raise ConnectionLost(flow.lost) from None
    except OSError as error:
        flow.cut(f"the connection was lost: {error}")
        raise ConnectionLost(flow.lost) from error


async def _in_pieces(flow: Flow, number: int, offset: int, count: int) -> int:
    sent = 0
    while sent < count:
        piece = await flow.loop.run_in_executor(None, os.pread, number, min(_PIECE, count - sent), offset + sent)
        if not piece:
            break
        flow.write(piece)
        await flow.writable(None)
        sent += len(piece)
    return sent
