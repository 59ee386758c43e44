"""The options of ``tomada serve`` and ``tomada dev`` about the dashboard."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from tomada.address import Address
from tomada.cli.groups import Choice, Group
from tomada.errors import AddressError

HOST = "127.0.0.1"
PORT = 4480


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is said about the dashboard."""

    at: str = ""
    token: str = ""
    is_remote: bool = False
    is_off: bool = False


def _wanted(**values: str | bool) -> Wanted:
    wanted = Wanted(**values)  # type: ignore[arg-type] # typer has read them
    if not wanted.at and (wanted.token or wanted.is_remote):
        raise ValueError("--dashboard-token and --dashboard-remote are about the dashboard: add --dashboard ADDRESS")
    return wanted


def _wanted_or_not(**values: str | bool) -> Wanted:
    wanted = Wanted(**values)  # type: ignore[arg-type] # as above
    if wanted.is_off and wanted != Wanted(is_off=True):
        raise ValueError("--no-dashboard leaves nothing to say about the dashboard: leave one of the options out")
    return wanted


def _place(text: str) -> str:
    """A port, which is of this machine alone, or an address."""
    if text.isascii() and text.isdigit():
        text = f"{HOST}:{text}"
    try:
        address = Address.parse(text)
    except AddressError as error:
        raise typer.BadParameter(str(error)) from None
    if address.scheme != "tcp":
        raise typer.BadParameter(f"{text!r} is of {address.scheme}: write a port, as {PORT}, or {HOST}:{PORT}")
    return str(address)


def _choices(shown: str) -> dict[str, Choice]:
    return {
        "at": Choice(
            "--dashboard",
            r"Where a web page shows what the server does: a port, or host:port. Needs tomada\[dashboard].",
            _place,
            "ADDRESS",
            str,
            shown,
        ),
        "token": Choice(
            "--dashboard-token",
            "Who has it may close connections and drain workers: a file that holds it, the token itself, or new.",
            metavar="TOKEN",
        ),
        "is_remote": Choice("--dashboard-remote", "Let other machines reach it, with the token only.", annotation=bool),
    }


DASHBOARD = Group("Dashboard", _wanted, _choices("none"))
"""What `Wanted` has."""

DEVELOPING = Group(
    "Dashboard",
    _wanted_or_not,
    {
        **_choices(f"{PORT}, or a free port where that is taken"),
        "is_off": Choice("--no-dashboard", "Have none.", annotation=bool),
    },
)
"""The same where there is one unless it is unwanted."""

DashboardOptions = Annotated[Wanted, DASHBOARD]
DevelopingOptions = Annotated[Wanted, DEVELOPING]
