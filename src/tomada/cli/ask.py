"""``tomada ask`` and ``tomada send``: speak to a server by the names of its types, without its classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tomada import sync
from tomada.cli.certificates import Authority, Certificate, Development, Key, client_tls
from tomada.cli.output import Json, ServerAddress, UsageError, Wait, errors_told, named, print_json
from tomada.cli.values import build_message
from tomada.errors import TimedOut
from tomada.message import AnyRequest, Request

if TYPE_CHECKING:
    from tomada.message import Message

ASK_EXAMPLES = """
[bold]Examples:[/bold]

  tomada ask :4477 Balance account=ana

  tomada ask unix:///tmp/bank.sock Transfer source=ana target=rui cents=500 --key rent-may --json

  tomada ask tls://bank.example.org:4477 Balance account=ana

  tomada ask :4477 Watch account=ana --limit 10
"""
SEND_EXAMPLES = """
[bold]Example:[/bold] tomada send :4477 Note text="see you at five"
"""

_TIMEOUT: Final = 10.0

TypeName = Annotated[str, typer.Argument(metavar="TYPE", help="The message's type; `tomada types ADDRESS` lists them.")]
OwnKey = Annotated[
    str,
    typer.Option(
        "--key", metavar="KEY", help="Its handler recognises it by this when it is asked again (request.key)."
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0, help="Seconds to wait for the answer: 10, but for a stream, which may go on."),
]
Limit = Annotated[int, typer.Option("--limit", min=0, help="End a stream after so many items; 0: at its own end.")]
Fields = Annotated[
    list[str] | None,
    typer.Argument(metavar="FIELD=VALUE", help="Text, numbers, dates … as they are; lists and structures as JSON."),
]


def ask(
    address: ServerAddress,
    type_name: TypeName,
    fields: Fields = None,
    *,
    timeout: Timeout = None,
    wait: Wait = 0,
    certificate: Certificate = "",
    key: Key = "",
    authority: Authority = "",
    development: Development = False,
    own_key: OwnKey = "",
    limit: Limit = 0,
    as_json: Json = False,
) -> None:
    """Send a request and print the reply, or the items of a stream as they come."""
    with errors_told(as_json=as_json):
        tls = client_tls(certificate, key, authority, development=development)
        with sync.connect(address, wait=wait, tls=tls) as connection:
            if not _has_stream(connection, type_name):
                seconds = _TIMEOUT if timeout is None else timeout
                _ask(connection, _message(connection, type_name, fields), seconds, own_key or None, as_json=as_json)
                return
        if own_key:
            raise UsageError(f"{type_name} is answered by a stream, which no key begins anew: leave out --key")
        from tomada.cli.stream import print_stream

        def message(over: Any) -> Any:
            return _message(over, type_name, fields)

        print_stream(address, message, limit=limit, timeout=timeout, wait=wait, tls=tls, as_json=as_json)


def _has_stream(connection: sync.Connection, type_name: str) -> bool:
    entry = connection.peer_types.get(type_name)
    return entry is not None and entry.items is not None


def _ask(connection: sync.Connection, request: Message, timeout: float, own_key: str | None, *, as_json: bool) -> None:
    type_name = type(request).__name__
    if isinstance(request, AnyRequest) and not isinstance(request, Request):
        raise UsageError(f"{type_name} takes a stream, which no command can: ask it in a program")
    if not isinstance(request, Request):
        raise UsageError(f"{type_name} is a one-way message, nobody answers it: use `tomada send`")
    reply: Any = connection.ask(request, timeout=timeout, key=own_key)
    _print(reply, as_json=as_json)


def send(
    address: ServerAddress,
    type_name: TypeName,
    fields: Fields = None,
    *,
    wait: Wait = 0,
    certificate: Certificate = "",
    key: Key = "",
    authority: Authority = "",
    development: Development = False,
    as_json: Json = False,
) -> None:
    """Send a one-way message, and wait until the server has handled it, 10 s at most."""
    with errors_told(as_json=as_json):
        tls = client_tls(certificate, key, authority, development=development)
        with sync.connect(address, wait=wait, tls=tls) as connection:
            message = _message(connection, type_name, fields)
            if isinstance(message, AnyRequest):
                raise UsageError(f"{type_name} is a request, it has an answer: use `tomada ask`")
            connection.send(message)
        # The goodbyes of both ends have passed: a refusal would have come before them.
        for refusal in connection.refusals:
            raise refusal
        if connection.undelivered():
            raise TimedOut(f"{type_name} was sent, and the server has not handled it in time; it may do so still")
        if as_json:
            print_json({"sent": type_name})


def _message(connection: sync.Connection, type_name: str, fields: list[str] | None) -> Message:
    return build_message(type_name, fields or (), connection.peer_types, connection.peer_type)


def _print(reply: Any, *, as_json: bool) -> None:
    value = named(reply)
    if as_json:
        print_json(value if isinstance(value, dict) else {"reply": value})
    elif isinstance(value, dict):
        from rich.pretty import pretty_repr

        typer.secho(type(reply).__name__, bold=True)
        for name, item in value.items():
            typer.echo(f"  {name} = {pretty_repr(item)}")
    else:
        typer.echo(str(value))
