"""What ``tomada trace`` shows: calls as they happen, calls as JSON, and diagrams."""

from __future__ import annotations

import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import typer

from tomada.cli.output import UsageError, print_json
from tomada.recording.calls import call_record
from tomada.recording.story import Story
from tomada.recording.telling import data_of, result_of, text_of, title_of, tone_of
from tomada.recording.traced import Traced

if TYPE_CHECKING:
    from tomada.diagrams import Sequence, StateDiagram, Step, Timeline
    from tomada.recording.calls import Call
    from tomada.recording.file import Record
    from tomada.recording.reading import Recording
    from tomada.recording.story import Event

_SECOND: Final = 1_000_000_000
_MILLISECOND: Final = 1_000_000
_COLOURS: Final = {"begin": "green", "end": "blue", "control": "bright_black", "failed": "red"}
_NARROW: Final = 100


class Live:
    """Shows each call in one line, on standard error, as it happens."""

    def __init__(self, *, as_json: bool) -> None:
        self._story = Story(is_brief=True)
        self._as_json = as_json
        self._origin: int | None = None

    def heard(self, record: Record) -> None:
        """Show the next record."""
        try:
            structure = call_record(record)
        except msgspec.ValidationError:  # it is counted by who draws the recording
            return
        event = None if structure is None else self._story.add(structure)
        if event is None:
            return
        if self._as_json:
            print_json(json_of(event, self._story))
            return
        self._origin = event.call.at if self._origin is None else self._origin
        typer.echo(self._line(event), err=True)

    def _line(self, event: Event) -> str:
        call = event.call
        at = f"{(call.at - (self._origin or 0)) / _SECOND:10.6f}"
        where = title_of(event.lane) if event.lane is not None else "-"
        ended = _ended(call, result_of(event, self._story))
        data = f" {data_of(call)}" if call.data or call.hex else ""
        text = typer.style(text_of(call), fg=_COLOURS.get(tone_of(call).value))
        return f"{at}  {event.running.name}  {where}  {text}{ended}{data}"


def _ended(call: Call, result: str) -> str:
    if call.took is None:
        return " ..."
    waited = f" after {call.took / _MILLISECOND:,.3f} ms" if call.blocked else ""
    return f" = {result}{waited}" if result else waited


def json_of(event: Event, story: Story) -> dict[str, Any]:
    """A call as one JSON object."""
    call = event.call
    fields = msgspec.structs.asdict(call)
    lane = event.lane
    kept = {name: value for name, value in fields.items() if value not in ("", (), None, False) and name != "n"}
    words = {
        "program": event.running.name,
        "where": title_of(lane) if lane is not None else "",
        "state": event.state.value if event.state is not None else "",
        "result": result_of(event, story),
    }
    return {**{name: value for name, value in words.items() if value}, **kept}


def check_outputs(paths: list[Path]) -> None:
    """Refuse, before anything runs, what could not be written afterwards.

    Raises:
        UsageError: A file's suffix says no form, or its folder is not there.
    """
    for path in paths:
        forms = _forms()
        if path.suffix.removeprefix(".") not in forms:
            known = ", ".join(f".{form}" for form in forms)
            raise UsageError(f"{path} does not say in which form to draw: end it with one of {known}")
        if not path.absolute().parent.is_dir():
            raise UsageError(f"there is no folder {path.parent} for {path.name}")
        if path.suffix == ".png":
            _try_png()


def _try_png() -> None:
    """Find out before the programs run whether what makes PNG is installed."""
    from tomada.diagrams import Sequence

    try:
        import_module("tomada.diagrams").render(Sequence(title="", lanes=(), steps=()), "png")
    except ImportError as error:
        raise UsageError(str(error)) from None


def _forms() -> tuple[str, ...]:
    forms: tuple[str, ...] = getattr(
        import_module("tomada.diagrams"), "FORMS", ("svg", "png", "mmd", "html", "jsonl", "txt")
    )
    return forms


def drawing_of(recording: Recording, kind: str) -> Sequence | StateDiagram | Timeline:
    """One of the three kinds of diagrams."""
    if kind == "timeline":
        return recording.timeline()
    return recording.states() if kind == "states" else recording.sequence()


def draw(drawing: Sequence | StateDiagram | Timeline, paths: list[Path]) -> None:
    """Write a diagram to files, in the forms that their suffixes name.

    Raises:
        UsageError: A file cannot be written, or the drawing cannot be made.
    """
    write = import_module("tomada.diagrams").write
    for path in paths:
        try:
            write(drawing, path)
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error
        typer.echo(f"written: {path}", err=True)


def show(drawing: Sequence | StateDiagram | Timeline, kind: str) -> None:
    """Show a diagram as text."""
    width = shutil.get_terminal_size((_NARROW, 24)).columns
    try:
        text = import_module("tomada.diagrams.text")
    except ModuleNotFoundError:
        _list(drawing)
        return
    functions = {"sequence": "sequence_text", "states": "states_text", "timeline": "timeline_text"}
    typer.echo(getattr(text, functions[kind])(drawing, width=width, colour=sys.stdout.isatty()).rstrip("\n"))


def _list(drawing: Any) -> None:
    typer.echo(drawing.title)
    steps: tuple[Step, ...] = getattr(drawing, "steps", ())
    for step in steps:
        lane = drawing.lanes[step.lane]
        waited = " (waited)" if step.is_blocked else ""
        data = f" {step.data}" if step.data else ""
        typer.echo(f"{step.begun:10.6f}  {lane.group}  {lane.title}  {step.text}  {step.result}{waited}{data}")
    for note in drawing.notes:
        typer.echo(f"note: {note}")


def print_calls(recording: Recording) -> None:
    """Each call as JSON, by the time it began."""
    traced = recording.part
    if isinstance(traced, Traced):
        for event in traced.events():
            print_json(json_of(event, traced.story))
    tell_notes(recording)


def tell_notes(recording: Recording) -> None:
    """Say what a reader must know, on standard error."""
    for note in (*recording.notes, *recording.part.notes):
        typer.echo(f"note: {note}", err=True)
