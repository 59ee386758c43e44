"""`tomada serve --metrics` in processes of its own: alone, with workers, and with workers that die."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

import tomada
from tests.integration.conftest import Run
from tests.integration.house import HERE, Echo, Stage, house
from tests.metrics.scraping import Scrape, fetch, scrape
from tomada import sync
from tomada.cli.main import app as cli
from tomada.metrics.beside import LAST, NOW, Beside
from tomada.metrics.crew import Crew
from tomada.metrics.families import Number, Reading

SHOP = Path(__file__).parents[1] / "cli" / "shop.py"


class Nothing(tomada.Request[None]):
    pass


class Served:
    """The command, while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.page: str = self.until("metrics")["url"]
        self.told = self.until("listening")

    def until(self, event: str) -> dict[str, Any]:
        """The next of the events that it tells of this kind."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event:
                return told
        pytest.fail(f"it ended before it told: {event}")

    def ask(self, times: int) -> None:
        """Each over a connection of its own."""
        for _ in range(times):
            with sync.connect(self.told["addresses"][0]) as client:
                client.ask(Nothing(), timeout=30)

    def scrape(self) -> Scrape:
        return scrape(self.page)

    def until_told(self, condition: Callable[[Scrape], bool]) -> Scrape:
        """Scrape until something is so, for scrapes soon after each other get the same."""
        while not condition(told := self.scrape()):
            time.sleep(0.05)
        return told


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "tomada", "serve", str(SHOP), "--bind", HERE, "--metrics", ":0", "--json", *words]
    around = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=around) as process:
        try:
            yield Served(process)
        finally:
            process.terminate()
            process.communicate(timeout=50)


def handled(told: Scrape) -> float:
    return told("tomada_request_duration_seconds_count", type="Nothing")


def test_a_server_alone(folder: Path) -> None:
    with serving(folder) as served:
        served.ask(3)
        told = served.scrape()
        assert (handled(told), told("tomada_workers"), told("tomada_connections_opened_total")) == (3, 1, 3)
        pid = served.process.pid
    assert served.process.returncode == 0
    assert f"/{pid}/" not in told.text


def test_workers_are_told_together_and_what_they_counted_outlives_them(folder: Path) -> None:
    with serving(folder, "--workers", "2") as served:
        served.ask(12)
        first = served.until_told(lambda told: handled(told) == 12)
        assert first("tomada_workers") == first("tomada_workers_started_total") == 2

        os.kill(served.told["workers"][0], signal.SIGKILL)
        served.until("worker_started")
        second = served.until_told(lambda told: (ended(told, "failed"), told("tomada_workers")) == (1, 2))
        gone_back(first, second)
        assert handled(second) == 12

        served.ask(5)
        third = served.until_told(lambda told: handled(told) == 17)
        gone_back(second, third)

        served.ask(4)  # which nobody has read when these workers end
        served.process.send_signal(signal.SIGHUP)
        served.until("reloaded")
        fourth = served.until_told(lambda told: (ended(told, "completed"), told("tomada_workers")) == (2, 2))
        gone_back(third, fourth)
        assert handled(fourth) == 21
        assert fourth("tomada_reloads_total", outcome="completed") == 1
    assert served.process.returncode == 0
    assert not list(folder.glob(f"*{NOW}"))


def ended(told: Scrape, outcome: str) -> float:
    return told("tomada_workers_ended_total", outcome=outcome)


def gone_back(before: Scrape, after: Scrape) -> None:
    """Nothing that is counted may."""
    later = after.counters
    assert [key for key, value in before.counters.items() if later.get(key, -1) < value] == []


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_a_busy_port_is_told(folder: Path, workers: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "tomada", "serve", str(SHOP), "--bind", HERE, "--metrics", place, *workers]
        around = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
        done = subprocess.run(command, capture_output=True, text=True, env=around, timeout=50, check=False)
    assert done.returncode == 3
    assert f"cannot listen on tcp://{place}" in done.stderr


def test_people_are_told_where_it_is(folder: Path) -> None:
    command = [sys.executable, "-m", "tomada", "serve", str(SHOP), "--bind", f"unix://{folder}/s", "--metrics", ":0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        line = served.stdout.readline()
        assert fetch(line.removeprefix("metrics at ").strip())[0] == 200
        served.terminate()
        served.communicate(timeout=50)


@pytest.mark.parametrize(
    ("option", "package"), [(("--metrics", ":0"), "prometheus_client"), (("--tracing",), "opentelemetry")]
)
def test_without_the_package_it_says_what_to_install(
    option: tuple[str, ...], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in tuple(sys.modules):
        if name.startswith(("tomada.metrics", "tomada.tracing", package)):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    result = CliRunner().invoke(cli, ["serve", str(SHOP), *option])
    assert result.exit_code == 2
    assert f"pip install 'tomada[{option[0].removeprefix('--')}]'" in result.stderr


# What a supervisor makes of what its workers leave.


def written(count: float) -> bytes:
    numbers = [Number("tomada_received_bytes_total", count), Number("tomada_workers", 1)]
    return msgspec.msgpack.encode(Reading(numbers, []))


def values(reading: Reading) -> tuple[float, float]:
    """Bytes and workers."""
    named = {number.name: number.value for number in reading.numbers}
    return named.get("tomada_received_bytes_total", 0), named.get("tomada_workers", 0)


def left(folder: Path) -> list[str]:
    """The names of what is there."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def crew(folder: Path) -> Iterator[Crew]:
    crew = Crew(folder)
    yield crew
    crew.close()


