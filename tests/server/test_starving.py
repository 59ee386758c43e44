"""A process that has no descriptor left goes on serving, lets callers go, and recovers by itself."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tomada
import tomada.sync
from tests.integration.processes import environment
from tests.server.starving import CALM, PAUSE, Give, Ping, Take

PROGRAM = Path(__file__).with_name("starving.py")
SHORT = 1.0
"""Seconds for which there are no descriptors."""


class Bystander:
    """Asks all the time, and must not notice anything."""

    def __init__(self, client: tomada.sync.Connection) -> None:
        self.client = client
        self.asked = 0
        self.slowest = 0.0
        self.leaving = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.leaving.is_set():
            begun = time.monotonic()
            assert self.client.ask(Ping(self.asked), timeout=20) == self.asked
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.asked += 1
            self.leaving.wait(0.01)


@contextmanager
def bystander(address: str) -> Iterator[Bystander]:
    with tomada.sync.connect(address) as client:
        healthy = Bystander(client)
        healthy.thread.start()
        try:
            yield healthy
        finally:
            healthy.leaving.set()
            healthy.thread.join()


@contextmanager
def starving(loop: str, address: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    pipe = subprocess.PIPE
    command = [sys.executable, str(PROGRAM), loop, address]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment()) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def refused(address: str) -> float:
    """Seconds until a caller heard that it is not served."""
    begun = time.monotonic()
    with pytest.raises(tomada.TomadaError):
        tomada.sync.connect(address, deadlines=tomada.Deadlines(handshake=20))
    return time.monotonic() - begun


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("scheme", ["tcp", "unix"])
def test_without_descriptors_callers_are_let_go_and_service_comes_back(
    loop: str, scheme: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = "tcp://127.0.0.1:0" if scheme == "tcp" else f"unix://{tmp_path_factory.mktemp('s')}/s.sock"
    with starving(loop, here) as (process, address):
        with bystander(address) as healthy, tomada.sync.connect(address) as client:
            assert client.ask(Take()) > 10
            until = time.monotonic() + SHORT
            waits = []
            while time.monotonic() < until:
                waits.append(refused(address))
            assert len(waits) >= 2
            assert max(waits) < 2, "a pause, and something for a slow machine"
            used = client.ask(Give())
            assert used < SHORT / 2, "it does not spin"
            with tomada.sync.connect(address, wait=20) as again:
                assert again.ask(Ping(7)) == 7
            time.sleep(2 * CALM)  # so long it must go well before it says so
        assert healthy.asked > 20
        said = process.communicate(timeout=30)[1].splitlines()
        lines = [line for line in said if "accepted" in line]
        assert [line.partition(" ")[0] for line in lines] == ["ERROR", "WARNING"], said
        assert lines[0] == (
            f"ERROR {address}: no connection can be accepted: Too many open files (this process has as many as it may: "
            f"raise its limit, or lower Limits.connections); trying again every {PAUSE} s"
        )
        assert f"{address}: connections are accepted again after " in lines[1]
        assert f"; {len(waits)} were dropped" in lines[1]
