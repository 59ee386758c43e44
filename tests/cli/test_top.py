import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import TabbedContent

import tomada
from tests.cli.top_feed import World, a_connection, feed_of
from tomada.cli.top.application import Top
from tomada.cli.top.dialogs import Help, Question
from tomada.cli.top.looking import Looking
from tomada.cli.top.panels import PAGE
from tomada.cli.top.place import feed_place
from tomada.cli.top.tables import MOST_ROWS, LiveTable
from tomada.feed.messages import FrameRow, LogLine, Strike, TypeRow, Watch, WorkerRow

PATIENCE = 40
HOSTILE = "[red]a\x1b[2J\x07\u202e[/]"
HARMLESS = "[red]a�[2J��[/]"


class Seen:
    """An open screen, and the made-up server that it shows."""

    def __init__(self, app: Top, pilot: Pilot[None], world: World) -> None:
        self.app = app
        self.world = world
        self._pilot = pilot

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips())

    @property
    def table(self) -> LiveTable:
        """Of the connections."""
        return self.app.screen_stack[0].query_one("#connection-table", LiveTable)

    @property
    def chosen(self) -> str:
        """The peer of the connection under the cursor."""
        row = self.table.chosen
        assert row is not None
        return str(row.peer)

    @property
    def peers(self) -> list[str]:
        """Of the connections that are shown, in their order."""
        return [row.peer.rpartition(":")[2] for row in self.table.rows_shown]

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)

    async def click_heading(self, column: int) -> None:
        await self._pilot.click("#connection-table", offset=(column, 0))

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - a screen tells nobody that it has changed
                await asyncio.sleep(0.03)

    async def shows(self, *texts: str) -> None:
        try:
            await self.until(lambda: all(text in self.text for text in texts))
        except TimeoutError:
            pytest.fail(f"{[text for text in texts if text not in self.text]} missing in\n{self.text}")


@asynccontextmanager
async def opened(world: World, wanted: Watch | None = None, width: int = 80, height: int = 24) -> AsyncIterator[Seen]:
    async with tomada.serve(feed_of(world), "ws://127.0.0.1:0/feed") as server:
        app = Top(feed_place(str(server.addresses[0])), None, msgspec.structs.replace(wanted or Watch(), count=PAGE))
        app.animation_level = "none"
        async with app.run_test(size=(width, height), notifications=True) as pilot:
            seen = Seen(app, pilot, world)
            await seen.until(lambda: app.picture is not None)
            yield seen


def on_screen(test: Callable[[Seen], Awaitable[None]], world: World | None = None, **options: Any) -> None:
    async def main() -> None:
        async with opened(world or World(), **options) as seen:
            await test(seen)

    asyncio.run(main())


def test_what_is_seen_at_first() -> None:
    async def test(seen: Seen) -> None:
        await seen.shows("bank  127.0.0.1:4477 and 1 more", "up 1:02:05", "3 connections  0 streams", "2 turned away")
        await seen.shows("75.0/s", "peer▲", "10.0.0.1:50001", "10.0.0.3:50003", "1-3 of 3", "q Quit")
        lines = seen.text.splitlines()
        assert len(lines) == 24
        assert all(len(line) <= 80 for line in lines)

    on_screen(test)


def test_connections_are_sorted_by_keys_and_by_a_click() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("greater_than_sign")
        await seen.until(lambda: seen.world.asked[-1].sort == "state")
        await seen.press("less_than_sign")
        await seen.until(lambda: seen.world.asked[-1].sort == "peer")
        assert not seen.world.asked[-1].descending
        await seen.press("r")
        await seen.until(lambda: seen.peers == ["50003", "50002", "50001"])
        assert "peer▼" in seen.text
        await seen.click_heading(36)  # the age
        await seen.until(lambda: seen.world.asked[-1].sort == "age")
        assert seen.world.asked[-1].descending, "numbers: the greatest first"

    on_screen(test)


