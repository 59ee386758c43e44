"""Runs programs with the recorder in them, and looks at what was recorded."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tomada.cli.tracing import environment
from tomada.diagrams import Arrow, Sequence, Step
from tomada.recording import load
from tomada.recording.file import Reader, Record
from tomada.recording.reading import Recording
from tomada_recorder.writer import MOST_BYTES, begin

EXAMPLES = Path(__file__).parents[2] / "examples" / "trace"
DEADLINE = 40


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class Rig:
    """One recording, and the programs that write it."""

    def __init__(self, folder: Path, *, data: int = 128, most: int = MOST_BYTES, strace: bool = False) -> None:
        self.folder = folder
        self.path = folder / "recording"
        self.data, self.most, self.strace = data, most, strace
        self._running: list[subprocess.Popen[str]] = []
        begin(str(self.path), most)

    def command(self, *words: str) -> list[str]:
        traced = [str(shutil.which("strace")), "-f", "-qq", "-e", "trace=network", "-o", str(self.folder / "strace")]
        number = len(self._running)
        return [*([*traced[:-1], f"{traced[-1]}.{number}"] if self.strace else []), sys.executable, *words]

    def start(self, *words: str, reads: bool = False) -> subprocess.Popen[str]:
        """Begin a program: the name of an example, or what Python is given."""
        first = str(EXAMPLES / words[0]) if (EXAMPLES / words[0]).is_file() else words[0]
        process = subprocess.Popen(
            self.command(first, *words[1:]),
            env={**environment(self.path, self.most, self.data), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
            cwd=self.folder,
            text=True,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def run(self, *words: str) -> str:
        """Run a program to its end; what it printed."""
        process = self.start(*words)
        output, errors = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, errors
        return output

    def code(self, name: str, text: str) -> str:
        """A program of a test's own."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def wait_for(self, is_it: Callable[[Record], bool]) -> Record:
        """The first record of that kind, as soon as it is there."""
        deadline = time.monotonic() + DEADLINE
        with Reader(self.path) as reader:
            while time.monotonic() < deadline:
                for record in reader.records():
                    if is_it(record):
                        return record
                time.sleep(0.01)
        raise AssertionError(f"it was not recorded: {self.path.read_text()}")

    def wait_for_call(self, name: str, *, kind: str = "call") -> Record:
        return self.wait_for(lambda record: record["kind"] == kind and record["call"] == name)

    def end(self, process: subprocess.Popen[str]) -> None:
        """Wait until it has ended well."""
        _, errors = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, errors

    def serve(self, server: list[str], *clients: list[str], ready: str = "listen") -> Told:
        """Run a server, then clients one after the other, then tell."""
        process = self.start(*server)
        self.wait_for_call(ready)
        for client in clients:
            self.run(*client)
        self.end(process)
        return self.told()

    def records(self) -> list[Record]:
        """All records so far."""
        with Reader(self.path) as reader:
            return list(reader.records())

    def told(self) -> Told:
        return Told(load(self.path))

    def close(self) -> None:
        for process in self._running:
            with suppress(ProcessLookupError):
                # Also what strace runs, and what a program has forked: it holds the pipes open.
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=DEADLINE)


@contextmanager
def rig(folder: Path, *, data: int = 128, most: int = MOST_BYTES, strace: bool = False) -> Iterator[Rig]:
    made = Rig(folder, data=data, most=most, strace=strace)
    try:
        yield made
    finally:
        made.close()


class Told:
    """A recording, and its sequence in words that tests compare."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.sequence: Sequence = recording.sequence()

    def lanes(self, program: str) -> list[int]:
        return [number for number, lane in enumerate(self.sequence.lanes) if lane.group.startswith(program)]

    def steps(self, program: str, *names: str) -> list[Step]:
        """The calls of a program, of those names."""
        lanes = self.lanes(program)
        return [step for step in self.sequence.steps if step.lane in lanes and (not names or name_of(step) in names)]

    def names(self, program: str, *names: str) -> list[str]:
        return [name_of(step) for step in self.steps(program, *names)]

    def arrows(self) -> list[tuple[str, str, int]]:
        """From which call to which, by program and name, and how many bytes."""
        return [(self._end(arrow.source), self._end(arrow.target), arrow.size) for arrow in self.sequence.arrows]

    def ends(self, arrow: Arrow) -> tuple[Step, Step]:
        return self.sequence.steps[arrow.source], self.sequence.steps[arrow.target]

    def _end(self, place: int) -> str:
        step = self.sequence.steps[place]
        program = self.sequence.lanes[step.lane].group.partition(" (")[0]
        return f"{program} {name_of(step)}"


def name_of(step: Step) -> str:
    return step.text.partition("(")[0]
