"""The panels: one behind the other, and on a tall screen some of them below the connections, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.containers import Container, Horizontal
from textual.widgets import Input, Static, TabbedContent, TabPane

from tomada.cli.top import headings
from tomada.cli.top.lines import Lines
from tomada.cli.top.tables import LiveTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.text import Text
    from textual.app import ComposeResult

    from tomada.feed.messages import Picture, Watch

PAGE: Final = 100
"""Connections that are shown at once; there may be thousands."""
TABS: Final = ("connections", "types", "workers", "strikes", "log")


STYLES: Final = """
Panels { height: 1fr; }
Panels TabPane { padding: 0; }
Panels LiveTable { height: 1fr; scrollbar-size: 1 1; }
Panels Lines { height: 1fr; padding: 0 1; scrollbar-size: 1 1; background: $background; }
Panels #filter { height: 1; border: none; padding: 0 1; display: none; }
Panels #filter.shown { display: block; }
Panels #page { height: 1; padding: 0 1; color: $text-muted; }
Panels #below { display: none; height: 35%; }
.-tall Panels #below { display: block; }
Panels #below LiveTable { width: 78; display: none; }
.-wide Panels #below LiveTable { display: block; }
"""


class Panels(Container):
    """All of them.

    Args:
        wanted: How the connections are sorted at first.
    """

    def __init__(self, wanted: Watch) -> None:
        super().__init__()
        self._wanted = wanted

    def compose(self) -> ComposeResult:
        """The panels in their order."""
        with TabbedContent(initial=TABS[0]):
            with TabPane("Connections", id="connections"):
                yield from self._connections()
            with TabPane("Types", id="types"):
                yield _types("type-table")
            with TabPane("Workers", id="workers"):
                key = "{0.number} {0.pid}".format
                yield LiveTable(headings.WORKERS, key, id="worker-table", order="number")
            with TabPane("Strikes", id="strikes"):
                key = "{0.kind} {0.name}".format
                yield LiveTable(headings.STRIKES, key, id="strike-table", order="seconds_ago")
            with TabPane("Log", id="log"):
                yield Lines(id="log-lines", classes="log")

    def show(self, picture: Picture, log: Iterable[Text], page: str) -> None:
        """Show how it is now.

        Args:
            picture: The server.
            log: The lines that were not shown yet.
            page: Which connections these are.
        """
        self.query_one("#connection-table", LiveTable).show(picture.connections[:PAGE])
        for table in self.query(".types").results(LiveTable):
            table.show(picture.types)
        self.query_one("#worker-table", LiveTable).show(picture.workers)
        self.query_one("#strike-table", LiveTable).show(picture.strikes)
        fresh = list(log)
        for lines in self.query(".log").results(Lines):
            lines.add(fresh)
        self.query_one("#page", Static).update(page)

    def _connections(self) -> ComposeResult:
        yield Input(placeholder="peer, state, kind, software or id contains …", id="filter", compact=True)
        yield LiveTable(
            headings.CONNECTIONS,
            "{0.id}".format,
            id="connection-table",
            order=self._wanted.sort,
            descending=self._wanted.descending,
            sorts=False,
        )
        yield Static(id="page", markup=False)
        with Horizontal(id="below"):
            yield _types("types-below")
            yield Lines(classes="log")


def _types(name: str) -> LiveTable:
    table = LiveTable(headings.TYPES, "{0.name}".format, id=name, order="rate", descending=True)
    return table.add_class("types")