def test_the_order_can_be_asked_for_at_the_start() -> None:
    async def test(seen: Seen) -> None:
        assert seen.peers == ["50003", "50002", "50001"]
        assert "▼in/s" in seen.text

    on_screen(test, wanted=Watch(sort="received_rate", descending=True))


def test_only_connections_that_contain_a_text() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("slash", *"50002")
        await seen.until(lambda: seen.peers == ["50002"])
        await seen.press("enter")
        await seen.shows('1-1 of 1  containing "50002" (Esc: all)')
        await seen.press("escape")
        await seen.until(lambda: len(seen.peers) == 3)
        await seen.press("slash", "q", "x")  # letters are written, and quit nothing
        await seen.shows("no connection fits")
        await seen.press("escape")
        await seen.shows("1-3 of 3")

    on_screen(test)


def test_the_cursor_stays_with_the_connection_that_was_chosen() -> None:
    async def test(seen: Seen) -> None:
        seen.world.connections.insert(0, a_connection(0))
        await seen.until(lambda: seen.peers[0] == "50000")
        assert seen.table.cursor_row == 0, "nobody has chosen yet"
        await seen.press("down", "down")
        assert seen.chosen.endswith("50002")
        await seen.press("r")
        await seen.until(lambda: seen.peers[0] == "50003")
        assert (seen.table.cursor_row, seen.chosen[-5:]) == (1, "50002")
        seen.world.connections = [row for row in seen.world.connections if not row.peer.endswith("50003")]
        await seen.until(lambda: len(seen.peers) == 3)
        assert (seen.table.cursor_row, seen.chosen[-5:]) == (0, "50002")
        seen.world.connections = []
        await seen.shows("no connections")
        assert seen.table.chosen is None

    on_screen(test)


def test_pages() -> None:
    async def test(seen: Seen) -> None:
        await seen.shows("1-100 of 250  n, b: other pages")
        await seen.press("n")
        await seen.shows("101-200 of 250")
        await seen.press("n", "n")
        await seen.shows("201-250 of 250")
        await seen.press("b")
        await seen.shows("101-200 of 250")
        await seen.press("r")
        await seen.shows("1-100 of 250")
        await seen.press("b")
        assert seen.app.watcher.wanted.first == 0
        await seen.press("n", "n")
        await seen.shows("201-250 of 250")
        del seen.world.connections[120:]
        await seen.shows("101-120 of 120")
        seen.world.connections.clear()
        await seen.shows("no connections")
        assert seen.app.watcher.wanted.first == 0

    on_screen(test, World(250))


def test_the_other_panels() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("2")
        await seen.shows("Transfer", "56.0", "250 µs", "4 ms", "1,234")
        await seen.press("3")
        await seen.shows("4711", "serving", "1:02:05", "3.4%", "46 MiB", "draining", "d Drain")
        await seen.press("4")
        await seen.shows("message_bytes", "16 MiB", "10.0.0.9:4242")
        await seen.press("5")
        await seen.shows("INFO", "bank listens on tcp://127.0.0.1:4477")
        assert "Close" not in seen.text, "there is nothing to close here"
        await seen.press("1")
        assert seen.app.query_one(TabbedContent).active == "connections"

    on_screen(test)


def test_the_other_tables_sort_themselves() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("2")
        table = seen.app.query_one("#type-table", LiveTable)
        assert [row.name for row in table.rows_shown] == ["Transfer", "Balance"]
        await seen.press("r")
        assert [row.name for row in table.rows_shown] == ["Balance", "Transfer"]
        await seen.press("greater_than_sign")  # p50, which Balance does not have
        assert [row.name for row in table.rows_shown] == ["Transfer", "Balance"]
        assert [question.sort for question in seen.world.asked] == ["peer"], "that is nothing to the server"

    on_screen(test)


