"""Drawings as commands show them: in files, or in the terminal."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import typer

from tomada.cli.output import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tomada.diagrams.checking import Drawing
    from tomada.recording.reading import Recording

_NARROW: Final = (100, 24)


def drawing_of(recording: Recording, kind: str, number: int | None = None) -> Drawing:
    """What to draw of a recording.

    Args:
        recording: As far as it is read.
        kind: ``sequence``, ``states`` or ``timeline``.
        number: Of ``states``: whose.
    """
    if kind == "timeline":
        return recording.timeline()
    return recording.states(number) if kind == "states" else recording.sequence()


def check_files(files: Sequence[Path]) -> None:
    """Refuse at once what could not be drawn in the end.

    Raises:
        UsageError: A file's suffix says no form, its folder is not there, or what makes PNG is not installed.
    """
    from tomada.diagrams import Sequence as Calls
    from tomada.diagrams import form_of, render

    with drawing_errors_told():
        for file in files:
            if not file.absolute().parent.is_dir():
                raise UsageError(f"there is no folder {file.parent} for {file.name}: make it first")
            if form_of(file) == "png":
                render(Calls(title="", lanes=(), steps=()), "png")


@contextmanager
def drawing_errors_told() -> Iterator[None]:
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
        raise UsageError(
            f"{error.filename2 or error.filename or 'the drawing'} cannot be written: {error.strerror or error}"
        ) from error


def draw(drawing: Drawing, files: Sequence[Path]) -> None:
    """Write a drawing to files, in the forms that their suffixes name."""
    from tomada.diagrams import write

    for file in files:
        write(drawing, file)
        typer.echo(f"drawn: {file}", err=True)


def show(drawing: Drawing, *, ascii_only: bool = False, before: str = "") -> None:
    """Show a drawing as text, as wide as the terminal is; `before` is written ahead of it."""
    from tomada.diagrams.text import drawing_text

    is_plain = ascii_only or not (sys.stdout.encoding or "").lower().startswith("utf")
    width = shutil.get_terminal_size(_NARROW).columns
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    sys.stdout.write(before + drawing_text(drawing, width=width, colour=colour, ascii_only=is_plain))
    sys.stdout.flush()