def test_of_a_worker_that_ended_the_last_reading_counts_once(run: Run, folder: Path, crew: Crew) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server:
            beside = await Beside.begin(folder, server)
            async with tomada.connect(server.addresses[0]) as client:
                await client.ask(Echo(b"x"))
                bytes_, workers = values(await crew.read())
                assert workers == 1
                await client.ask(Echo(b"y"))
            await beside.close()
            for _ in range(2):
                assert values(await crew.read())[1] == 0
                assert values(await crew.read())[0] == client.statistics().sent_bytes > bytes_
        assert left(folder) == []

    run(main())


def test_of_one_that_was_killed_what_it_told_last_counts(run: Run, folder: Path, crew: Crew) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server:
            beside = await Beside.begin(folder, server)
            async with tomada.connect(server.addresses[0]) as client:
                await client.ask(Echo(b"x"))
            known = values(await crew.read())
            assert beside._served is not None
            beside._served.close()  # as the system does
            beside._reader.close()
            assert [values(await crew.read()) for _ in range(2)] == [(known[0], 0)] * 2
            assert left(folder) == []

    run(main())


def test_of_one_that_was_killed_before_it_was_read_nothing_is_left(run: Run, folder: Path, crew: Crew) -> None:
    """Else each reading would ask all that ever were."""

    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as own:
            own.bind(f"{folder}/1{NOW}")
        assert values(await crew.read()) == (0, 0)
        assert left(folder) == []

    run(main())


def test_one_that_does_not_answer_goes_on_with_what_it_told(
    run: Run, folder: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tomada.metrics.crew._PATIENCE", 0.05)
    says = [written(7)]

    async def main() -> None:
        go_on, has_gone_on = asyncio.Event(), asyncio.Event()

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if says:
                writer.write(says.pop())
            else:
                await go_on.wait()
                has_gone_on.set()
            writer.close()

        async with await asyncio.start_unix_server(answer, folder / f"1{NOW}"):
            assert values(await crew.read()) == (7, 1)
            assert values(await crew.read()) == (7, 1)
            go_on.set()
            await has_gone_on.wait()

    run(main())


@pytest.mark.parametrize("words", [b"", b"\xc1", b"\x92\x90", msgspec.msgpack.encode([[["a"]], []]), bytes(1 << 20)])
def test_what_makes_no_sense_is_passed_over(run: Run, folder: Path, crew: Crew, words: bytes) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        writer.close()

    async def main() -> None:
        async with await asyncio.start_unix_server(answer, folder / f"1{NOW}"):
            assert values(await crew.read()) == (0, 0)
        (folder / f"1{LAST}").write_bytes(words)
        assert values(await crew.read()) == (0, 0)
        assert f"1{LAST}" not in left(folder)

    run(main())


def test_one_that_tells_without_end_is_given_up(
    run: Run, folder: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tomada.metrics.crew._LONGEST", 1_000)

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(2_000))
        writer.close()

    async def main() -> None:
        async with await asyncio.start_unix_server(answer, folder / f"1{NOW}"):
            assert values(await crew.read()) == (0, 0)

    run(main())


def test_a_last_reading_that_cannot_be_left_is_told(run: Run, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE) as server:
            beside = await Beside.begin(folder, server)
            shutil.rmtree(folder)
            await beside.close()

    run(main())
    folder.mkdir()  # the fixture takes it away
    assert "what was counted since the metrics were read last is lost" in caplog.text
