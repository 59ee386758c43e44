"""Lines that come one after the other: of the log, and of the messages of one connection."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text
from textual.widgets import RichLog

from tomada.cli.top.texts import log_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual import events

    from tomada.feed.messages import LogLine

MOST_LINES: Final = 500


class Lines(RichLog):
    """The last 500 lines; who has scrolled up is left where they are."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_lines=MOST_LINES, wrap=False, markup=False, highlight=False, min_width=0, **options)
        self._early: deque[Text] = deque(maxlen=MOST_LINES)

    def add(self, lines: Iterable[Text]) -> None:
        """Show `lines` below the others; where this is not on the screen yet, as soon as it is."""
        if not self.size.width:
            self._early.extend(lines)
            return
        for line in lines:
            self.write(line, scroll_end=self.is_vertical_scroll_end)

    def on_resize(self, event: events.Resize) -> None:
        """It is on the screen."""
        if event.size.width and self._early:
            early = list(self._early)
            self._early.clear()
            self.call_after_refresh(self.add, early)


class LogNumbers:
    """Knows which lines of the log have been shown, so that none is shown twice, and none is missed in silence."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._time = 0.0
        self._until = 0.0

    def begin_anew(self) -> None:
        """Another connection: its numbers may be others, its first lines the same."""
        self._last = None
        self._until = self._time

    def fresh(self, lines: Sequence[LogLine]) -> Iterable[Text]:
        """What `lines` add, as text, the last 500 of it."""
        for line in lines[-MOST_LINES:]:
            if (self._last is not None and line.number <= self._last) or line.time <= self._until:
                continue
            if self._last is not None and line.number > self._last + 1:
                yield Text(f"… {line.number - self._last - 1:,} passed over", style="dim italic")
            self._last, self._time = line.number, max(self._time, line.time)
            yield log_text(line)
