"""The subcommands, put together."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from tomada.cli import address, ask, demo_command, dev, diagram, reload, serve, trace, types
from tomada.cli.ports import command as ports
from tomada.cli.top import command as top

EXIT_CODES = (
    "[bold]Exit codes:[/bold] 0 fine · 1 the server answered with an error, or could not reload · 2 wrong usage · "
    "3 could not connect, or could not start to serve · 4 timed out"
)

app = typer.Typer(
    help="Sockets that carry your types, keep their promises, and show what they do.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve", epilog=serve.EXAMPLES)(serve.serve)
app.command("dev", epilog=dev.EXAMPLES)(dev.dev)
app.command("reload", epilog=reload.EXAMPLES)(reload.reload)
app.command("ask", epilog=ask.ASK_EXAMPLES)(ask.ask)
app.command("send", epilog=ask.SEND_EXAMPLES)(ask.send)
app.command("types", epilog=types.EXAMPLES)(types.types)
app.command("address", epilog=address.EXAMPLES)(address.address)
app.command("trace", epilog=trace.EXAMPLES, cls=trace.Command, context_settings=trace.CONTEXT)(trace.trace)
app.command("diagram", epilog=diagram.EXAMPLES)(diagram.diagram)
app.command("top", epilog=top.EXAMPLES)(top.top)
app.command("ports", epilog=ports.EXAMPLES)(ports.ports)
app.command("demo", epilog=demo_command.EXAMPLES)(demo_command.demo)


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"tomada {installed_version('tomada')}")
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=lambda value: _version(wanted=value), is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Sockets that carry your types, keep their promises, and show what they do."""
