"""``tomada diagram``: draw a recording."""

from __future__ import annotations

import os
import shutil
import sys
import time
from contextlib import contextmanager
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tomada.cli.output import UsageError, errors_told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tomada.diagrams import Sequence, StateDiagram, Timeline

EXAMPLES = """
[bold]Examples:[/bold]

  tomada diagram server.rec

  tomada diagram server.rec -o server.svg -o server.html

  tomada diagram server.rec --kind states --socket 2

  tomada diagram server.rec --follow
"""

_PAUSE = 1.0
"""Seconds between two drawings of a recording that grows."""
_CLEAR = "\x1b[H\x1b[2J\x1b[3J"
_NARROW = (100, 24)


class Kind(Enum):
    """What to draw."""

    SEQUENCE = "sequence"
    STATES = "states"
    TIMELINE = "timeline"


def diagram(
    recording: Annotated[
        Path, typer.Argument(metavar="RECORDING", help="What tomada trace --record or tomada serve --record wrote.")
    ],
    *,
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", help="A file to draw to: .svg, .png, .html, .mmd, .jsonl or .txt; repeatable."),
    ] = None,
    kind: Annotated[Kind, typer.Option("--kind", "-k", help="What to draw.")] = Kind.SEQUENCE,
    socket: Annotated[
        int | None, typer.Option("--socket", min=1, help="With --kind states: the number of one socket or session.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Draw again while the recording grows, until Ctrl-C.")
    ] = False,
    ascii_only: Annotated[bool, typer.Option("--ascii", help="No line-drawing characters in the terminal.")] = False,
) -> None:
    """Draw a recording: who did what to whom, the life of a socket, or many connections over time.

    Without --output the drawing is shown in the terminal.
    """
    with errors_told(as_json=False), _drawing_errors_told():
        files = output or []
        _check(files, kind, socket)
        show = _to_files(files) if files else _to_terminal(kind, ascii_only=ascii_only, again=follow)
        # The room of recordings is imported when it is needed, and no sooner.
        with import_module("tomada.recording.reading").Recording(recording) as reader:
            reader.read()
            show(_drawing(reader, kind, socket))
            while follow:
                time.sleep(_PAUSE)
                if reader.read():
                    show(_drawing(reader, kind, socket))


def _check(files: list[Path], kind: Kind, socket: int | None) -> None:
    """Refuse at once what could not be done in the end."""
    from tomada.diagrams import form_of

    for file in files:
        form_of(file)
        if not file.absolute().parent.is_dir():
            raise UsageError(f"there is no folder {file.parent} for {file.name}: make it first")
    if socket is not None and kind is not Kind.STATES:
        raise UsageError(f"--socket {socket} chooses whose states to draw: add --kind states")


@contextmanager
def _drawing_errors_told() -> Iterator[None]:
    """What cannot be drawn or written, as the command line tells errors."""
    from tomada.diagrams import DrawingError, MissingLibrary

    try:
        yield
    except (DrawingError, MissingLibrary) as error:
        raise UsageError(str(error)) from error
    except BrokenPipeError:  # who read it has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit from None
    except OSError as error:
        raise UsageError(f"{error.filename or 'the drawing'} cannot be written: {error.strerror or error}") from error


def _drawing(reader: Any, kind: Kind, socket: int | None) -> Sequence | StateDiagram | Timeline:
    drawing: Sequence | StateDiagram | Timeline
    if kind is Kind.STATES:
        drawing = reader.states(socket)
    else:
        drawing = reader.timeline() if kind is Kind.TIMELINE else reader.sequence()
    return drawing


def _to_files(files: list[Path]) -> Callable[[Any], None]:
    from tomada.diagrams import write

    def show(drawing: Any) -> None:
        for file in files:
            write(drawing, file)
            typer.echo(f"drawn: {file}", err=True)

    return show


def _to_terminal(kind: Kind, *, ascii_only: bool, again: bool) -> Callable[[Any], None]:
    from tomada.diagrams import text

    functions: dict[Kind, Callable[..., str]] = {
        Kind.SEQUENCE: text.sequence_text,
        Kind.STATES: text.states_text,
        Kind.TIMELINE: text.timeline_text,
    }
    is_terminal = sys.stdout.isatty()
    is_plain = ascii_only or not (sys.stdout.encoding or "").lower().startswith("utf")

    def show(drawing: Any) -> None:
        width = shutil.get_terminal_size(_NARROW).columns
        colour = is_terminal and not os.environ.get("NO_COLOR")
        shown = functions[kind](drawing, width=width, colour=colour, ascii_only=is_plain)
        sys.stdout.write((_CLEAR if again and is_terminal else "") + shown)
        sys.stdout.flush()

    return show
