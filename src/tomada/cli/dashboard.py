"""From what is said about the dashboard to one that is ready to be started."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from tomada.address import Address
from tomada.cli.dashboard_options import HOST, PORT, Wanted
from tomada.cli.output import UsageError
from tomada.errors import AddressInUse
from tomada.server.inherited import Inherited
from tomada.server.workers.directory import SUFFIX, DirectoryError, folder
from tomada.transports import reservation
from tomada.transports.system.resolution import is_loopback, own_hosts

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from tomada.dashboard.keeper import Keeper

TOKEN_VARIABLE: Final = "TOMADA_DASHBOARD_TOKEN"  # noqa: S105 - the name of a variable
_NEW: Final = "new"
_TOKEN_BYTES: Final = 24
_ALL: Final = ("", "0.0.0.0", "::")  # noqa: S104 - as listeners name them


class Ready:
    """A dashboard that has its port, and its folder.

    Attributes:
        keeper: Runs it, in a ``with``.
        folder: Where the processes that serve put their socket files.
        url: Where browsers find it.
    """

    def __init__(self, keeper: Keeper, folder: Path, url: str) -> None:
        self.keeper = keeper
        self.folder = str(folder)
        self.url = url


def ready(wanted: Wanted, *, develops: bool, is_supervised: bool, is_quiet: bool = False) -> Ready | None:
    """The dashboard that is wanted; None where there is to be none.

    Args:
        wanted: What was said.
        develops: Whether there is one though nobody has asked for it.
        is_supervised: Whether this process serves itself, or others do.
        is_quiet: Whether programs read what is said.

    Raises:
        UsageError: It cannot be as it is wanted; the text says what can be.
        ListenFailed: Its address cannot be listened on.
    """
    if wanted.is_off or not (wanted.at or develops):
        return None
    why = _missing()
    if why and wanted.at:
        raise UsageError(f"there can be no dashboard: {why}")
    if why:
        if not is_quiet:
            typer.secho(f"no dashboard: {why}", dim=True)
        return None
    from tomada.dashboard.keeper import Keeper, make_folder
    from tomada.dashboard.told import Told

    address = Address.parse(wanted.at or f"{HOST}:{PORT}")
    is_remote = _check_reach(address, wanted)
    token = _token(wanted, develops=develops)
    if is_remote and not token:
        raise UsageError(f"{address} is reached by other machines: a dashboard there needs --dashboard-token")
    try:
        made = make_folder()
    except DirectoryError as error:
        raise UsageError(f"there can be no dashboard: {error}") from error
    try:
        place, listening = _listening(address, may_move=not wanted.at)
    except BaseException:
        made.rmdir()
        raise
    control = str(folder() / f"{os.getpid()}{SUFFIX}") if is_supervised else ""
    told = Told(folder=str(made), host=address.host, token=token, is_remote=is_remote, control=control)
    fragment = f"#token={token}" if token else ""
    host = _reached(place.host)
    return Ready(Keeper(told, listening, tells_log=is_supervised), made, f"http://{host}:{place.port}/{fragment}")


def _missing() -> str:
    if sys.platform == "win32":
        return "it needs Unix sockets, which Windows has not"
    from tomada.dashboard.keeper import missing

    return missing()


def _check_reach(address: Address, wanted: Wanted) -> bool:
    """Whether other machines reach it."""
    if _is_here(address.host):
        return False
    if not wanted.is_remote:
        raise UsageError(
            f"{address} is reached by other machines, whom the dashboard would tell everything: add --dashboard-remote "
            f"and --dashboard-token, or take {HOST}:{address.port}"
        )
    return True


def _is_here(host: str) -> bool:
    try:
        return is_loopback(host)
    except ValueError:  # a name, or all interfaces
        return host == "localhost"


def _reached(host: str) -> str:
    """How a URL names it: one of this machine's own addresses, where it stands for all of them."""
    if host in _ALL:
        host = next((own for own in own_hosts() if ":" not in own), HOST)
    return f"[{host}]" if ":" in host else host


def _token(wanted: Wanted, *, develops: bool, environment: Mapping[str, str] = os.environ) -> str:
    from tomada.dashboard.told import is_token

    given = wanted.token or environment.get(TOKEN_VARIABLE, "")
    if given == _NEW or (develops and not given):
        return secrets.token_urlsafe(_TOKEN_BYTES)
    if given and ("/" in given or Path(given).is_file()):
        try:
            given = Path(given).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the file of --dashboard-token cannot be read: {error}") from None
    if given and not is_token(given):
        raise UsageError(
            f"a token has 16 to 128 letters, digits, - and _, and this one is not so ({len(given)} characters): "
            "write --dashboard-token new for one that is"
        )
    return given


def _listening(address: Address, *, may_move: bool) -> tuple[Address, tuple[socket.socket, ...]]:
    """Where it is, and the sockets, which listen already: who calls before it is there, or after a crash, waits."""
    try:
        reserved = reservation.reserve(address)
    except AddressInUse:
        if not may_move:
            raise
        reserved = reservation.reserve(Address("tcp", address.host, 0))
    inherited = Inherited()
    inherited.add(address, tuple(reserved.sockets))
    return reserved.addresses[0], inherited.take(address) or ()
