"""Runs the programs of ``tomada trace``: unchanged, each with the recorder in it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import tomada_recorder
from tomada.cli.output import UsageError
from tomada_recorder.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tomada.recording.file import Record

_STARTUP: Final = Path(tomada_recorder.__file__).parent / "startup"
_LOOK: Final = 0.05
"""Seconds between two looks at the recording while programs run."""
_BOUND: Final = 0.5
"""Seconds after which a program that has bound a stream socket counts as listening: uvloop listens unseen."""


def command_of(words: Sequence[str], python: str) -> list[str]:
    """The command that runs a program: a Python file, ``-m`` and a module, or a command on the path.

    Raises:
        UsageError: There is no such file and no such command.
    """
    name = words[0]
    if name.startswith("-"):
        return [python, *words]
    if Path(name).is_file() and (name.endswith(".py") or not os.access(name, os.X_OK)):
        return [python, *words]
    if name.endswith(".py"):
        raise UsageError(f"there is no file {name}")
    found = shutil.which(name)
    if found is None:
        raise UsageError(f"there is no file and no command {name}: trace a Python file, or -m and a module")
    return [found, *words[1:]]


def split(words: str) -> list[str]:
    """A command as it is written in one argument.

    Raises:
        UsageError: It is none.
    """
    try:
        found = shlex.split(words)
    except ValueError as error:
        raise UsageError(f"--with {words!r} is no command: {error}") from None
    if not found:
        raise UsageError("--with needs a program: --with 'client.py 50007'")
    return found


def environment(recording: Path, most_bytes: int, data_bytes: int) -> dict[str, str]:
    """What makes a Python record."""
    path = [str(_STARTUP), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "TOMADA_TRACE": str(recording.absolute()),  # processes of the program's may begin in other folders
        "TOMADA_TRACE_MOST": str(most_bytes),
        "TOMADA_TRACE_DATA": str(data_bytes),
    }


class Programs:
    """The programs while they run.

    Args:
        recording: Where they record.
        environ: Theirs.
        output: Where their standard output goes; None: where the command's own goes.
    """

    def __init__(self, recording: Path, environ: dict[str, str], output: int | None = None) -> None:
        self._environ = environ
        self._output = output
        self._writer = Writer(str(recording))
        self._running: list[subprocess.Popen[bytes]] = []
        self._told: set[int] = set()
        self._interrupts = 0
        self._bound_at: float | None = None
        self.is_listening = False
        """Whether one of them waits for callers."""

    def start(self, command: list[str]) -> None:
        """Start one; only the first may read the standard input.

        Raises:
            UsageError: The system cannot start it.
        """
        stdin = None if not self._running else subprocess.DEVNULL
        try:
            process = subprocess.Popen(command, env=self._environ, stdin=stdin, stdout=self._output)  # noqa: S603 - the user's own
        except OSError as error:
            raise UsageError(f"{command[0]} cannot be started: {error.strerror or error}") from None
        self._running.append(process)

    def heard(self, record: Record) -> None:
        """Notice when somebody listens."""
        if record["kind"] != "call" or record.get("error"):
            return
        if record.get("call") == "listen":
            self.is_listening = True
        elif record.get("call") == "bind" and self._bound_at is None:
            self._bound_at = time.monotonic()

    def run_until(self, is_done: Callable[[], bool], look: Callable[[], None]) -> None:
        """Wait until `is_done`, and look at the recording meanwhile."""
        while True:
            look()
            self._tell_ends()
            if is_done():
                return
            time.sleep(_LOOK)

    def is_ready(self) -> bool:
        """Whether callers can come, or the first program has ended without ever listening."""
        has_bound = self._bound_at is not None and time.monotonic() >= self._bound_at + _BOUND
        return self.is_listening or has_bound or self.have_ended(0, 1)

    def have_ended(self, first: int = 0, last: int | None = None) -> bool:
        """Whether those programs have ended."""
        return all(process.poll() is not None for process in self._running[first:last])

    def interrupt(self) -> None:
        """Ask the first program to end, as Ctrl-C does."""
        self._signal(self._running[:1], signal.SIGINT)

    @property
    def exit_code(self) -> int:
        """That of the first program, as a shell gives it."""
        code = self._running[0].poll()
        return 1 if code is None else code if code >= 0 else 128 - code

    @contextmanager
    def signals_passed(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM end the programs, and this command after them; a second Ctrl-C ends all at once."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self.kill()

    def kill(self) -> None:
        """End what still runs, without asking."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait()
        self._tell_ends()
        self._writer.close()

    def _on_signal(self, number: int, _frame: object) -> None:
        if number == signal.SIGINT:
            self._interrupts += 1
            if self._interrupts > 1:
                raise KeyboardInterrupt
        if number != signal.SIGINT or not _terminal_tells_all():
            self._signal(self._running, number)

    @staticmethod
    def _signal(processes: list[subprocess.Popen[bytes]], number: int) -> None:
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    def _tell_ends(self) -> None:
        """Write down how those have ended that are over: they cannot always do it themselves."""
        for process in self._running:
            code = process.poll()
            if code is not None and process.pid not in self._told:
                self._told.add(process.pid)
                how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
                text = '{"kind":"exit","pid":%d,"at":%d,"how":"%s"}\n'
                self._writer.write((text % (process.pid, time.monotonic_ns(), how)).encode())


def _terminal_tells_all() -> bool:
    """Whether Ctrl-C at the terminal has reached the programs, too: they are of the same process group."""
    try:
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False
