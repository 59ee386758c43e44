"""What is shown when a server listens: where, from where, and what to try."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec
import typer

from tomada.address import Address
from tomada.cli.examples import Example, examples
from tomada.transports.system.resolution import is_link_local, is_loopback, own_hosts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tomada.app import App

_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - as listeners name them
_SECURE = ("tls", "wss")


class About(msgspec.Struct, frozen=True):
    """What an application understands."""

    examples: tuple[Example, ...]
    types: int
    """How many message types it handles."""


def about(app: App) -> About:
    """What `app` understands."""
    return About(examples(app.handlers), len(app.handlers))


def reachable(address: Address) -> str:
    """How a client on this machine names `address`: no certificate is for "all interfaces"."""
    return _at(address, _ALL.get(address.host, address.host))


def elsewhere(address: Address, hosts: Sequence[str] | None = None) -> list[str]:
    """How clients on other machines name `address`; nothing where they cannot reach it.

    Args:
        address: One that is listened on.
        hosts: What others call this machine; by default, what the system says.
    """
    if address.scheme in ("unix", "unixgram", "memory"):
        return []
    if address.host not in _ALL:
        return [] if is_loopback(address.host) else [str(address)]
    is_six = address.host == "::"
    found = own_hosts() if hosts is None else hosts
    return [_at(address, host) for host in found if (":" in host) is is_six and not is_link_local(host)]


def _at(address: Address, host: str) -> str:
    return str(Address(address.scheme, host, address.port, address.path))


def tell_listening(
    app: str, addresses: Sequence[str], known: About, *, option: str = "", dashboard: str = "", develops: bool
) -> None:
    """Show it to people.

    Args:
        app: The application's name.
        addresses: Where it listens.
        known: What it understands.
        option: What clients of encrypted addresses must add to their commands.
        dashboard: Where browsers find it; empty: there is none.
        develops: Whether to show the addresses for other machines, and values for the fields.
    """
    typer.echo(f"{typer.style(app, bold=True)} listens on")
    places = [Address.parse(address) for address in addresses]
    for place in places:
        typer.secho(f"  {place}", fg="cyan")
        if develops:
            _tell_ways(place)
    if dashboard:
        typer.echo("watch it at")
        typer.secho(f"  {dashboard}", fg="cyan")
    if known.types and places[0].scheme not in ("udp", "unixgram"):
        here = reachable(places[0])
        option = option if here.startswith(_SECURE) else ""
        typer.echo("try")
        typer.echo(f"  tomada types {here}{option}")
        for example in known.examples if develops else known.examples[:1]:
            typer.echo(f"  {example.command(here, values=develops)}{option}")
        if develops and known.types > len(known.examples):
            typer.secho(f"  and {known.types - len(known.examples)} more: tomada types {here}{option}", dim=True)
    typer.secho("Ctrl-C stops it", dim=True)
    sys.stdout.flush()


def seen_at(dashboard: str) -> dict[str, str]:
    """What programs are told of the dashboard: nothing where there is none."""
    return {"dashboard": dashboard} if dashboard else {}


def _tell_ways(place: Address) -> None:
    here = reachable(place)
    if here != str(place):
        typer.echo(f"    from here       {here}")
    for other in elsewhere(place):
        if other != str(place):
            typer.echo(f"    from elsewhere  {other}")
