"""``tomada trace``: what any Python program does with its sockets."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperCommand

from tomada.cli.drawing import check_files, draw, drawing_errors_told, drawing_of, show
from tomada.cli.groups import size
from tomada.cli.output import Json, UsageError, errors_told
from tomada_recorder.writer import LEAST_BYTES, begin

if TYPE_CHECKING:
    from tomada.cli.trace_output import Live
    from tomada.cli.tracing import Programs

EXAMPLES = """
[bold]Examples:[/bold]

  tomada trace server.py --with client.py

  tomada trace server.py 50007 --with "client.py 50007" -o calls.svg -o calls.html

  tomada trace --stop -m http.server 8000 --with "fetch.py http://127.0.0.1:8000/"

  tomada trace --live --no-data worker.py --queue mail

Options stand before PROGRAM, whose own arguments follow it; from --with on they are options again.
"""
CONTEXT: Final = {"allow_interspersed_args": False}
_DATA: Final = 128


class Command(TyperCommand):
    """PROGRAM's own arguments end where ``--with`` begins."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put what begins with a ``--with`` that follows PROGRAM before it."""
        at = next((place for place, word in enumerate(args) if word == "--with" or word.startswith("--with=")), 0)
        if at and "--" not in args[:at] and self.make_parser(ctx).parse_args(args[:at])[0].get("words"):
            args = args[at:] + args[:at]
        return super().parse_args(ctx, args)


class Kind(Enum):
    """What is drawn."""

    SEQUENCE = "sequence"
    STATES = "states"
    TIMELINE = "timeline"


class Wanted(NamedTuple):
    """What is to be shown, and of how much."""

    outputs: list[Path]
    kind: str
    record: Path | None
    most_bytes: int
    data_bytes: int
    is_live: bool
    as_json: bool
    is_quiet: bool


Module = Annotated[str, typer.Option("--module", "-m", metavar="MODULE", help="Run a module, as python -m does.")]
With = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="COMMAND",
        help="Another program with its arguments; it starts as soon as PROGRAM listens. May be repeated.",
    ),
]
WaitForListener = Annotated[
    float,
    typer.Option(
        "--wait", min=0, metavar="SECONDS", help="Seconds after which the others start though nobody listens."
    ),
]
Stop = Annotated[bool, typer.Option("--stop", help="Interrupt PROGRAM when all others have ended.")]
Outputs = Annotated[
    list[Path] | None,
    typer.Option("-o", "--output", metavar="FILE", help="Draw into FILE: .svg, .png, .html, .mmd, .jsonl or .txt."),
]
KindOption = Annotated[Kind, typer.Option("--kind", help="Which diagram is drawn.")]
Record = Annotated[
    Path | None, typer.Option("--record", metavar="FILE", help="Keep the recording; tomada diagram draws it again.")
]
Most = Annotated[
    Any,
    typer.Option("--most", parser=size, metavar="SIZE", help="Drop the oldest calls of a recording longer than this."),
]
Data = Annotated[int, typer.Option("--data", min=0, max=4096, help="How many of the first bytes of each are recorded.")]
NoData = Annotated[bool, typer.Option("--no-data", help="Record no bytes, only how many they were.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no diagram: only record, or draw into files.")]
LiveOption = Annotated[bool, typer.Option("--live", help="Show each call as it happens, on standard error.")]
Python = Annotated[str, typer.Option("--python", metavar="PATH", help="The interpreter, if not that of tomada.")]
Words = Annotated[list[str] | None, typer.Argument(metavar="PROGRAM", help="A Python file, and its own arguments.")]


