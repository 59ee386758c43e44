"""The lines that tell of tomada's own connections, as they stand in a recording's file. All of it may be hostile."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from tomada.protocol.state import Role
from tomada.recording.shortening import MOST_KEPT

_U64 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_U32 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)]
Sequences = tuple[_U32, _U32]
_Text = Annotated[str, msgspec.Meta(max_length=1_000)]


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    pid: _U64
    at: _U64


class ProcessLine(_Line, frozen=True, kw_only=True):
    """A process that records."""

    program: _Text = ""


class WireLine(_Line, frozen=True, kw_only=True):
    """A wire, as it is when it begins, when a session takes it over, or when a new segment of the file begins."""

    wire: _U64
    role: Role
    here: _Text
    there: _Text
    keep: Annotated[int, msgspec.Meta(ge=0, le=MOST_KEPT)]
    begins: bool
    state: _Text = ""
    session: _Text = ""
    generation: _U64 = 0
    sent: Sequences | None = None
    """The last sequences of the session that went before, in the normal and the urgent lane,"""
    received: Sequences | None = None
    """and that came."""
    own: str = ""
    theirs: str = ""


class TypesLine(msgspec.Struct, frozen=True, kw_only=True):
    """A catalogue, of which a wire gives the name: name, kind and fields of each type."""

    pid: _U64
    id: str
    types: list[tuple[str, str, list[str]]]


class FramesLine(_Line, frozen=True, kw_only=True):
    """One read or write."""

    wire: _U64
    way: Literal["in", "out"]
    offset: _U64
    length: _U64
    data: str
    old: _U64 = 0
    old_kept: _U64 = 0
    foreign: bool = False


class GoneLine(_Line, frozen=True, kw_only=True):
    """The end of a wire."""

    wire: _U64
    state: _Text = ""
    reason: str = ""


class EventLine(_Line, frozen=True, kw_only=True):
    """What happened otherwise: an event of `tomada.telemetry`."""

    name: _Text
    fields: dict[str, Any]


LINES: Final[dict[str, Any]] = {
    "tomada": ProcessLine,
    "wire": WireLine,
    "types": TypesLine,
    "frames": FramesLine,
    "gone": GoneLine,
    "event": EventLine,
}
"""By the kind of the record."""
