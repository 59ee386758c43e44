"""``tomada address``: explain one address."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from tomada.address import Address
from tomada.cli.output import Json, errors_told, print_json

if TYPE_CHECKING:
    from tomada.cli.explanation import Attempt, Bound, Explanation, Hosts, PortFacts
    from tomada.transports.socket_file import SocketFile

EXAMPLES = """
[bold]Examples:[/bold]

  tomada address :4477

  tomada address unix:///tmp/bank.sock

  tomada address tls://example.org:443 --json
"""

_KINDS = {
    "tcp": "a stream of bytes, over TCP",
    "tls": "a stream of bytes, over TLS on TCP",
    "unix": "a stream of bytes, through a socket file",
    "udp": "datagrams, over UDP",
    "unixgram": "datagrams, through a socket file",
    "ws": "messages over WebSocket, on TCP",
    "wss": "messages over WebSocket, on TLS and TCP",
    "memory": "a stream of bytes, without a socket",
}
_REACHES = {
    "process": "this process only: one event loop of it",
    "machine": "this machine only",
    "network": "the network",
}
_PORTS = {
    "system": "system (0-1023)",
    "registered": "registered (1024-49151)",
    "dynamic": "dynamic (49152-65535), given to whoever asks for any",
}
_LONGEST_COMMAND = 90

Row = tuple[str, str]


def address(
    text: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Such as tcp://127.0.0.1:4477, :4477 or unix:///tmp/bank.sock.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Explain an address: what it means, and whether somebody listens there.

    To streams it makes a connection, sends nothing and closes it.
    """
    from tomada.cli.explanation import explain
    from tomada.event_loop import new_event_loop

    with errors_told(as_json=as_json):
        parsed = Address.parse(text)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            known = runner.run(explain(parsed))
    if as_json:
        print_json(known)
    else:
        _print(known)


def _print(known: Explanation) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, words in _rows(known):
        style = {"yes": "green", "no": "yellow"}.get(words.partition(",")[0], "") if label == "listens" else ""
        table.add_row(f"  {label}", Text(words, style=style))
    console = Console(highlight=False)
    console.print(Text(known.address, style="bold cyan"))
    console.print(table)


def _rows(known: Explanation) -> Iterator[Row]:
    yield "kind", _KINDS[known.scheme]
    yield "promises", _promises(known)
    yield "reach", _REACHES[known.reach]
    if known.hosts is not None:
        yield from _hosts(known.hosts, Address.parse(known.address), is_served=bool(known.sockets))
    if known.port is not None:
        yield "port", _port(known.port)
    if known.file is not None:
        yield "file", _file(known.file)
    yield "listens", _listens(known)
    for bound in known.sockets:
        yield from _bound(bound)
    for attempt in known.attempts:
        yield "tried", _attempt(attempt, known.scheme)


def _promises(known: Explanation) -> str:
    order = "in order" if known.ordered else "in any order"
    losses = "nothing lost while it stands" if known.reliable else "some may be lost or doubled"
    return f"{order}, {losses}; {'' if known.encrypted else 'not '}encrypted"


def _hosts(hosts: Hosts, address: Address, *, is_served: bool) -> Iterator[Row]:
    if hosts.error is not None:
        yield "host", hosts.error
        return
    listen = ", ".join(hosts.listen) or "not here: this machine has no such address"
    connect = ", ".join(hosts.connect)
    yield "to listen", listen if address.host else f"{listen} (no host: all interfaces)"
    yield "to connect", connect if address.host else f"{connect} (no host: localhost)"
    if hosts.elsewhere:
        yield "elsewhere", f"{', '.join(hosts.elsewhere)} (unless a firewall stands between)"
    elif is_served:
        yield "elsewhere", "out of reach: who listens does so for this machine only"


def _port(port: PortFacts) -> str:
    service = port.service or "no service known here"
    privilege = ""
    if port.needs_privilege:
        has = "has" if port.has_privilege else "has not"
        privilege = f"; listening takes root or CAP_NET_BIND_SERVICE, which this process {has}"
    return f"{_PORTS[port.class_]}; {service}{privilege}"


def _file(file: SocketFile) -> str:
    if not file.exists:
        return f"there is none, or this user may not see it; the path has {file.bytes} of {file.limit} bytes"
    what = "a socket" if file.is_socket else "no socket"
    return f"{what}, {file.mode} {file.owner} {file.group}; the path has {file.bytes} of {file.limit} bytes"


def _listens(known: Explanation) -> str:
    if known.listens is None:
        return f"cannot be told: {_why_unknown(known)}"
    if not known.listens:
        return "no"
    if known.sockets or not known.is_here:
        return "yes"
    return "yes, but who it is cannot be seen from here"


def _why_unknown(known: Explanation) -> str:
    if known.scheme == "memory":
        return "only the process that has the name knows"
    if known.hosts is not None and known.hosts.error is not None:
        return "the host is not known"
    if known.port is None and known.hosts is not None:
        return "port 0 asks the system for a free port"
    if not known.is_here:
        return "it is another machine, which did not answer" if known.attempts else "it is another machine"
    return "this system does not say who has which socket"


def _bound(bound: Bound) -> Iterator[Row]:
    of = f", a socket of the user {bound.user}" if bound.user else ""
    if not bound.processes:
        yield "by", f"{bound.address}{of}: the process cannot be seen by this user"
    for process in bound.processes:
        yield "by", f"{bound.address}, process {process.pid} ({process.name}) of {process.user}"
        if process.command:
            yield "", f"{process.command:.{_LONGEST_COMMAND}}"


def _attempt(attempt: Attempt, scheme: str) -> str:
    if attempt.error is not None:
        return f"{attempt.address}: {attempt.error.partition(';')[0]}"
    what = "" if scheme in ("tcp", "unix") else " by TCP, without a handshake,"
    return f"{attempt.address}: connected{what} and closed"