def test_a_connection_is_looked_at() -> None:
    async def test(seen: Seen) -> None:
        world = seen.world
        world.frames_passed_over = 7
        world.frames = [
            FrameRow(63.25, True, "ask", "Transfer", 3, "normal", 12, 33),
            FrameRow(63.5, False, "send", "Freeze", 0, "urgent", 1, 9, count=4, is_repeated=True),
        ]
        await seen.press("down", "enter")
        await seen.shows("10.0.0.2:50002", "tomada/0.1", "not handled 120 B")
        await seen.shows("… 7 messages passed over", "1:03.250  ← ask", "Transfer", "33 B  normal  #12", "id 3")
        await seen.shows("1:03.500  → send        Freeze x4", "urgent  #1      again")
        assert world.asked[-1].connection == "1-2"
        world.connections = world.connections[:1]
        await seen.shows("the connection has ended", "closed")
        await seen.press("escape")
        await seen.until(lambda: world.asked[-1].connection == "")
        await seen.shows("1-1 of 1")

    on_screen(test)


def test_a_connection_is_closed_when_that_is_confirmed() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("c")
        await seen.shows("Close the connection of 10.0.0.1:50001?")
        await seen.press("n")
        assert not isinstance(seen.app.screen, Question)
        await seen.press("c", "enter")  # the careful answer comes first
        assert seen.world.closed == []
        await seen.press("c", "y")
        await seen.shows("10.0.0.1:50001 is closed", "1-2 of 2")
        assert seen.world.closed == ["1-1"]
        await seen.press("enter")
        await seen.until(lambda: isinstance(seen.app.screen, Looking))
        await seen.press("c", "right", "enter")
        await seen.until(lambda: seen.world.closed == ["1-1", "1-2"])
        await seen.shows("the connection has ended")

    on_screen(test)


def test_a_worker_is_drained_when_that_is_confirmed() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("d", "3", "down", "d")
        await seen.shows("Drain worker 2 (process 4712)?")
        await seen.press("y")
        await seen.shows("worker 2 drains")
        assert seen.world.drained == [2]

    on_screen(test)


def test_without_the_right_nothing_is_asked() -> None:
    world = World()
    world.may_act = False

    async def test(seen: Seen) -> None:
        await seen.press("c")
        await seen.shows("this needs the right to act")
        await seen.press("3", "d")
        assert not isinstance(seen.app.screen, Question)
        assert (world.closed, world.drained) == ([], [])

    on_screen(test, world)


def test_a_refusal_is_told() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("c")
        seen.world.may_act = False
        await seen.press("y")
        await seen.shows("NotAllowed", "with its token")

    on_screen(test)


def test_what_peers_say_is_no_markup_and_moves_no_cursor() -> None:
    world = World(0)
    world.connections = [a_connection(1, peer=HOSTILE, software=HOSTILE, state=HOSTILE, kind=HOSTILE)]
    world.types = [TypeRow(HOSTILE, 1, 1, 0, 0, None, None)]
    world.workers = [WorkerRow(1, 1, 1, HOSTILE, 1, 0, 1)]
    world.strikes = [Strike("limit", HOSTILE, 1, 1, HOSTILE, 1)]
    world.log = [LogLine(1, time.time(), HOSTILE, f"{HOSTILE}\n{HOSTILE}")]
    world.frames = [FrameRow(1, True, HOSTILE, HOSTILE, 1, HOSTILE, 1, 1)]

    async def test(seen: Seen) -> None:
        for key in "12345":
            await seen.press(key)
            await seen.shows(HARMLESS[:7])  # columns are narrow
        await seen.press("1", "enter")
        await seen.shows(f"software    {HARMLESS}", f"← {HARMLESS[:7]}")
        await seen.press("c")
        await seen.shows(f"Close the connection of {HARMLESS}?")
        await seen.press("y")
        await seen.shows(f"{HARMLESS} is closed")
        assert not {"\x1b", "\x07", "\u202e"} & set(seen.text)

    on_screen(test, world)


def test_a_pause_leaves_the_server_alone() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("p")
        await seen.shows("paused")
        shown = seen.app.picture
        seen.world.connections = []
        await seen.press("r", "2", "1")
        assert seen.app.picture is shown
        await seen.press("p")
        await seen.shows("no connections", "up 1:02")
        assert seen.world.asked[-1].descending, "what was asked for meanwhile"

    on_screen(test)


