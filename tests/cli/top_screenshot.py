"""Draws the pictures of docs/how-to/top.md anew: ``python -m tests.cli.top_screenshot``."""

import asyncio
import math
import re
from pathlib import Path

import msgspec

import tomada
from tests.cli.top_feed import FRAMES, World, feed_of
from tomada.cli.top.application import Top
from tomada.cli.top.panels import PAGE
from tomada.cli.top.place import feed_place
from tomada.feed.messages import FrameRow, Watch

FOLDER = Path(__file__).parents[2] / "docs" / "how-to"
SIZE = (100, 26)
_FONTS = re.compile(r"\s*@font-face\s*\{.*?\}\n", re.DOTALL)


def drawn(app: Top) -> str:
    """The screen as a picture that needs nothing from elsewhere: its fonts are the reader's own."""
    picture = _FONTS.sub("", app.export_screenshot(title="tomada top"))
    return picture.replace("Fira Code,", "ui-monospace, Menlo, Consolas,").replace(
        "font-family: arial", "font-family: sans-serif"
    )


async def main() -> None:
    """Let something happen, and draw it."""
    world = World(14)
    async with tomada.serve(feed_of(world), "ws://127.0.0.1:0/feed") as server:
        wanted = Watch(sort="received_rate", descending=True, count=PAGE)
        app = Top(feed_place(str(server.addresses[0])), None, wanted)
        async with app.run_test(size=SIZE) as pilot:
            for moment in range(40):
                await happen(world, moment)
            await pilot.press("down")
            await pilot.pause()
            (FOLDER / "top.svg").write_text(drawn(app))
            await pilot.press("enter")
            for moment in range(6):
                world.frames = [frame(world, number) for number in range(moment * 2, moment * 2 + 2)]
                await happen(world, moment)
            world.frames = []
            await pilot.pause()
            (FOLDER / "top-connection.svg").write_text(drawn(app))


async def happen(world: World, moment: int) -> None:
    """A picture more."""
    world.seconds += 0.5
    factor = 1 + 0.4 * math.sin(moment / 4) + 0.2 * math.sin(moment)
    world.connections = [
        msgspec.structs.replace(row, received_rate=12.5 * at * factor, sent_rate=11.0 * at * factor)
        for at, row in enumerate(world.connections, 1)
    ]
    await asyncio.sleep(0.1)


def frame(world: World, number: int) -> FrameRow:
    """One of those that pass in turn."""
    kind, name, size, lane = FRAMES[number % 3]
    is_one = number % 3 == 0
    at = world.seconds % 60 + number / 50
    return FrameRow(at, kind == "ask", kind, name, number // 3 + 1, lane, number + 7, size, count=1 if is_one else 2)


if __name__ == "__main__":
    asyncio.run(main())
