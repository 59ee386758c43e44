"""Reads a recording's file, whole or while it grows. What it holds is hostile: anybody may have written it.

What a record means is not known here. Each is a JSON object with a ``kind``; ``tomada_recorder/writer.py`` says how the
file is written, and ``docs/reference/recording.md`` which kinds there are.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec

from tomada.errors import UNREADABLE, RecordingError
from tomada_recorder.writer import MOST_LINE, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike
    from typing import Self

Record = dict[str, Any]
_CHUNK: Final = 1 << 18
_OLDER: Final = ".1"


class Header(msgspec.Struct, frozen=True, tag_field="kind", tag="recording"):
    """The first line of each segment."""

    version: int
    id: str
    """The same in all segments of a recording."""
    segment: int
    """1 for the first."""
    at: int
    """When the segment began, in nanoseconds of the system's monotonic clock, as all times of a recording."""
    time: float
    """The same moment in seconds since 1970."""
    most: int = 0
    lost_records: int = 0
    """In all segments that were dropped for the bound, up to then."""
    lost_bytes: int = 0


class _Segment:
    """One file of lines, read as far as it is written."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("rb", buffering=0)
        self._rest = b""
        self._is_skipping = False
        self.too_long = 0
        try:
            self.header = self._header(path)
        except BaseException:
            self._file.close()
            raise

    def _header(self, path: Path) -> Header:
        try:
            header = msgspec.json.decode(self._file.readline(4096), type=Header)
        except (*UNREADABLE, msgspec.ValidationError) as error:
            raise RecordingError(f"{path} is no recording: its first line does not say so ({error})") from error
        if header.version > VERSION:
            raise RecordingError(
                f"{path} is a recording of version {header.version}, and this tomada reads up to {VERSION}: "
                "take the tomada that wrote it, or a newer one"
            )
        return header

    def lines(self) -> Iterator[bytes]:
        """The whole lines that have come since the last call."""
        while chunk := self._file.read(_CHUNK):
            *lines, rest = chunk.split(b"\n")
            if not lines:
                self._keep(rest)
                continue
            first = self._rest + lines[0]
            if self._is_skipping:
                self._is_skipping = False
            elif first:
                yield first
            yield from filter(None, lines[1:])
            self._rest = b""
            self._keep(rest)

    def _keep(self, rest: bytes) -> None:
        self._rest += rest
        if len(self._rest) > MOST_LINE:
            self.too_long += not self._is_skipping
            self._is_skipping = True
            self._rest = b""

    @property
    def is_cut(self) -> bool:
        """Whether the last line has no end: its writer was stopped in the middle, or is still writing it."""
        return bool(self._rest) or self._is_skipping

    def close(self) -> None:
        self._file.close()


class Reader:
    """Gives the records of a recording, from the oldest segment on, and counts what is none.

    A context manager, which closes the file. It never waits: `records` ends where the file ends, and called again gives
    what was written since.

    Raises:
        RecordingError: There is no such file, or it is no recording.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = Path(path)
        self._segments: list[_Segment] = []
        self._unreadable = 0
        self._too_long = 0
        newest = self._open(self._path)
        with suppress(RecordingError):  # there is no older one, or it is of another recording
            before = self._open(self._path.with_name(self._path.name + _OLDER))
            if before.header.id == newest.header.id and before.header.segment < newest.header.segment:
                self._segments = [before]
            else:
                before.close()
        self._segments.append(newest)
        self._lost = newest.header

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def _open(path: Path) -> _Segment:
        try:
            return _Segment(path)
        except OSError as error:
            raise RecordingError(f"the recording {path} cannot be read: {error.strerror or error}") from error

    @property
    def header(self) -> Header:
        """Of the segment that is written to."""
        return self._segments[-1].header

    @property
    def lost_records(self) -> int:
        """How many records were dropped for the bound before they could be read."""
        return self._lost.lost_records

    @property
    def lost_bytes(self) -> int:
        """How many bytes those took."""
        return self._lost.lost_bytes

    @property
    def passed_over(self) -> int:
        """How many lines were no records so far: no JSON object with a ``kind``, or longer than a record may be."""
        return self._unreadable + self._too_long + sum(segment.too_long for segment in self._segments)

    @property
    def is_cut(self) -> bool:
        """Whether the last line is not whole."""
        return self._segments[-1].is_cut

    def records(self) -> Iterator[Record]:
        """The records that have come since the last call; objects whose ``kind`` is a text, otherwise unchecked."""
        while True:
            # The one before the last is read on: a writer moves to a new segment up to a moment after it has begun.
            for segment in self._segments:
                for line in segment.lines():
                    record = _record(line)
                    if record is None:
                        self._unreadable += 1
                    elif record["kind"] != "recording":
                        yield record
            if not self._advance():
                return

    def _advance(self) -> bool:
        """Open the segments that were begun since."""
        try:
            newest = _Segment(self._path)
        except (OSError, RecordingError):  # just being renamed, or gone
            return False
        last = self._segments[-1].header
        if newest.header.id != last.id or newest.header.segment <= last.segment:
            newest.close()
            return False
        missed = self._between(last) if newest.header.segment > last.segment + 1 else None
        if newest.header.segment > last.segment + 1 + bool(missed):
            self._lost = newest.header
        self._segments += [missed, newest] if missed else [newest]
        for segment in self._segments[:-2]:
            self._too_long += segment.too_long
            segment.close()
        self._segments = self._segments[-2:]
        return True

    def _between(self, last: Header) -> _Segment | None:
        with suppress(OSError, RecordingError):
            older = _Segment(self._path.with_name(self._path.name + _OLDER))
            if older.header.id == last.id and older.header.segment > last.segment:
                return older
            older.close()
        return None

    def close(self) -> None:
        """Close the file."""
        for segment in self._segments:
            segment.close()


def _record(line: bytes) -> Record | None:
    try:
        record = msgspec.json.decode(line)
    except UNREADABLE:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("kind"), str) else None
