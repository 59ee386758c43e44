"""The dashboard's process while it runs: the feeds of several processes as one, behind a web server."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import uvicorn

import tomada
from tomada.dashboard.access import Access
from tomada.dashboard.patience import PatientProtocol
from tomada.dashboard.told import Line
from tomada.dashboard.ways import ACT, WATCH, Ways
from tomada.dashboard.web import MOST_VIEWERS, Dashboard
from tomada.endpoint import log
from tomada.errors import UNREADABLE
from tomada.feed.app import feed_app
from tomada.feed.several import Several
from tomada.server.workers.directory import DirectoryError, Outcome, ask
from tomada.settings import Deadlines, Limits

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tomada.dashboard.told import Told

_LONGEST_LINE: Final = 65_536
_DRAIN_PATIENCE: Final = 60.0
_LIMITS: Final = Limits(
    connections=2 * MOST_VIEWERS,
    connections_per_host=2 * MOST_VIEWERS,
    handshakes=2 * MOST_VIEWERS,
    handshakes_early=2 * MOST_VIEWERS,
    handlers=16,
    requests=16,
    message_bytes=65_536,
    all_buffer_bytes=67_108_864,
)
_DEADLINES: Final = Deadlines(drain=0.5, turn=float("inf"))


async def run(told: Told, channel: socket.socket, listening: list[socket.socket]) -> None:
    """Serve until whoever started this process is gone.

    Args:
        told: What to serve.
        channel: To who started it, which tells its log.
        listening: Where to accept.
    """
    folder = Path(told.folder)
    source = Several(folder, _drainer(told.control))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(source.shut)
        for name, may_act in ((WATCH, False), (ACT, True)):
            feed = tomada.serve(
                feed_app(source, may_act=may_act),
                f"unix://{folder / name}",
                limits=_LIMITS,
                deadlines=_DEADLINES,
                sessions=None,
                unix_mode=0o600,
            )
            server = await stack.enter_async_context(feed)
            stack.callback(server.cut)
        dashboard = Dashboard(Access(told), Ways(folder, source))
        web = _Web(_config(dashboard))
        listener = asyncio.create_task(_listen(channel, source.note))
        listener.add_done_callback(lambda _: web.end())
        try:
            await web.serve(listening)
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)


def _config(dashboard: Dashboard) -> uvicorn.Config:
    return uvicorn.Config(
        dashboard.application(),
        http=PatientProtocol,
        ws="websockets-sansio",
        ws_max_size=1_048_576,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=8 * MOST_VIEWERS,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=16_384,
    )


class _Web(uvicorn.Server):
    """Ends when it is told to; signals are for who started this process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield

    def end(self) -> None:
        """Answer nobody any more."""
        self.should_exit = self.force_exit = True


async def _listen(channel: socket.socket, note: Callable[[float, str, str], None]) -> None:
    """Hear the log of who started this process, until that is gone."""
    loop, rest = asyncio.get_running_loop(), b""
    with suppress(OSError):
        while data := await loop.sock_recv(channel, _LONGEST_LINE):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                rest = b""
            for line in lines:
                with suppress(*UNREADABLE):
                    told = msgspec.json.decode(line, type=Line)
                    note(told.time, told.level, told.text)


def _drainer(control: str) -> Callable[[int], asyncio.Future[bool]] | None:
    if not control:
        return None

    async def drain(worker: int) -> bool:
        return await asyncio.to_thread(_drain, Path(control), worker)

    return drain  # type: ignore[return-value] # a coroutine is as good


def _drain(control: Path, worker: int) -> bool:
    try:
        outcome = ask(control, "drain", Outcome, timeout=_DRAIN_PATIENCE, worker=worker)
    except (OSError, DirectoryError) as error:
        log.error("worker %d cannot be drained: %s", worker, error)
        return False
    if outcome.failure:
        log.error("worker %d is not drained: %s", worker, outcome.failure)
    return not outcome.failure
