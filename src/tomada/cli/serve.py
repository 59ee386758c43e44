"""``tomada serve``: run an application."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING, Annotated, Any

import typer

import tomada
from tomada.address import Address
from tomada.cli import certificates
from tomada.cli.certificates import Authority, Certificate, Development, Key, server_tls
from tomada.cli.loading import load_app
from tomada.cli.output import ExitCode, Json, errors_told, print_json
from tomada.errors import TomadaError
from tomada.message import Request

if TYPE_CHECKING:
    from tomada.app import App
    from tomada.server import Server

DEFAULT_ADDRESS = "tcp://127.0.0.1:4477"
EXAMPLES = """
[bold]Examples:[/bold]

  tomada serve bank.py

  tomada serve bank:app --bind tcp://:4477 --bind unix:///tmp/bank.sock

  tomada serve bank.py --bind ws://127.0.0.1:4477 --origin http://localhost:8000

  tomada serve bank.py --bind tls://127.0.0.1:4477 --tls-dev

  tomada serve bank.py --bind tls://:4477 --tls-certificate server.pem --tls-key server-key.pem
"""


def serve(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE_OR_MODULE[:APP]", help="Where the tomada.App is, as bank.py or package.module:app."
        ),
    ],
    *,
    bind: Annotated[
        list[str] | None,
        typer.Option(
            "--bind",
            "-b",
            metavar="ADDRESS",
            help="Where to listen; may be repeated. Port 0 takes a free one. "
            f"By default {DEFAULT_ADDRESS}, or what the handlers of streams and datagrams name.",
            show_default=False,
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            "--origin",
            metavar="ORIGIN",
            help="A web page's origin, as https://example.com, that may connect to ws addresses; may be repeated.",
        ),
    ] = None,
    certificate: Certificate = "",
    key: Key = "",
    authority: Authority = "",
    development: Development = False,
    as_json: Json = False,
) -> None:
    """Serve an application until Ctrl-C, which lets it end what is under way; a second one ends it at once."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    with errors_told(as_json=as_json):
        tls = server_tls(certificate, key, authority, development=development)
        app = _load(target)
        logging.getLogger("tomada").setLevel(logging.WARNING if sys.stderr.isatty() else logging.INFO)
        if development:
            certificates.warn()
        serving = tomada.serve(app, *(bind or _default(app)), tls=tls, origins=tuple(origin or ()))
        option = " --tls-dev" if development else ""
        serving.run(ready=lambda server: _tell(app, server, as_json=as_json, option=option))


def _load(target: str) -> App:
    try:
        return load_app(target)
    except TomadaError:
        raise
    except Exception:  # noqa: BLE001 - whatever it raises is the application's own fault: its author sees where
        traceback.print_exc()
        typer.echo(f"error: {target} cannot be imported", err=True)
        raise typer.Exit(ExitCode.UNREACHED) from None


def _default(app: App) -> list[str]:
    """Where to listen by default; nowhere else where the application only handles streams or datagrams."""
    return [] if app.has_addresses and not app.handlers else [DEFAULT_ADDRESS]


def _tell(app: App, server: Server, *, as_json: bool, option: str) -> None:
    addresses = [str(address) for address in server.addresses]
    if as_json:
        print_json({"event": "listening", "app": app.name, "addresses": addresses})
        return
    typer.echo(f"{typer.style(app.name, bold=True)} listens on")
    for address in addresses:
        typer.secho(f"  {address}", fg="cyan")
    if app.handlers and server.addresses[0].scheme not in ("udp", "unixgram"):
        here = reachable(server.addresses[0])
        option = option if here.startswith(("tls", "wss")) else ""
        typer.echo("try")
        typer.echo(f"  tomada types {here}{option}")
        typer.echo(f"  {example(next(iter(app.handlers)), here)}{option}")
    typer.secho("Ctrl-C stops it", dim=True)
    sys.stdout.flush()


def reachable(address: Address) -> str:
    """How a client on this machine names `address`: no certificate is for "all interfaces"."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104 - as listeners name it
    return str(Address(address.scheme, host, address.port, address.path))


def example(kind: type[Any], address: str) -> str:
    """The command that speaks to a handler of `kind`, with the fields that must be given."""
    required = kind.__struct_fields__[: len(kind.__struct_fields__) - len(kind.__struct_defaults__)]
    verb = "ask" if issubclass(kind, Request) else "send"
    return f"tomada {verb} {address} {kind.__name__}" + "".join(f" {name}=…" for name in required)