def trace(
    words: Words = None,
    *,
    module: Module = "",
    companions: With = None,
    wait: WaitForListener = 5,
    stop: Stop = False,
    output: Outputs = None,
    kind: KindOption = Kind.SEQUENCE,
    record: Record = None,
    most: Most = "64M",
    data: Data = _DATA,
    no_data: NoData = False,
    live: LiveOption = False,
    quiet: Quiet = False,
    python: Python = "",
    as_json: Json = False,
) -> None:
    """Run a Python program, unchanged, and show what it and its child processes do with sockets.

    Its input, output and exit code are passed through. Ctrl-C ends it, and the diagram is shown.
    """
    with errors_told(as_json=as_json):
        from tomada.cli.tracing import command_of, split

        wanted = Wanted(output or [], kind.value, record, most, 0 if no_data else data, live, as_json, quiet)
        _check(wanted)
        given = (["-m", module] if module else []) + (words or [])
        if not given:
            raise UsageError("there is no program to trace: tomada trace PROGRAM.py, or -m MODULE")
        interpreter = python or sys.executable
        commands = [command_of(one, interpreter) for one in (given, *map(split, companions or []))]
        raise typer.Exit(_trace(commands, wanted, wait=wait, stop=stop))


def _check(wanted: Wanted) -> None:
    check_files(wanted.outputs)
    if wanted.most_bytes < LEAST_BYTES:
        raise UsageError(f"--most {wanted.most_bytes} is too little for a recording: 64K is the least")
    if wanted.record is not None and not wanted.record.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {wanted.record.parent} for {wanted.record.name}")


def _trace(commands: list[list[str]], wanted: Wanted, *, wait: float, stop: bool) -> int:
    """Run the programs and show what is wanted of them; the exit code of the first."""
    import tempfile

    with ExitStack() as stack:
        path = wanted.record
        if path is None:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tomada-trace-"))) / "recording"
        try:
            begin(str(path), wanted.most_bytes)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None
        code = _run(commands, path, wanted, wait=wait, stop=stop)
        _show(path, wanted)
    return code


def _run(commands: list[list[str]], path: Path, wanted: Wanted, *, wait: float, stop: bool) -> int:
    from tomada.cli.trace_output import Live
    from tomada.cli.tracing import Programs, environment
    from tomada.recording.file import Reader

    # Standard output is for the JSON of calls; what programs print goes to standard error then.
    output = sys.stderr.fileno() if wanted.as_json else None
    programs = Programs(path, environment(path, wanted.most_bytes, wanted.data_bytes), output)
    live = Live(as_json=wanted.as_json) if wanted.is_live else None
    with Reader(path) as reader, programs.signals_passed():

        def look() -> None:
            if live is not None or not programs.is_listening:
                _look(reader, programs, live)

        _begin(commands, programs, look, wait)
        is_over = programs.have_ended
        if stop and commands[1:]:
            programs.run_until(lambda: is_over(1) or is_over(0, 1), look)
            if not is_over(0, 1):
                programs.interrupt()
        programs.run_until(is_over, look)
        look()
    return programs.exit_code


def _begin(commands: list[list[str]], programs: Programs, look: Any, wait: float) -> None:
    """Start the first program, and the others when it listens."""
    first, *others = commands
    programs.start(first)
    if others:
        deadline = time.monotonic() + wait
        programs.run_until(lambda: programs.is_ready() or time.monotonic() >= deadline, look)
    for command in others:
        programs.start(command)


def _look(reader: Any, programs: Programs, live: Live | None) -> None:
    for record in reader.records():
        programs.heard(record)
        if live is not None:
            live.heard(record)


def _show(path: Path, wanted: Wanted) -> None:
    from tomada.cli.trace_output import print_calls, tell_notes
    from tomada.recording.reading import Recording

    with Recording(path) as recording, drawing_errors_told():
        recording.read(_progress if sys.stderr.isatty() else None)
        if wanted.outputs:
            draw(drawing_of(recording, wanted.kind), wanted.outputs)
        if wanted.as_json and not wanted.is_live:
            print_calls(recording)
        elif not (wanted.outputs or wanted.is_live or wanted.as_json or wanted.is_quiet):
            show(drawing_of(recording, wanted.kind))
        else:
            tell_notes(recording)
    if wanted.record is not None and not wanted.is_quiet:
        typer.echo(f"recorded: {wanted.record}", err=True)


def _progress(records: int) -> None:
    if not records % 50_000:
        typer.echo(f"reading: {records:,} records", err=True)
