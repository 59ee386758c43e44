"""``tomada ask`` of a request that a stream answers: its items, one line each, as they come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import typer

import tomada
from tomada.cli.output import UsageError, named, print_json
from tomada.event_loop import new_event_loop
from tomada.message import AnyRequest, StreamRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.items.stream import ItemStream
    from tomada.settings import TLS


def print_stream(
    address: str,
    message: Callable[[Any], AnyRequest],
    *,
    limit: int,
    timeout: float | None,
    wait: float,
    tls: TLS | None,
    as_json: bool,
) -> None:
    """Print what the stream gives, up to `limit` items (0: all); Ctrl-C cancels it at the other end.

    Raises `TimedOut` where it has not ended after `timeout` seconds.
    """

    async def main() -> None:
        async with tomada.connect(address, wait=wait, tls=tls) as connection:
            request = message(connection)
            if not isinstance(request, StreamRequest):
                raise UsageError(f"{type(request).__name__} takes a stream, which no command can: ask it in a program")
            await _print(connection.stream(request), limit, timeout, as_json=as_json)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())


async def _print(items: ItemStream[Any], limit: int, timeout: float | None, *, as_json: bool) -> None:
    count = 0
    try:
        async with asyncio.timeout(timeout), items:
            async for item in items:
                _print_item(item, as_json=as_json)
                count += 1
                if count == limit:
                    break
    except TimeoutError:
        raise tomada.TimedOut(f"the stream has not ended within {timeout:g} s: it gave {count} items") from None


def _print_item(item: Any, *, as_json: bool) -> None:
    value = named(item)
    if as_json:
        print_json(value if isinstance(value, dict) else {"item": value})
    elif isinstance(value, dict):
        typer.echo(" ".join([type(item).__name__, *[f"{name}={each!r}" for name, each in value.items()]]))
    else:
        typer.echo(str(value))
