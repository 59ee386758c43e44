"""The options that say what is served, and where."""

from __future__ import annotations

from typing import Annotated

import typer

from tomada.cli.job import DEFAULT_ADDRESS

Target = Annotated[
    str,
    typer.Argument(metavar="FILE_OR_MODULE[:APP]", help="Where the tomada.App is, as bank.py or package.module:app."),
]
Bind = Annotated[
    list[str] | None,
    typer.Option(
        "--bind",
        "-b",
        metavar="ADDRESS",
        help="Where to listen; may be repeated. Port 0 takes a free one. "
        f"By default {DEFAULT_ADDRESS}, or what the handlers of streams and datagrams name.",
        show_default=False,
    ),
]
Origin = Annotated[
    list[str] | None,
    typer.Option(
        "--origin",
        metavar="ORIGIN",
        help="A web page's origin, as https://example.com, that may connect to ws addresses; may be repeated.",
    ),
]
