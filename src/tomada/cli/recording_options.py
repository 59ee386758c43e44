"""``--record``: the options of the commands that serve, and a recording's beginning."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from tomada.cli.groups import Choice, Group, size
from tomada.cli.output import UsageError
from tomada_recorder.writer import LEAST_BYTES, MOST_BYTES, begin

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_DATA = 256
_MOST_DATA = 65_536


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What a server process records.

    Attributes:
        path: The file; empty: nothing is recorded.
        most_bytes: How long it may become, with its older part.
        data: So many bytes of each message.
    """

    path: str = ""
    most_bytes: int = MOST_BYTES
    data: int = _DATA

    def begin(self, *, as_json: bool) -> None:
        """Begin the file, which the processes that serve then write to; and say so.

        Raises:
            UsageError: It cannot be written.
        """
        if not self.path:
            return
        try:
            begin(self.path, self.most_bytes)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be recorded to: {error.strerror or error}") from error
        if not as_json:
            typer.secho(f"recording to {self.path}: draw it with  tomada diagram {self.path}", dim=True, err=True)

    def recording(self) -> AbstractContextManager[object]:
        """What records in this process, where that is wanted: to be entered before there is a connection."""
        if not self.path:
            return nullcontext()
        from tomada.recording.recorder import Recorder

        return Recorder(self.path, data=self.data, most_bytes=self.most_bytes, join=True)


def _recorded(*, no_data: bool = False, **values: Any) -> Recorded:
    if (values or no_data) and "path" not in values:
        raise ValueError("--record-bytes, --record-data and --no-data are about recordings: add --record, and a file")
    if no_data:
        if "data" in values:
            raise ValueError("--no-data and --record-data contradict each other: leave one out")
        values["data"] = 0
    if "path" in values:
        values["path"] = str(Path(values["path"]).absolute())
    return Recorded(**values)


def _data(text: str) -> int:
    value = 0 if text == "0" else size(text)
    if value > _MOST_DATA:
        raise typer.BadParameter(f"{text!r} is more than a recording keeps of a message: write up to 64K")
    return value


def _most(text: str) -> int:
    value = size(text)
    if value < LEAST_BYTES:
        raise typer.BadParameter(f"{text!r} is too little for a recording: write 64K or more")
    return value


RECORDING = Group(
    "Recording",
    _recorded,
    {
        "path": Choice(
            "--record",
            "Record all messages in this file; `tomada diagram FILE` draws it. What was there is replaced.",
            metavar="FILE",
            shown="off",
        ),
        "most_bytes": Choice(
            "--record-bytes", "How long the file, with its older part, may become.", _most, "SIZE", int, "64M"
        ),
        "data": Choice("--record-data", "So much of each message is recorded.", _data, "SIZE", int, str(_DATA)),
        "no_data": Choice(
            "--no-data", "Record what messages there are, and nothing of what they say.", annotation=bool
        ),
    },
)
"""What `Recorded` has."""

RecordingOptions = Annotated[Recorded, RECORDING]
