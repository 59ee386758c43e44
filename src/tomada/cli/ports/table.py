"""The survey as people read it: one table of who listens, one of connections where they are asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tomada.cli.output import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

    from tomada.cli.ports.rows import Connected, Listening, OwnServer, Survey
    from tomada.transports.system.socket_table import Process

WIDE: Final = 110
"""From so many columns on there is room for services, users and the states of connections."""
NARROW: Final = 64
"""With fewer columns there is room for addresses and processes only."""
_LONGEST_COMMAND: Final = 60
_ADDRESS: Final = len("255.255.255.255:65535")


def drawn(survey: Survey, width: int, rows: int | None = None) -> RenderableType:
    """The tables, and what must be said below them.

    Args:
        survey: What there is.
        width: Columns of the terminal.
        rows: At most so many rows of each table, for a screen that does not scroll; all where it is None.
    """
    from rich.console import Group

    parts: list[RenderableType] = []
    if survey.listening:
        parts.append(_listening(survey.listening[:rows], width))
    if survey.connected:
        parts += [*([""] if parts else []), _connected(survey.connected[:rows], width)]
    remarks = [_dim(text) for text in _remarks(survey, rows)]
    return Group(*parts, *([""] if parts and remarks else []), *remarks)


def drawn_for(console: Console, survey: Survey) -> RenderableType:
    """The same for a screen that does not scroll: as many rows as there is room for, with all that is said below."""
    rows = console.height
    while True:
        tables = drawn(survey, console.width, rows)
        excess = len(console.render_lines(tables, pad=False)) - console.height
        if excess <= 0 or rows <= 1:
            return tables
        rows = max(1, rows - max(1, excess // 4))


def _listening(rows: Sequence[Listening], width: int) -> Table:
    if width < NARROW:
        table = _table("listening on", "process")
        for row in rows:
            table.add_row(_text(row.address, "cyan" if row.tomada else ""), _processes(row, is_wide=False))
        return table
    is_wide = width >= WIDE
    has_queues = is_wide or any(row.waiting for row in rows)
    table = _table("listening on", "protocol", "class")
    if is_wide:
        table.add_column("service")
    if has_queues:
        table.add_column("waiting", justify="right")
    table.add_column("connections", justify="left" if is_wide else "right", overflow="fold")
    table.add_column("process", overflow="fold")
    if is_wide:
        table.add_column("user", no_wrap=True)
    for row in rows:
        class_ = "" if row.port is None else row.class_ or ""
        cells = [_text(row.address, "cyan" if row.tomada else ""), _text(_protocol(row)), _text(class_, "dim")]
        cells += [_text(row.service or "", "dim")] if is_wide else []
        cells += [_waiting(row)] if has_queues else []
        cells += [_text(_connections(row, is_wide=is_wide)), _processes(row, is_wide=is_wide)]
        table.add_row(*cells, *([_text(_users(row))] if is_wide else []))
    return table


def _connected(rows: Sequence[Connected], width: int) -> Table:
    is_wide = width >= WIDE
    has_queues = is_wide or any(row.unread or row.unsent for row in rows)
    table = _table("connected from", "to", "state")
    for heading in ("unread", "unsent") if has_queues else ():
        table.add_column(heading, justify="right")
    table.add_column("process", overflow="fold")
    if is_wide:
        table.add_column("protocol")
    for row in rows:
        cells = [_text(row.address), _text(row.peer), _text(row.state, _STATES.get(row.state, ""))]
        cells += [_text(f"{size:,}" if size else "") for size in (row.unread, row.unsent)] if has_queues else []
        cells += [_processes(row, is_wide=is_wide)]
        table.add_row(*cells, *([_text(row.protocol)] if is_wide else []))
    return table


_STATES: Final = {"established": "green", "connected": "green", "close-wait": "yellow", "time-wait": "dim"}


def _table(first: str, *others: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for heading in (first, *others):
        table.add_column(heading, overflow="fold", min_width=_ADDRESS if heading in (first, "to") else len(heading))
    return table


def _protocol(row: Listening) -> str:
    return row.protocol if row.sockets == 1 else f"{row.protocol} x{row.sockets}"


def _waiting(row: Listening) -> Text:
    if row.waiting is None:
        return _text("")
    if row.limit is None:
        return _text(f"{row.waiting:,} B" if row.protocol.startswith("udp") and row.waiting else f"{row.waiting or ''}")
    is_full = row.waiting > row.limit  # the kernel takes one more than the limit
    is_half = row.waiting * 2 > row.limit
    return _text(f"{row.waiting:,}/{row.limit:,}", "bold red" if is_full else "yellow" if is_half else "")


def _connections(row: Listening, *, is_wide: bool) -> str:
    if not row.connections:
        return ""
    if not is_wide:
        return f"{sum(row.connections.values()):,}"
    return ", ".join(f"{count:,} {state}" for state, count in row.connections.items())


def _processes(row: Listening | Connected, *, is_wide: bool) -> Text:
    if not row.processes:
        is_over = getattr(row, "state", "") == "time-wait"
        return _text("" if is_over else f"{row.user or 'somebody'}'s, not visible", "dim italic")
    # Of those that share it the oldest is most often the one that the others come from.
    first, *others = row.processes
    if row.tomada is not None:
        return _text(f"{row.tomada.pid} ").append(_own(row.tomada), "bold cyan")
    text = _text(f"{first.pid} {printable(first.name)}")
    if others:
        text.append(f" and {len(others)} more", "dim")
    if is_wide and first.command:
        text.append(f"  {_command(first)}", "dim")
    return text


def _own(server: OwnServer) -> str:
    workers = f", {server.workers} worker{'' if server.workers == 1 else 's'}" if server.workers else ""
    return f"tomada {printable(server.app.rpartition('/')[2])}{workers}"


def _command(process: Process) -> str:
    command = printable(process.command)
    return command if len(command) <= _LONGEST_COMMAND else f"{command[: _LONGEST_COMMAND - 1]}…"


def _users(row: Listening) -> str:
    users = dict.fromkeys([process.user for process in row.processes] or [row.user])
    return ", ".join(users)


def _remarks(survey: Survey, rows: int | None) -> Iterator[str]:
    if not (survey.listening or survey.connected):
        yield "nobody listens there"
    if rows is not None:
        hidden = sum(max(0, len(found) - rows) for found in (survey.listening, survey.connected))
        if hidden:
            yield f"and {hidden:,} more rows: make the window taller, or name a port"
    if survey.unseen:
        what = "belongs to a process" if survey.unseen == 1 else "belong to processes"
        yield f"{survey.unseen:,} of them {what} that cannot be seen from here: {_why_unseen()}"
    if survey.unix_left_out:
        yield f"and {survey.unix_left_out:,} Unix sockets: --unix shows them"
    if survey.nameless_left_out:
        yield f"and {survey.nameless_left_out:,} ends of Unix sockets without a path, which cannot be told apart"
    yield from survey.notes


def _why_unseen() -> str:
    is_root = hasattr(os, "geteuid") and not os.geteuid()
    return "in another container, or the system's own" if is_root else "another user's; root sees them (sudo)"


def _text(words: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(printable(words), style=style)


def _dim(words: str) -> Text:
    return _text(words, "dim")
