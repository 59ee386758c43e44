"""The options about TLS, and ``--tls-dev``: a certificate for development from an authority of the user's own."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tomada.cli.output import UsageError
from tomada.settings import TLS

if TYPE_CHECKING:
    from trustme import CA

_PANEL = "TLS"
Certificate = Annotated[
    str,
    typer.Option(
        "--tls-certificate",
        metavar="FILE",
        rich_help_panel=_PANEL,
        help="This end's certificate, PEM, for tls addresses.",
    ),
]
Key = Annotated[
    str,
    typer.Option(
        "--tls-key",
        metavar="FILE",
        rich_help_panel=_PANEL,
        help="The certificate's private key, where it is in another file.",
    ),
]
Authority = Annotated[
    str,
    typer.Option(
        "--tls-authority",
        metavar="FILE",
        rich_help_panel=_PANEL,
        help="Accept the certificates of these authorities only.",
    ),
]
Development = Annotated[
    bool,
    typer.Option(
        "--tls-dev",
        rich_help_panel=_PANEL,
        help="For development only: certificates of an authority made on this machine.",
    ),
]


def client_tls(certificate: str, key: str, authority: str, *, development: bool) -> TLS | None:
    """What the options of a client say about TLS; nothing where none is given."""
    if development:
        _exclude(authority, "--tls-authority")
        authority = str(trusted_authority())
    if not (certificate or key or authority):
        return None
    return _tls(certificate, key, authority)


def server_tls(certificate: str, key: str, authority: str, *, development: bool) -> TLS | None:
    """What the options of a server say about TLS; nothing where none is given."""
    if development:
        _exclude(certificate or key, "--tls-certificate")
        certificate, key = str(development_certificate()), ""
    if not (certificate or key or authority):
        return None
    return _tls(certificate, key, authority)


def _tls(certificate: str, key: str, authority: str) -> TLS:
    if key and not certificate:
        raise UsageError(f"the key {key} has no certificate: give --tls-certificate FILE, too")
    return TLS(certificate=certificate, key=key, authority=authority)


def _exclude(given: str, option: str) -> None:
    if given:
        raise UsageError(f"--tls-dev makes its own: leave out {option}, or --tls-dev")


def state_folder() -> Path:
    """Where a user's programs keep what they made: ``$XDG_STATE_HOME/tomada``, or ``~/.local/state/tomada``."""
    given = os.environ.get("XDG_STATE_HOME", "")
    # The XDG base directory specification: what is not absolute is passed over.
    base = Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state"
    return base / "tomada"


def authority_file() -> Path:
    """The certificate of the development authority: what a client has to trust."""
    return state_folder() / "authority.pem"


def trusted_authority() -> Path:
    """The development authority's certificate, which is there once a server has been started with ``--tls-dev``."""
    file = authority_file()
    if not file.is_file():
        what = f"there is no development authority yet at {file}: start the server first"
        raise UsageError(f"{what}, `tomada serve FILE --bind tls://127.0.0.1:4477 --tls-dev`, as the same user")
    return file


def development_certificate() -> Path:
    """A file with key and certificate for the names of this machine, made by the development authority."""
    authority = _authority()
    names = list(dict.fromkeys(["localhost", "127.0.0.1", "::1", *_hostname()]))
    file = state_folder() / "server.pem"
    issued = authority.issue_cert(*names, organization_name="tomada development")
    _write(file, issued.private_key_and_cert_chain_pem.bytes())
    return file


def _hostname() -> list[str]:
    """What this machine calls itself, if a certificate can be for it."""
    name = socket.gethostname()
    return [name] if name.isascii() and all(part and len(part) < 64 for part in name.split(".")) else []  # noqa: PLR2004 - RFC 1035


def _authority() -> CA:
    """The one of this user's state folder; made there at the first time."""
    try:
        from trustme import CA
    except ImportError:
        raise UsageError("--tls-dev needs a package that is not installed: pip install 'tomada[tls]'") from None
    key, certificate = state_folder() / "authority-key.pem", authority_file()
    try:
        if key.is_file() and certificate.is_file():
            return CA.from_pem(certificate.read_bytes(), key.read_bytes())
        authority = CA(organization_name="tomada development", organization_unit_name=f"{_user()}'s own authority")
        _write(key, authority.private_key_pem.bytes())
        _write(certificate, authority.cert_pem.bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"the development authority in {state_folder()} cannot be used: {error}; remove it") from error
    return authority


def _user() -> str:
    return os.environ.get("USER", "") or "this user"


def _write(file: Path, content: bytes) -> None:
    """Replace a file at once, so that nobody reads half of it; only this user may read it."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)
    beside.replace(file)


def warn() -> None:
    """Say, on standard error, what a development certificate is not good for."""
    typer.secho("for development only:", fg="yellow", bold=True, err=True, nl=False)
    typer.echo(" the certificate comes from this user's own authority; whoever has its key can pose as", err=True)
    typer.echo("this server to all who trust it. Clients trust it by", err=True)
    typer.echo(f"  --tls-dev (this user, this machine) or --tls-authority {authority_file()}", err=True)
    sys.stderr.flush()
