from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.integration.conftest import Run
from tests.streams.pairs import HASTE, HERE, SMALL, paired, until
from tomada import BufferFull, ConnectionLost, FileChanged, LimitExceeded, Stream
from tomada.transports import sendfile

DATA = random.Random(3).randbytes(3_000_000)


@pytest.fixture(params=["tcp", "unix", "in pieces"])
def address(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "in pieces":
        monkeypatch.setattr(sendfile, "can_send_file", lambda _: False)
    return f"unix://{folder}/app.sock" if request.param == "unix" else HERE


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    return path


async def received(stream: Stream) -> bytes:
    return b"".join([chunk async for chunk in stream])


def test_a_file_and_parts_of_it(run: Run, address: str, file: Path) -> None:
    async def main() -> None:
        async with paired(address) as (near, far), asyncio.TaskGroup() as group:
            receiving = group.create_task(received(near))
            await far.send(b"<")
            assert await far.send_file(file) == len(DATA)
            assert await far.send_file(str(file), 1_000_000, 500_000) == 500_000
            with file.open("rb") as opened:
                opened.seek(5)
                assert await far.send_file(opened, 2_999_999) == 1
                assert opened.tell() == 5
            assert await far.send_file(file, count=0) == 0
            await far.send(b">")
            await far.shutdown()
            assert await receiving == b"<" + DATA + DATA[1_000_000:1_500_000] + DATA[-1:] + b">"

    run(main())


def test_what_others_send_meanwhile_goes_after_it(run: Run, address: str, file: Path) -> None:
    async def main() -> None:
        async with paired(address) as (near, far), asyncio.TaskGroup() as group:
            group.create_task(far.send_file(file))
            await until(lambda: far.flow._file)
            with pytest.raises(BufferFull, match="a file is being sent"):
                far.send_nowait(b"x")
            others = [far.send(b"after"), far.send_file(file, 0, 10)]
            receiving = group.create_task(received(near))
            await asyncio.gather(*others)
            await far.shutdown()
            whole = await receiving
            assert whole[: len(DATA)] == DATA
            assert whole[len(DATA) :] in (b"after" + DATA[:10], DATA[:10] + b"after")

    run(main())


def test_what_is_no_file_is_refused_and_nothing_is_sent(run: Run, address: str, tmp_path: Path) -> None:
    async def main() -> None:
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "short").write_bytes(b"short")
        async with paired(address) as (near, far):
            with pytest.raises(FileNotFoundError):
                await far.send_file(tmp_path / "nothing")
            for path in (tmp_path, tmp_path / "pipe"):
                with pytest.raises(IsADirectoryError, match="is no regular file"):
                    await far.send_file(path)
            with pytest.raises(LimitExceeded, match="short has 5 bytes: 4 from byte 2 on are not there"):
                await far.send_file(tmp_path / "short", 2, 4)
            with pytest.raises(ValueError, match="neither may be below 0"):
                await far.send_file(tmp_path / "short", -1)
            await far.send(b"sound")
            assert await near.receive() == b"sound"

    run(main())


def test_a_file_that_shrinks_is_told(run: Run, address: str, file: Path) -> None:
    async def main() -> None:
        os.truncate(file, 50_000_000)
        async with paired(address, limits=SMALL) as (near, far):
            sending = asyncio.create_task(far.send_file(file))
            await near.receive_exactly(100_000)
            os.truncate(file, 1_000)
            receiving = asyncio.create_task(received(near))
            with pytest.raises(FileChanged, match=r"data became shorter while it was sent: \d+ of 50000000 bytes went"):
                await sending
            far.abort()
            near.abort()
            with pytest.raises(ConnectionLost):
                await receiving

    run(main())


def test_a_peer_that_takes_nothing_or_goes_ends_it(run: Run, address: str, file: Path) -> None:
    async def main() -> None:
        os.truncate(file, 100_000_000)
        async with paired(address, deadlines=HASTE, limits=SMALL) as (_, far):
            with pytest.raises(ConnectionLost, match="took nothing of what was sent"):
                await far.send_file(file)
        async with paired(address, limits=SMALL) as (near, far):
            sending = asyncio.create_task(far.send_file(file))
            await near.receive_exactly(100_000)
            near.abort()
            with pytest.raises(ConnectionLost, match=r"lost|closed"):
                await sending

    run(main())


def test_it_can_be_cancelled(run: Run, address: str, file: Path) -> None:
    async def main() -> None:
        os.truncate(file, 100_000_000)
        async with paired(address, limits=SMALL) as (near, far):
            sending = asyncio.create_task(far.send_file(file))
            await near.receive_exactly(100_000)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert far.flow._file is None

    run(main())
