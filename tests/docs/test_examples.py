"""What the documents show is run, in order, in a folder of its own; what they say it prints, it prints."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "docs/tutorial/first-steps.md",
    "docs/how-to/datagrams.md",
    "docs/how-to/tcp.md",
    "docs/how-to/tls.md",
    "docs/how-to/unix-sockets.md",
    "docs/how-to/websocket.md",
    "docs/how-to/browser.md",
    "docs/how-to/test-without-sockets.md",
    "docs/how-to/add-a-transport.md",
]
PORT = "4477"


def blocks(text: str) -> Iterator[tuple[str, str]]:
    yield from re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(body: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def timeless(output: str) -> str:
    """Without how long pytest took."""
    return re.sub(r" in [0-9.]+s$", "", output.strip())


def arguments(command: str) -> list[str]:
    program, *rest = shlex.split(command)
    return [sys.executable, *(["-m", "tomada"] if program == "tomada" else []), *rest]


class Documented:
    """Runs a document's commands; each server that it starts gets a free port in place of the documented one."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.port = PORT

    def file(self, body: str) -> None:
        name = re.match(r"# (\w+\.py)\n", body)
        if name is not None:
            (self.folder / name[1]).write_text(body)

    def run(self, command: str) -> str:
        if command.startswith("tomada serve"):
            free = command.replace(f":{PORT}", ":0")
            return self.serve(free if "--bind" in free else free + " --bind tcp://127.0.0.1:0")
        words = [word.replace(f":{PORT}", f":{self.port}") for word in arguments(command)]
        done = subprocess.run(words, cwd=self.folder, text=True, capture_output=True, timeout=30, check=False)
        return (done.stdout + done.stderr).replace(f":{self.port}", f":{PORT}")

    def serve(self, command: str) -> str:
        server = subprocess.Popen(arguments(command), cwd=self.folder, text=True, stdout=subprocess.PIPE)
        self.stack.callback(server.wait)
        self.stack.callback(server.terminate)
        assert server.stdout is not None
        self.stack.enter_context(server.stdout)
        lines = []
        for line in server.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        output = "".join(lines)
        self.port = re.findall(r":(\d+)", output)[0]
        return output.replace(f":{self.port}", f":{PORT}")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_examples_print_what_the_document_says(
    document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / document).read_text()
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    ran = 0
    with ExitStack() as stack:
        documented = Documented(tmp_path, stack)
        for language, body in blocks(text):
            if language == "python":
                documented.file(body.replace(f":{PORT}", f":{documented.port}"))
            elif language == "console":
                for command, expected in commands(body):
                    assert timeless(documented.run(command)) == timeless(expected), command
                    ran += 1
    assert ran >= 2, "a document without commands is not tested"
