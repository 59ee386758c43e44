"""A line of the log, and a message of a connection, as text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.text import Text

from tomada.cli.output import printable
from tomada.cli.top import words

if TYPE_CHECKING:
    from tomada.feed.messages import FrameRow, LogLine

_LONGEST: Final = 2_000
_LEVELS: Final = {"DEBUG": "dim", "INFO": "green", "WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red"}
_LANES: Final = {"urgent": "bold yellow", "control": "dim"}
_KINDS: Final = {"error": "bold red", "cancel": "yellow", "goodbye": "yellow"}


def log_text(line: LogLine) -> Text:
    """A line of the log as it is shown."""
    clock = time.strftime("%H:%M:%S", time.localtime(line.time)) if 0 <= line.time < 1 << 33 else words.NOTHING
    text = (
        Text(no_wrap=True).append(clock, "dim").append(f" {printable(line.level, 8):<8}", _LEVELS.get(line.level, ""))
    )
    if line.worker:
        text.append(f"[{line.worker}] ", "dim")
    return text.append(printable(line.text.replace("\n", " ⏎ "), _LONGEST))


def frame_text(frame: FrameRow) -> Text:
    """A message, or a group of alike ones, as it is shown."""
    text = Text(no_wrap=True).append(f"{_clock(frame.at):>9}  ", "dim")
    text.append("← " if frame.is_received else "→ ", "bold cyan" if frame.is_received else "bold magenta")
    text.append(f"{printable(frame.kind, 12):<12}", _KINDS.get(frame.kind, ""))
    times = f" x{frame.count:,}" if frame.count > 1 else ""
    text.append(f"{printable(frame.name, 60) + times:<20} ").append(f"{words.size(frame.size):>8}")
    text.append(f"  {printable(frame.lane, 8):<8}", _LANES.get(frame.lane, ""))
    text.append(f"#{frame.sequence:<6}" if frame.sequence else " " * 7, "dim")
    if frame.is_repeated:
        return text.append(" again", "yellow")
    return text.append(f" id {frame.id}" if frame.id else "", "dim")


def _clock(seconds: float) -> str:
    whole = max(0.0, min(seconds, 1e9))
    return f"{int(whole) // 60}:{whole % 60:06.3f}"
