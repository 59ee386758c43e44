"""`tomada serve --workers` in a process of its own, and what it says."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, Self

import tomada
import tomada.sync

FARM = Path(__file__).with_name("farm.py")
HERE = "tcp://127.0.0.1:0"
PATIENCE = 100.0
_INHERITED = ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "RUNTIME_DIRECTORY")


class Silence(Exception):
    """What was waited for was not said; the text is what was."""


def farm(folder: Path, **values: object) -> Path:
    """A copy of the application, with other values for its constants."""
    copy = folder / "farm.py"
    shutil.copy(FARM, copy)
    change(copy, **values)
    return copy


def change(file: Path, **values: object) -> None:
    """Edit constants."""
    lines = file.read_text().splitlines(keepends=True)
    for name, value in values.items():
        at = next(at for at, line in enumerate(lines) if line.startswith(f"{name} = "))
        lines[at] = f"{name} = {value!r}\n"
    file.write_text("".join(lines))
    # Two edits within one second, of the same length, look alike to the cache of compiled files.
    shutil.rmtree(file.parent / "__pycache__", ignore_errors=True)


class Supervised:
    """A running command, whose lines are JSON. Kills what is left of it, and its errors are in `errors`."""

    def __init__(
        self, folder: Path, *words: str, command: str = "serve", environment: dict[str, str] | None = None
    ) -> None:
        words = words if command in words else (command, *words)
        self._errors = folder / "errors.txt"
        self._seen: list[dict[str, Any]] = []
        self._rest = b""
        kept = {name: value for name, value in os.environ.items() if name not in _INHERITED}
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                self.command(*words, "--json"),
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env={**kept, "XDG_RUNTIME_DIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
                pass_fds=self.descriptors(),
                start_new_session=True,
            )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.process.stdout, selectors.EVENT_READ)

    def command(self, *words: str) -> list[str]:
        """What is started."""
        return [sys.executable, "-m", "tomada", *words]

    def descriptors(self) -> list[int]:
        """What it inherits."""
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._selector.close()

    def said(self, event: str, **fields: object) -> dict[str, Any]:
        """The next line of that event with those fields; others are passed over."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for at, line in enumerate(self._seen):
                if line.get("event") == event and all(line.get(name) == value for name, value in fields.items()):
                    del self._seen[: at + 1]
                    return line
            if not self._read(deadline):
                raise Silence(f"{event} {fields}: {self._seen}\n{self.errors}")

    def _read(self, deadline: float) -> bool:
        assert self.process.stdout is not None
        if not self._selector.select(max(0, deadline - time.monotonic())):
            return False
        data = os.read(self.process.stdout.fileno(), 65_536)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._seen += [json.loads(line) for line in lines]
        return bool(data)

    def listening(self) -> str:
        """The first address."""
        return str(self.said("listening")["addresses"][0])

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """The exit status."""
        return self.process.wait(PATIENCE)

    def rest(self) -> list[dict[str, Any]]:
        """What it still says, up to its end."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self._seen

    @property
    def errors(self) -> str:
        """What it has written to standard error."""
        return self._errors.read_text()

    def children(self) -> list[int]:
        """The processes that it has, zombies included."""
        return children(self.process.pid)


class Call:
    """A call that waits in a thread of its own; its handler, a `Nap` or a `Block`, has begun."""

    def __init__(self, place: Path, client: tomada.sync.Connection, request: tomada.Request[int]) -> None:
        self._outcome: int | Exception = -1
        self._thread = Thread(target=self._run, args=(client, request))
        begun = place / "begun"
        begun.unlink(missing_ok=True)
        self._thread.start()
        until(begun.exists)

    def _run(self, client: tomada.sync.Connection, request: tomada.Request[int]) -> None:
        try:
            self._outcome = client.ask(request)
        except tomada.TomadaError as error:
            self._outcome = error

    def answer(self) -> int | Exception:
        self._thread.join(PATIENCE)
        return self._outcome


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def is_there(pid: int) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Any) -> None:
    """Wait until something that the system does has happened."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
