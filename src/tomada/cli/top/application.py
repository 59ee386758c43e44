"""The screen of ``tomada top``: a server live in the terminal."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, ClassVar, Final, get_args

import msgspec
from textual.app import App
from textual.binding import Binding
from textual.widgets import Footer, Input, TabbedContent

from tomada.cli.output import printable
from tomada.cli.top import words
from tomada.cli.top.dialogs import Help, Question
from tomada.cli.top.headings import place
from tomada.cli.top.lines import LogNumbers
from tomada.cli.top.looking import Looking
from tomada.cli.top.panels import PAGE, STYLES, TABS, Panels
from tomada.cli.top.summary import Summary
from tomada.cli.top.tables import LiveTable
from tomada.cli.top.watching import Watcher, check, opened
from tomada.errors import TomadaError
from tomada.feed.messages import Column, Watch

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.screen import Screen

    from tomada.cli.top.place import Place
    from tomada.feed.messages import ConnectionRow, Picture
    from tomada.settings import TLS

LATE: Final = 5.0
"""Without a picture for so many seconds it is said how old the last one is."""
_ON_BASE: Final = ("tab", "filter", "all", "page")
"""What is done on the first screen only."""
_NO_RIGHT: Final = "this needs the right to act: give the dashboard's token with --token, or in TOMADA_TOKEN"


class Top(App[None]):
    """Shows pictures of a server until somebody quits.

    Args:
        where: The server's feed.
        tls: Whom to trust there.
        wanted: What is asked first: what the connections are sorted by, and which.
    """

    TITLE = "tomada top"
    ENABLE_COMMAND_PALETTE = False
    CSS = STYLES
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (36, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("c", "close_connection", "Close"),
        Binding("d", "drain", "Drain"),
        Binding("p", "pause", "Pause"),
        Binding("n", "page(1)", "Next page", show=False),
        Binding("b", "page(-1)", "Page before", show=False),
        Binding("escape", "all", "All", show=False),
        *(Binding(str(number), f"tab('{name}')", show=False) for number, name in enumerate(TABS, 1)),
    ]

    def __init__(self, where: Place, tls: TLS | None, wanted: Watch) -> None:
        super().__init__()
        self.picture: Picture | None = None
        self._numbers = LogNumbers()
        self.watcher = Watcher(where, tls, wanted, self.show, self._numbers.begin_anew)
        self._shown_at = 0.0

    @property
    def _base(self) -> Screen[object]:
        """The screen under all others, which pictures are shown on also while one lies over it."""
        return self.screen_stack[0]

    def compose(self) -> ComposeResult:
        """Summary, tabs, keys."""
        yield Summary()
        yield Panels(self.watcher.wanted)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Watch, and say how it goes."""
        self._base.query_one("#connection-table").focus()
        self.set_interval(0.25, self.show_state)
        self.run_worker(self.watcher.run(), name="watcher")

    def show(self, picture: Picture) -> None:
        """Show how it is now."""
        if not self.is_running:
            return  # somebody quits just now, and the widgets go one by one
        self.picture = picture
        self._shown_at = asyncio.get_running_loop().time()
        base = self._base
        with self.batch_update():
            base.query_one(Summary).show(picture)
            base.query_one(Panels).show(picture, self._numbers.fresh(picture.log), self._page(picture))
            for screen in self.screen_stack:
                if isinstance(screen, Looking) and screen.row.id == self.watcher.wanted.connection:
                    screen.show(picture)
        self.show_state()
        if self.watcher.wanted.first >= max(picture.matching, 1):
            # So many have gone that there is no such page any more.
            self.watcher.ask(first=max(0, picture.matching - 1) // PAGE * PAGE)

    def show_state(self) -> None:
        """Say whether pictures come."""
        if self.is_running:
            self._base.query_one(Summary).show_state(*self._state(), self.watcher.trouble)

    def _state(self) -> tuple[str, str]:
        if self.watcher.is_paused:
            return "paused", "bold yellow"
        if self.watcher.trouble:
            return "lost, resuming…", "bold red"
        if self.picture is None:
            return "connecting…", "dim"
        late = asyncio.get_running_loop().time() - self._shown_at
        if late > max(LATE, 3 * self.watcher.wanted.every):
            return f"no news for {words.age(late)}", "yellow"
        return f"up {words.age(self.picture.seconds)}", "dim"

    def _page(self, picture: Picture) -> str:
        wanted = self.watcher.wanted
        shown = min(len(picture.connections), PAGE)
        if not shown:
            what = "no connections" if not wanted.query else "no connection fits"
        else:
            what = f"{wanted.first + 1:,}-{wanted.first + shown:,} of {picture.matching:,}"
        fitting = f'  containing "{printable(wanted.query)}" (Esc: all)' if wanted.query else ""
        pages = "  n, b: other pages" if picture.matching > PAGE else ""
        return what + fitting + pages

    # What the keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - as Textual has it
        """Which keys do something where one is."""
        where = self._base.query_one(TabbedContent).active if self.screen is self._base else ""
        if action == "close_connection":
            return where == "connections" or isinstance(self.screen, Looking)
        if action == "drain":
            return where == "workers"
        return action not in _ON_BASE or bool(where)

    def action_tab(self, name: str) -> None:
        """Show a panel."""
        tabs = self._base.query_one(TabbedContent)
        tabs.active = name
        tabs.get_pane(name).query("LiveTable, Lines").first().focus()

    def on_tabbed_content_tab_activated(self) -> None:
        """Other keys do something now."""
        self.refresh_bindings()

    def action_help(self) -> None:
        """Show what the keys do."""
        self.push_screen(Help())

    def action_pause(self) -> None:
        """Leave the server alone, or ask it again."""
        self.watcher.go_on() if self.watcher.is_paused else self.watcher.pause()
        self.show_state()

    def action_filter(self) -> None:
        """Ask for the text that connections must contain."""
        self.action_tab(TABS[0])
        line = self._base.query_one("#filter", Input)
        line.add_class("shown")
        line.focus()

    def action_all(self) -> None:
        """Show all connections again."""
        line = self._base.query_one("#filter", Input)
        line.value = ""
        self._leave_filter(line)

    def action_page(self, step: int) -> None:
        """Show the next connections, or those before."""
        matching = self.picture.matching if self.picture else 0
        first = self.watcher.wanted.first + step * PAGE
        if 0 <= first < matching:
            self.watcher.ask(first=first)

    def action_close_connection(self) -> None:
        """Close the connection that was chosen, if that is really wanted."""
        row = self._chosen_connection()
        if row is None:
            return
        if self.picture is None or not self.picture.may_act:
            self._complain(_NO_RIGHT)
            return
        question = f"Close the connection of {place(row.peer)}? It is told goodbye."
        self.push_screen(Question(question, "Close"), lambda yes: self._close(row) if yes else None)

    def action_drain(self) -> None:
        """Let the worker that was chosen end, if that is really wanted."""
        row = self._base.query_one("#worker-table", LiveTable).chosen
        if row is None:
            return
        if self.picture is None or not self.picture.may_act:
            self._complain(_NO_RIGHT)
            return
        question = f"Drain worker {row.number} (process {row.pid})? It ends what is under way, and is replaced."
        self.push_screen(Question(question, "Drain"), lambda yes: self._drain(row.number) if yes else None)

    # What the widgets tell

    def on_live_table_sorted(self, event: LiveTable.Sorted) -> None:
        """The server sorts the connections."""
        if event.table.id == "connection-table" and event.table.order in get_args(Column):
            self.watcher.ask(sort=event.table.order, descending=event.table.descending, first=0)

    def on_data_table_row_selected(self, event: LiveTable.RowSelected) -> None:
        """A connection is to be looked at."""
        row = self._base.query_one("#connection-table", LiveTable).chosen
        if event.data_table.id == "connection-table" and row is not None:
            self.watcher.ask(connection=row.id)
            self.push_screen(Looking(row), lambda _: self.watcher.ask(connection=""))

    def on_input_changed(self, event: Input.Changed) -> None:
        """What connections must contain is being written."""
        self.watcher.ask(query=event.value, first=0)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """It is written."""
        self._leave_filter(event.input)

    def _leave_filter(self, line: Input) -> None:
        line.remove_class("shown")
        self._base.query_one("#connection-table").focus()

    def _chosen_connection(self) -> ConnectionRow | None:
        if isinstance(self.screen, Looking):
            return None if self.screen.is_over else self.screen.row
        row: ConnectionRow | None = self._base.query_one("#connection-table", LiveTable).chosen
        return row

    def _close(self, row: ConnectionRow) -> None:
        self.run_worker(self._acted(self.watcher.close(row.id), f"{place(row.peer)} is closed", "it had ended already"))

    def _drain(self, number: int) -> None:
        self.run_worker(self._acted(self.watcher.drain(number), f"worker {number} drains", "there is no such worker"))

    async def _acted(self, asked: Awaitable[bool], done: str, otherwise: str) -> None:
        try:
            self.notify(done if await asked else otherwise, markup=False)
        except TomadaError as error:
            self._complain(str(error))

    def _complain(self, text: str) -> None:
        self.notify(printable(text), severity="error", markup=False)


async def draw(where: Place, tls: TLS | None, wanted: Watch, wait: float) -> int:
    """Show it until somebody quits; the exit code, which is not 0 where the screen itself has failed.

    Raises:
        UsageError: It is no feed. The terminal is left alone.
        ConnectFailed: Nobody is there.
    """
    async with opened(where, tls, wait=wait) as connection:
        check(connection, where)
    app = Top(where, tls, msgspec.structs.replace(wanted, count=PAGE))
    if sys.platform != "win32":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the terminal is left as it was found
            asyncio.get_running_loop().add_signal_handler(number, app.exit)
    await app.run_async()
    return app.return_code or 0
