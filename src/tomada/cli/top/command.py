"""``tomada top``: a server live in the terminal."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Final, get_args

import typer

from tomada.cli.certificates import Authority, Certificate, Development, Key, client_tls
from tomada.cli.output import Json, UsageError, Wait, errors_told

if TYPE_CHECKING:
    from tomada.cli.top.place import Place
    from tomada.feed.messages import Watch
    from tomada.settings import TLS

EXAMPLES = """
[bold]Examples:[/bold]

  tomada top 127.0.0.1:4480

  tomada top 'http://127.0.0.1:4480/#token=…'

  tomada top :4480 --sort received_rate --descending --filter 10.0.

  tomada top :4480 --json --count 1
"""
_NO_TEXTUAL: Final = "tomada top needs a package that is not installed: pip install 'tomada[top]'; --json does without"

FeedAddress = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS",
        help="Of the server's dashboard: 127.0.0.1:4480, its URL as it was shown, or any address of a feed.",
    ),
]
Token = Annotated[
    str,
    typer.Option("--token", envvar="TOMADA_TOKEN", metavar="TOKEN", help="Gives the right to close and to drain."),
]
Filter = Annotated[
    str, typer.Option("--filter", "-f", metavar="TEXT", help="Only connections that contain this.", show_default=False)
]
Sort = Annotated[str, typer.Option("--sort", "-s", metavar="COLUMN", help="What connections are sorted by.")]
Descending = Annotated[bool, typer.Option("--descending", "-d", help="The greatest first.")]
Every = Annotated[float, typer.Option("--every", min=0.5, max=60, help="Seconds between two pictures.")]
Count = Annotated[
    int, typer.Option("--count", "-n", min=0, help="With --json: end after so many pictures; 0: when the server does.")
]
Rows = Annotated[int, typer.Option("--rows", min=0, max=200, help="Without a screen: so many connections.")]


def top(
    address: FeedAddress,
    *,
    token: Token = "",
    filter_: Filter = "",
    sort: Sort = "peer",
    descending: Descending = False,
    every: Every = 0.5,
    rows: Rows = 50,
    count: Count = 0,
    wait: Wait = 0,
    certificate: Certificate = "",
    key: Key = "",
    authority: Authority = "",
    development: Development = False,
    as_json: Json = False,
) -> None:
    """Watch a server live: connections, types, workers, limits that struck, log; sorted, filtered, looked into.

    The server needs a dashboard: `tomada serve … --dashboard 127.0.0.1:4480`; `tomada dev` has one. Without a terminal
    it prints tables once, with --json a line for each picture. The screen needs the extra `top`.
    """
    from tomada.cli.top.place import feed_place
    from tomada.feed.messages import Watch

    with errors_told(as_json=as_json):
        _check_column(sort)
        place = feed_place(address, token)
        tls = client_tls(certificate, key, authority, development=development)
        wanted = Watch(query=filter_, sort=sort, descending=descending, every=every, count=rows)  # type: ignore[arg-type]
        if as_json or not sys.stdout.isatty():
            _write(place, tls, wanted, count, wait, as_json=as_json)
        else:
            _draw(place, tls, wanted, wait)


def _check_column(name: str) -> None:
    from tomada.feed.messages import Column

    if name not in get_args(Column):
        raise UsageError(f"there is no column {name!r} to sort by: take one of {', '.join(get_args(Column))}")


def _write(place: Place, tls: TLS | None, wanted: Watch, count: int, wait: float, *, as_json: bool) -> None:
    from contextlib import aclosing

    from tomada.cli.top.writing import taken, write_json, write_tables
    from tomada.event_loop import new_event_loop

    async def main() -> None:
        async with aclosing(taken(place, tls, wanted, wait)) as pictures:
            await (write_json(pictures, count) if as_json else write_tables(pictures))

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())


def _draw(place: Place, tls: TLS | None, wanted: Watch, wait: float) -> None:
    try:
        import textual  # noqa: F401 - only whether it is there
    except ImportError:
        raise UsageError(_NO_TEXTUAL) from None
    from tomada.cli.top.application import draw

    # Textual gives its loop a factory of eager tasks, which not every uvloop and Python take together.
    code = asyncio.run(draw(place, tls, wanted, wait))
    if code:
        raise typer.Exit(code)
