"""``tomada types``: what a server understands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tomada import sync
from tomada.cli.certificates import Authority, Certificate, Development, Key, client_tls
from tomada.cli.output import Json, ServerAddress, Wait, errors_told, print_json
from tomada.protocol import TypeKind

if TYPE_CHECKING:
    from tomada.protocol import Field, TypeEntry

EXAMPLES = """
[bold]Example:[/bold] tomada types tcp://127.0.0.1:4477
"""


def types(
    address: ServerAddress,
    *,
    wait: Wait = 0,
    certificate: Certificate = "",
    key: Key = "",
    authority: Authority = "",
    development: Development = False,
    as_json: Json = False,
) -> None:
    """List what a server understands: types, their fields, what follows them (<-) and what answers them (->)."""
    with errors_told(as_json=as_json):
        tls = client_tls(certificate, key, authority, development=development)
        with sync.connect(address, wait=wait, tls=tls) as connection:
            entries = list(connection.peer_types.values())
        for entry in sorted(entries, key=lambda entry: not entry.handled):
            print_json(_as_object(entry)) if as_json else _print(entry)
        first = next((entry for entry in entries if entry.handled and not (entry.items or entry.parts)), None)
        if first is not None and not as_json:
            verb = "ask" if first.kind is TypeKind.REQUEST else "send"
            words = "".join(f" {field.name}=…" for field in first.fields if field.default is None)
            option = " --tls-dev" if development else ""
            typer.secho(f"\ntry: tomada {verb} {address} {first.name}{words}{option}", dim=True)


def _as_object(entry: TypeEntry) -> dict[str, Any]:
    fields = [{"name": field.name, "type": field.type, "default": field.default} for field in entry.fields]
    return {
        "name": entry.name,
        "kind": entry.kind,
        "handled": entry.handled,
        "fields": fields,
        "reply": entry.reply,
        "items": entry.items,
        "parts": entry.parts,
        "doc": entry.doc,
    }


def _print(entry: TypeEntry) -> None:
    what = "" if entry.handled else typer.style(f"{entry.kind.value} ", dim=True)
    name = typer.style(entry.name, fg="cyan", bold=True)
    fields = ", ".join(map(_field, entry.fields))
    typer.echo(f"{what}{name}({fields}){_way('<-', entry.parts, is_stream=True)}{_answer(entry)}")
    if entry.doc:
        typer.secho(f"    {entry.doc}", dim=True)


def _answer(entry: TypeEntry) -> str:
    return _way("->", entry.items, is_stream=True) or _way("->", entry.reply, is_stream=False)


def _way(arrow: str, kind: str | None, *, is_stream: bool) -> str:
    return "" if kind is None else f" {arrow} {'stream of ' if is_stream else ''}{typer.style(kind, fg='green')}"


def _field(field: Field) -> str:
    return f"{field.name}: {field.type}" + (f" = {field.default}" if field.default is not None else "")
