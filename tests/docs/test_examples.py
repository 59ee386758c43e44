"""What the documents show is run, in order, in a folder of its own; what they say it prints, it prints."""

import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.examples.classics.conftest import tool

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "docs/tutorial/first-steps.md",
    "docs/tutorial/from-a-socket.md",
    "docs/how-to/bring-your-own-protocol.md",
    "docs/how-to/byte-streams.md",
    "docs/how-to/dashboard.md",
    "docs/how-to/datagrams.md",
    "docs/how-to/ports.md",
    "docs/how-to/record.md",
    "docs/how-to/tcp.md",
    "docs/how-to/telemetry.md",
    "docs/how-to/diagrams.md",
    "docs/how-to/production.md",
    "docs/how-to/metrics.md",
    "docs/how-to/tracing.md",
    "docs/how-to/telemetry.md",
    "docs/how-to/tls.md",
    "docs/how-to/trace.md",
    "docs/how-to/unix-sockets.md",
    "docs/how-to/websocket.md",
    "docs/how-to/browser.md",
    "docs/how-to/streams.md",
    "docs/how-to/try-it.md",
    "docs/how-to/test-without-sockets.md",
    "docs/how-to/bad-network.md",
    "docs/how-to/bad-network-tests.md",
    "docs/how-to/add-a-transport.md",
    "docs/how-to/write-a-session-store.md",
]
PORT = "4477"
DASHBOARD = "4480"


def blocks(text: str) -> Iterator[tuple[str, str]]:
    yield from re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(body: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def timeless(output: str) -> str:
    """Without how long it took, and without process ids."""
    return re.sub(r" in [0-9.]+ ?s\b|\b(?<=process )[0-9]+|(?<=processes )[0-9, ]+", "", output.strip())


def arguments(command: str) -> list[str]:
    program, *rest = shlex.split(command)
    if program not in ("tomada", "python"):
        return [tool(program), *rest]
    return [sys.executable, *(["-m", "tomada"] if program == "tomada" else []), *rest]


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return str(listening.getsockname()[1])


class Documented:
    """Runs a document's commands; each server that it starts gets a free port in place of the documented one."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.port = free_port()
        self.dashboard = free_port()
        self.files: dict[str, str] = {}

    def file(self, body: str) -> None:
        name = re.match(r"# (\w+\.py)\n", body)
        if name is not None:
            self.files[name[1]] = body
            (self.folder / name[1]).write_text(self.moved(body))

    def moved(self, text: str) -> str:
        return text.replace(PORT, self.port).replace(DASHBOARD, self.dashboard)

    def documented(self, text: str) -> str:
        return text.replace(self.port, PORT).replace(self.dashboard, DASHBOARD)

    def run(self, command: str) -> str:
        if command.startswith("tomada serve") or command.endswith(" &"):
            return self.serve(command.removesuffix(" &"))
        words = [self.moved(word) for word in arguments(command)]
        done = subprocess.run(words, cwd=self.folder, text=True, capture_output=True, timeout=30, check=False)
        return self.documented(done.stdout + done.stderr)

    def serve(self, command: str) -> str:
        self.port = free_port()
        for body in tuple(self.files.values()):
            self.file(body)
        has_address = "--bind" in command or any("@app.stream" in self.files.get(word, "") for word in command.split())
        if command.startswith("tomada") and not has_address:
            command += f" --bind tcp://127.0.0.1:{PORT}"
        words = arguments(self.moved(command))
        server = subprocess.Popen(words, cwd=self.folder, text=True, stdout=subprocess.PIPE)
        self.stack.callback(server.wait)
        self.stack.callback(server.terminate)
        assert server.stdout is not None
        self.stack.enter_context(server.stdout)
        lines = []
        for line in server.stdout:
            lines.append(line)
            if "Ctrl-C" in line or not command.startswith("tomada"):
                break
        return self.documented("".join(lines))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_examples_print_what_the_document_says(
    document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / document).read_text()
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    ran = 0
    with ExitStack() as stack:
        documented = Documented(tmp_path, stack)
        for language, body in blocks(text):
            if language == "python":
                documented.file(body)
            elif language == "console":
                for command, expected in commands(body):
                    assert timeless(documented.run(command)) == timeless(expected), command
                    ran += 1
    assert ran >= 1, "a document without commands is not tested"
