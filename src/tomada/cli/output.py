"""How results and errors look: for people, for programs (``--json``), and as exit codes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from tomada.errors import (
    AddressError,
    ChildrenFailed,
    ConnectFailed,
    ConnectionLost,
    DeclarationError,
    HandshakeFailed,
    ListenFailed,
    RemoteError,
    StoreFailed,
    TimedOut,
    TomadaError,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to go on trying while nobody listens there yet.")]
ServerAddress = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS",
        help="Such as tcp://127.0.0.1:4477, :4477, tls://host:4477, ws://host:4477/path or unix:///tmp/bank.sock.",
    ),
]


class ExitCode(IntEnum):
    """What the command tells the shell."""

    FINE = 0
    REMOTE_ERROR = 1
    USAGE = 2
    UNREACHED = 3
    TIMED_OUT = 4


class UsageError(TomadaError):
    """The command line asks for what makes no sense; the text says what would."""


_CODES: tuple[tuple[tuple[type[TomadaError], ...], ExitCode], ...] = (
    ((UsageError, AddressError, DeclarationError), ExitCode.USAGE),
    ((ConnectFailed, HandshakeFailed, ConnectionLost, ListenFailed, ChildrenFailed, StoreFailed), ExitCode.UNREACHED),
    ((TimedOut,), ExitCode.TIMED_OUT),
)


def exit_code(error: TomadaError) -> ExitCode:
    """The exit code that tells `error`."""
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), ExitCode.REMOTE_ERROR)


@contextmanager
def errors_told(*, as_json: bool) -> Iterator[None]:
    """Turn tomada's errors, and Ctrl-C, into one line and an exit code."""
    try:
        yield
    except TomadaError as error:
        tell_error(error, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def tell_error(error: TomadaError, *, as_json: bool) -> NoReturn:
    """Say what is wrong and exit."""
    name = error.name if isinstance(error, RemoteError) else type(error).__name__
    message = error.message if isinstance(error, RemoteError) and as_json else str(error)
    tell_failure(name, message, exit_code(error), as_json=as_json)


def tell_failure(name: str, message: str, code: int, *, as_json: bool) -> NoReturn:
    """Say what is wrong and exit with that code."""
    if as_json:
        print_json({"error": name, "message": message})
    else:
        typer.echo(f"{typer.style('error:', fg='red', bold=True)} {message}", err=True)
    raise typer.Exit(code) from None


def print_json(value: object) -> None:
    """One JSON object on a line of its own, at once."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def named(value: Any) -> Any:
    """`value` with its structures as objects, which JSON and people read better than arrays."""
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        return {encoded: named(getattr(value, name)) for name, encoded in names}
    if isinstance(value, dict):
        return {msgspec.to_builtins(key, str_keys=True): named(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [named(item) for item in value]
    return msgspec.to_builtins(value)


def printable(text: str, longest: int = 500) -> str:
    """`text` from somebody else, fit for a terminal: what would move the cursor or turn the writing shows as ``�``.

    Of more than `longest` characters the rest is left out, which ``…`` says.
    """
    text = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return text if text.isprintable() else "".join(each if each.isprintable() else "�" for each in text)
