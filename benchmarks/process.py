"""Servers and clients as processes: started pinned, read with a deadline, killed in every case."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from benchmarks.load import Plan
from benchmarks.machine import CLIENT_CORE, SERVER_CORE

ROOT = Path(__file__).parent.parent
PATIENCE = 15.0
"""Seconds that a process may need beyond its plan before it is taken for stuck and killed (exit status -9)."""


class ContenderFailed(Exception):
    """A server or a client crashed, was stuck, or found a wrong reply; the text is the last it wrote."""


class Side:
    """One end of a measurement. Use it as a context manager: it kills the process on leaving."""

    def __init__(self, core: int | None, *arguments: str) -> None:
        pinned = () if core is None else ("--core", str(core))
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed on leaving, with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.side", *pinned, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the run, which then kills its sides
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # with those that it has started, such as nginx
        self._process.communicate()
        self._errors.close()

    def line(self, seconds: float) -> str:
        """The next line the process prints; raises ContenderFailed when there is none within ``seconds``."""
        late = threading.Timer(seconds, self._process.kill)
        late.start()
        try:
            line = cast("IO[str]", self._process.stdout).readline()
        finally:
            late.cancel()
        if not line:
            raise ContenderFailed(self._last_words())
        return line

    def epitaph(self) -> str:
        """What the other end's failure may come from: how this process ended, or nothing if it still runs."""
        return "" if self._process.poll() is None else f"; server: {self._last_words()}"

    def _last_words(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        said = [line.strip(" |+-") for line in self._errors if line.strip(" |+-\n")]
        return f"{said[-1].rstrip() if said else 'silent'} (exit status {status})"


def measure(name: str, plan: Plan, *, pinned: bool = True) -> float:
    """The rate of contender ``name``, with a server and a client started for this one measurement."""
    with Side(SERVER_CORE if pinned else None, "serve", name) as server:
        port = server.line(PATIENCE).strip()
        load = (f"--load={plan.load}", f"--warm-up={plan.warm_up}", f"--seconds={plan.seconds}")
        with Side(CLIENT_CORE if pinned else None, "measure", name, port, *load) as client:
            try:
                return float(client.line(plan.warm_up + plan.seconds + PATIENCE))
            except ContenderFailed as error:
                raise ContenderFailed(f"client: {error}{server.epitaph()}") from error
