"""What looks closer than the server's own counts do: at the frames of one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tomada.feed.messages import FrameRow
from tomada.recording import frames, tap

if TYPE_CHECKING:
    from tomada.link import Link

_FIELDS: Final = FrameRow.__struct_fields__


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
