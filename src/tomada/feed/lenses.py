"""What looks closer than the server's own counts do: the meter of its handlers, and the frames of one connection."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Protocol

from tomada.feed.messages import FrameRow, TypeRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.link import Link

_METER: Final = "tomada.telemetry.meter"
_TAP: Final = "tomada.recording.tap"
_FRAMES: Final = "tomada.recording.frames"
_FIELDS: Final = FrameRow.__struct_fields__


class Meter:
    """Counts and times handlers, for as long as it is on.

    Args:
        hidden: Types that are not shown: those of the feed itself, which runs in the same process.
    """

    __slots__ = ("_hidden", "_meter")

    def __init__(self, hidden: Iterable[str]) -> None:
        self._hidden = frozenset(hidden)
        self._meter: Any = import_module(_METER).Meter() if _has(_METER) else None

    def rows(self) -> list[TypeRow]:
        """How each type does."""
        figures = () if self._meter is None else self._meter.figures()
        return [
            TypeRow(one.name, one.handled, one.rate, one.failed, one.failure_rate, one.p50, one.p99)
            for one in figures
            if one.name not in self._hidden
        ]

    def close(self) -> None:
        """Count no more."""
        if self._meter is not None:
            self._meter.close()


class Watching(Protocol):
    """Keeps the last frames of one connection."""

    def take(self) -> tuple[list[Any], int]:
        """Those since the last call, and how many more there were."""


class Lens:
    """Sees the frames of one connection.

    Args:
        link: Whose; it belongs to the running loop.
    """

    __slots__ = ("_link", "_tap", "_watching")

    def __init__(self, link: Link) -> None:
        self._link: Link = link
        self._watching: Watching | None = None
        if _has(_TAP) and _has(_FRAMES):
            self._tap: Any = import_module(_TAP)
            self._watching = import_module(_FRAMES).Watching(link)
            self._tap.attach(link, self._watching)

    def take(self) -> tuple[list[FrameRow], int]:
        """What went and came since the last call, the oldest first; and how many more frames there were."""
        if self._watching is None:
            return [], 0
        frames, passed_over = self._watching.take()
        return [FrameRow(*(getattr(frame, name) for name in _FIELDS)) for frame in frames], passed_over

    def close(self) -> None:
        """See no more."""
        if self._watching is not None:
            self._tap.detach(self._link, self._watching)


def _has(name: str) -> bool:
    return find_spec(name) is not None
