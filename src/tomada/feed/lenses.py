"""What looks closer than the server's own counts do: the meter of its handlers, and the frames of one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tomada.feed.inner import TypeSummary
from tomada.feed.messages import FrameRow
from tomada.recording import frames, tap
from tomada.telemetry import meter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.link import Link

_FIELDS: Final = FrameRow.__struct_fields__


class Meter:
    """Counts and times handlers, for as long as it is on.

    Args:
        hidden: Types that are not shown: those of the feed itself, which runs in the same process.
    """

    __slots__ = ("_hidden", "_meter")

    def __init__(self, hidden: Iterable[str]) -> None:
        self._hidden = frozenset(hidden)
        self._meter = meter.Meter()

    def told(self) -> list[TypeSummary]:
        """How each type does."""
        return [
            TypeSummary(one.name, one.handled, one.rate, one.failed, one.failure_rate, one.recent)
            for one in self._meter.figures()
            if one.name not in self._hidden
        ]

    def close(self) -> None:
        """Count no more."""
        self._meter.close()


class Lens:
    """Sees the frames of one connection.

    Args:
        link: Whose; it belongs to the running loop.
    """

    __slots__ = ("_link", "_watching")

    def __init__(self, link: Link) -> None:
        self._link: Link = link
        self._watching = frames.Watching(link)
        tap.attach(link, self._watching)

    def take(self) -> tuple[list[FrameRow], int]:
        """What went and came since the last call, the oldest first; and how many more frames there were."""
        found, passed_over = self._watching.take()
        return [FrameRow(*(getattr(frame, name) for name in _FIELDS)) for frame in found], passed_over

    def close(self) -> None:
        """See no more."""
        tap.detach(self._link, self._watching)
