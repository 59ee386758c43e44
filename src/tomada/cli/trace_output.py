"""What ``tomada trace`` shows: calls as they happen, calls as JSON, and diagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import typer

from tomada.cli.output import print_json
from tomada.diagrams.cleaning import clean
from tomada.recording.calls import call_record
from tomada.recording.story import Story
from tomada.recording.telling import data_of, result_of, text_of, title_of, tone_of
from tomada.recording.traced import Traced

if TYPE_CHECKING:
    from tomada.recording.calls import Call
    from tomada.recording.file import Record
    from tomada.recording.reading import Recording
    from tomada.recording.story import Event

_SECOND: Final = 1_000_000_000
_MILLISECOND: Final = 1_000_000
_COLOURS: Final = {"begin": "green", "end": "blue", "control": "bright_black", "failed": "red"}


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
            print_json(json_of(event))
            return
        self._origin = event.call.at if self._origin is None else self._origin
        typer.echo(self._line(event), err=True)

    def _line(self, event: Event) -> str:
        call = event.call
        at = f"{(call.at - (self._origin or 0)) / _SECOND:10.6f}"
        where = title_of(event.lane) if event.lane is not None else "-"
        ended = _ended(call, result_of(event))
        data = f" {data_of(call)}" if call.data or call.hex else ""
        text = typer.style(clean(text_of(call)), fg=_COLOURS.get(tone_of(call).value))
        return f"{at}  {clean(event.running.name)}  {clean(where)}  {text}{clean(ended)}{data}"


def _ended(call: Call, result: str) -> str:
    if call.took is None:
        return " ..."
    waited = f" after {call.took / _MILLISECOND:,.3f} ms" if call.blocked else ""
    return f" = {result}{waited}" if result else waited


def json_of(event: Event) -> dict[str, Any]:
    """A call as one JSON object."""
    call = event.call
    fields = msgspec.structs.asdict(call)
    lane = event.lane
    kept = {name: value for name, value in fields.items() if value not in ("", (), None, False) and name != "n"}
    words = {
        "program": event.running.name,
        "where": title_of(lane) if lane is not None else "",
        "state": event.state.value if event.state is not None else "",
        "result": result_of(event),
    }
    return {**{name: value for name, value in words.items() if value}, **kept}


def print_calls(recording: Recording) -> None:
    """Each call as JSON, by the time it began."""
    traced = recording.part
    if isinstance(traced, Traced):
        for event in traced.events():
            print_json(json_of(event))
    tell_notes(recording)


def tell_notes(recording: Recording) -> None:
    """Say what a reader must know, on standard error."""
    for note in recording.timeline().notes:
        typer.echo(f"note: {clean(note)}", err=True)
