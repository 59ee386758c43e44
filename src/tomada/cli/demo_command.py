"""``tomada demo``: the bank at work."""

from __future__ import annotations

from typing import Annotated

import typer

from tomada.cli.output import Json

EXAMPLES = """
[bold]Example:[/bold] tomada demo --seconds 3
"""


def demo(
    *,
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, help="How long the tellers work.")] = 10,
    as_json: Json = False,
) -> None:
    """Run a bank: a server, four client processes that move money, and an audit of the books."""
    from tomada.cli.demo import run_demo

    raise typer.Exit(run_demo(seconds=seconds, as_json=as_json))