def test_the_server_goes_and_comes_back() -> None:
    async def main() -> None:
        world = World()
        async with opened(world) as seen:
            await seen.press("down", "5")
            await seen.shows("bank listens on")
            server = seen.app.watcher.place.address
            seen.app.watcher.place = feed_place("ws://127.0.0.1:1/feed")
            seen.app.watcher._connection._link.transport.abort()  # type: ignore[union-attr]
            await seen.shows("lost, resuming…", "cannot connect to ws://127.0.0.1:1/feed")
            world.log.append(LogLine(0, time.time(), "INFO", "another life"))
            world.log.reverse()
            seen.app.watcher.place = feed_place(str(server))
            await seen.shows("up 1:02", "another life", "3 connections")
            assert seen.text.count("bank listens on") == 1
            assert "passed over" not in seen.text
            assert seen.chosen.endswith("50002")

    asyncio.run(main())


def test_lines_of_the_log_that_were_missed_are_counted() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("5")
        seen.world.log += [LogLine(number, time.time(), "WARNING", f"line {number}", 2) for number in (4, 5)]
        await seen.shows("… 2 passed over", "WARNING [2] line 4", "line 5")

    on_screen(test)


def test_news_that_do_not_come_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomada.cli.top.application.LATE", 0.0)

    async def test(seen: Seen) -> None:
        seen.app._shown_at -= 61
        await seen.shows("no news for 1:0")
        seen.app._shown_at = asyncio.get_running_loop().time() - 61
        assert seen.app._state() == ("no news for 1:01", "yellow")
        seen.app.picture = None
        assert seen.app._state() == ("connecting…", "dim")

    on_screen(test)


def test_help_tells_the_keys() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("question_mark")
        await seen.shows("sort by another column", "needs the token")
        assert isinstance(seen.app.screen, Help)
        await seen.press("escape")
        await seen.shows("1-3 of 3")

    on_screen(test)


def test_on_a_small_screen_all_of_the_help_can_be_read() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("question_mark")
        await seen.shows("choose a row")
        await seen.press("end")
        await seen.shows("quit")

    on_screen(test, width=40, height=12)


def test_on_a_narrow_screen_no_line_at_the_top_pushes_another_one_out() -> None:
    async def test(seen: Seen) -> None:
        await seen.shows("75.0/s")
        assert seen.text.splitlines()[2].startswith(" in ")

    on_screen(test, width=40)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_it_is_left(key: str) -> None:
    async def test(seen: Seen) -> None:
        await seen.press(key)
        assert not seen.app.is_running

    on_screen(test)


def test_a_wide_terminal_shows_more_columns() -> None:
    async def test(seen: Seen) -> None:
        await seen.shows("bytes out", "handlers", "messages", "3.5 MiB")

    on_screen(test, width=160)


def test_a_tall_terminal_shows_types_and_log_below_the_connections() -> None:
    async def test(seen: Seen) -> None:
        await seen.shows("10.0.0.1:50001", "250 µs", "bank listens on")
        seen.app.query_one("#types-below").focus()
        await seen.press("greater_than_sign", "enter")
        assert seen.app.query_one("#types-below", LiveTable).order == "p50"
        assert not isinstance(seen.app.screen, Looking)

    on_screen(test, width=130, height=40)


def test_what_is_endless_is_cut() -> None:
    world = World(0)
    world.types = [TypeRow(f"{number:05}{'x' * 1_000}", 1, 1, 0, 0, None, None) for number in range(MOST_ROWS + 1)]
    world.connections = [a_connection(1, software="x" * 100_000)]

    async def test(seen: Seen) -> None:
        await seen.until(lambda: len(seen.app.query_one("#type-table", LiveTable).rows_shown) == MOST_ROWS)
        await seen.press("enter")
        await seen.shows("software    xxx")

    on_screen(test, world)
