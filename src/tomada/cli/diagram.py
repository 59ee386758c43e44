"""``tomada diagram``: draw a recording."""

from __future__ import annotations

import sys
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tomada.cli.drawing import check_files, draw, drawing_errors_told, drawing_of, show
from tomada.cli.output import UsageError, errors_told

if TYPE_CHECKING:
    from tomada.recording.reading import Recording

EXAMPLES = """
[bold]Examples:[/bold]

  tomada diagram server.rec

  tomada diagram server.rec -o server.svg -o server.html

  tomada diagram server.rec --kind states --socket 2

  tomada diagram server.rec --follow
"""

_PAUSE = 1.0
"""Seconds between two drawings of a recording that grows; of a long one as many as a drawing takes."""
_CLEAR = "\x1b[H\x1b[2J\x1b[3J"


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
    with errors_told(as_json=False), drawing_errors_told():
        from tomada.recording.reading import Recording

        if socket is not None and kind is not Kind.STATES:
            raise UsageError(f"--socket {socket} chooses whose states to draw: add --kind states")
        files = output or []
        check_files(files)
        with Recording(recording) as reader:
            reader.read()
            while True:
                begun = time.monotonic()
                drawing = drawing_of(reader, kind.value, socket)
                if files:
                    draw(drawing, files)
                else:
                    show(drawing, ascii_only=ascii_only, before=_CLEAR if follow and sys.stdout.isatty() else "")
                if not follow:
                    return
                _until_more(reader, max(_PAUSE, time.monotonic() - begun))


def _until_more(reader: Recording, pause: float) -> None:
    time.sleep(pause)
    while not reader.read():
        time.sleep(_PAUSE)
