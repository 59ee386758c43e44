"""Pictures of a server where there is no terminal to draw on: JSON for programs, tables once for files and pipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tomada.cli.output import named, print_json, printable
from tomada.cli.top import headings, words
from tomada.cli.top.watching import check, opened

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from rich.table import Table

    from tomada.cli.top.headings import Heading
    from tomada.cli.top.place import Place
    from tomada.feed.messages import LogLine, Picture, Watch
    from tomada.settings import TLS

WIDTH: Final = 10_000
"""Columns of a table that goes to a file."""


async def write_json(pictures: AsyncIterator[Picture], count: int) -> None:
    """A line for each picture, `count` of them, or all there are where it is 0.

    Raises:
        ConnectionLost: The server is gone.
    """
    shown = 0
    async for picture in pictures:
        print_json(named(picture))
        shown += 1
        if shown == count:
            return


async def write_tables(pictures: AsyncIterator[Picture]) -> None:
    """The second picture as tables: the first has no rates yet, as there was none before it."""
    log: list[LogLine] = []
    shown = 0
    async for picture in pictures:
        log += picture.log
        shown += 1
        if shown > 1:
            _print(picture, log)
            return


async def taken(place: Place, tls: TLS | None, wanted: Watch, wait: float) -> AsyncGenerator[Picture]:
    """The pictures, for one ``async for`` inside ``aclosing``.

    Raises:
        UsageError: It is no feed.
        ConnectFailed: Nobody is there.
        ConnectionLost: The server is gone.
    """
    async with opened(place, tls, wait=wait) as connection:
        check(connection, place)
        async with connection.stream(wanted) as pictures:
            async for picture in pictures:
                yield picture


def _print(picture: Picture, log: Sequence[LogLine]) -> None:
    from rich.console import Console

    from tomada.cli.top.texts import log_text

    console = Console(highlight=False, markup=False, width=WIDTH, soft_wrap=True)
    totals = picture.totals
    console.print(
        f"{printable(picture.app)}  {'  '.join(map(printable, picture.addresses))}  up {words.age(picture.seconds)}"
    )
    console.print(
        f"in {words.rate(totals.received_rate)}/s {words.size(totals.received_byte_rate)}/s"
        f"  out {words.rate(totals.sent_rate)}/s {words.size(totals.sent_byte_rate)}/s"
        f"  {words.count(totals.connections)} connections  {words.count(totals.streams)} streams"
        f"  {words.count(totals.handlers)} handlers"
    )
    parts: tuple[tuple[str, Sequence[Any], tuple[Heading, ...]], ...] = (
        ("connections", picture.connections, headings.CONNECTIONS),
        ("types", picture.types, headings.TYPES),
        ("workers", picture.workers, headings.WORKERS),
        ("strikes", picture.strikes, headings.STRIKES),
    )
    for title, rows, columns in parts:
        if rows:
            console.print()
            console.print(title if title != "connections" else _title(picture))
            console.print(_table(rows, columns))
    if log:
        console.print("\nlog")
        for line in log:
            console.print(log_text(line))


def _title(picture: Picture) -> str:
    shown = len(picture.connections)
    return "connections" if shown == picture.matching else f"connections, {shown:,} of {picture.matching:,}"


def _table(rows: Sequence[Any], columns: tuple[Heading, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in columns:
        table.add_column(heading.title, justify="left" if heading.is_text else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(heading.text(row)) for heading in columns))
    return table
