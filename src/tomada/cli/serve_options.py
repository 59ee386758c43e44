"""The options of ``tomada serve`` that are not about addresses: deadlines, limits, workers."""

from __future__ import annotations

from enum import StrEnum
from math import inf
from typing import Annotated, Any

import msgspec
import typer

from tomada.cli.groups import Choice, Group, count, seconds, size
from tomada.settings import Children, Deadlines, Limits, Sessions
from tomada.transports.rights import LARGEST_MODE


class Placement(StrEnum):
    """How callers are spread over the workers."""

    SPREAD = "spread"
    SHARED = "shared"


class IsolationChoice(StrEnum):
    """Where each connection is served."""

    TASK = "task"
    THREAD = "thread"
    PROCESS = "process"


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """What is said about workers; without a number there is one process, and no supervisor."""

    workers: int | None = None
    placement: Placement = Placement.SPREAD
    timeout: float = 30.0


def _told(value: float) -> str:
    return "off" if value == inf else f"{value:g}"


def _bytes(value: int) -> str:
    for unit, factor in (("M", 1 << 20), ("K", 1 << 10)):
        if value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


def _deadline(name: str, field: str, text: str) -> Choice:
    return Choice(name, text, seconds, "SECONDS", float, _told(getattr(Deadlines(), field)))


def _count(name: str, field: str, text: str) -> Choice:
    return Choice(name, text, count, "NUMBER", int, f"{getattr(Limits(), field):,}")


def _size(name: str, field: str, text: str) -> Choice:
    return Choice(name, text, size, "SIZE", int, _bytes(getattr(Limits(), field)))


def _limits(*, handshakes: tuple[int, int] | None = None, **values: Any) -> Limits:
    if handshakes is not None:
        values["handshakes_early"], values["handshakes"] = handshakes
    return Limits(**values)


def _marks(text: str) -> tuple[int, int]:
    start, colon, full = text.partition(":")
    if not colon:
        raise typer.BadParameter(f"{text!r} has no two numbers: write START:FULL, as 512:1024")
    if count(start) > count(full):
        raise typer.BadParameter(f"{text!r} drops all before it drops some: START must not be above FULL")
    return count(start), count(full)


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who may connect, beyond what TLS says."""

    proxied_by: tuple[str, ...] = ()
    unix_mode: int | None = None
    unix_owner: str = ""
    allow_users: tuple[str, ...] = ()


def _access(**values: Any) -> Access:
    for name in ("proxied_by", "allow_users"):
        values[name] = tuple(values.get(name) or ())
    return Access(**values)


def _mode(text: str) -> int:
    try:
        value = int(text, 8)
    except ValueError:
        value = -1
    if not 0 <= value <= LARGEST_MODE:
        raise typer.BadParameter(f"{text!r} is no mode of a file: write it as chmod takes it, as 660")
    return value


DEADLINES = Group(
    "Deadlines (seconds, or off)",
    Deadlines,
    {
        "handshake": _deadline("--handshake-timeout", "handshake", "A caller that has not completed its handshake."),
        "frame": _deadline(
            "--frame-timeout", "frame", "A message, or what a stream's handler waits for, begun and not finished."
        ),
        "heartbeat": _deadline(
            "--heartbeat", "heartbeat", "A silent peer is asked for a sign; after twice as long it is dead."
        ),
        "idle": _deadline(
            "--idle-timeout", "idle", "A connection on which nothing was exchanged, not even heartbeats."
        ),
        "progress": _deadline("--write-timeout", "progress", "A peer that takes nothing of what waits to be sent."),
        "drain": _deadline("--drain", "drain", "What is under way when the server stops."),
        "turn": _deadline("--turn", "turn", "A handler that keeps the event loop to itself for longer is reported."),
    },
)
"""What `Deadlines` has for a server."""

LIMITS = Group(
    "Limits (of each process)",
    _limits,
    {
        "connections": _count("--connections", "connections", "Connections and byte streams at once."),
        "connections_per_host": _count("--connections-per-host", "connections_per_host", "Those of one remote host."),
        "handshakes": Choice(
            "--handshakes",
            "Callers at their handshake: from START on some are dropped by chance, at FULL all.",
            _marks,
            "START:FULL",
            str,
            f"{Limits().handshakes_early}:{Limits().handshakes}",
        ),
        "handlers": _count("--handlers", "handlers", "Handlers that run at once for one connection."),
        "all_handlers": _count("--all-handlers", "all_handlers", "Handlers that run at once for all."),
        "connection_threads": _count(
            "--connection-threads", "connection_threads", "Connections with a thread of their own at once."
        ),
        "threads": _count("--threads", "threads", "Plain def handlers that run at once for all."),
        "requests": _count("--requests", "requests", "Requests of one peer that may be open at once."),
        "message_bytes": _size("--message-bytes", "message_bytes", "The longest message."),
        "frame_bytes": _size("--frame-bytes", "frame_bytes", "The longest frame; longer messages travel in several."),
        "buffer_bytes": _size("--buffer-bytes", "buffer_bytes", "Messages held each way until they are handled."),
        "stream_bytes": _size("--stream-bytes", "stream_bytes", "Items of one stream that may wait to be taken."),
        "all_buffer_bytes": _size("--all-buffer-bytes", "all_buffer_bytes", "What may wait on all connections."),
        "receive_bytes": _size("--receive-bytes", "receive_bytes", "What may wait to be received on a byte stream."),
    },
)
"""What `Limits` has."""


def _workers(**values: Any) -> Workers:
    if values and "workers" not in values:
        raise ValueError("--placement and --worker-timeout are about workers: add --workers, and how many")
    return Workers(**values)


WORKERS = Group(
    "Workers",
    _workers,
    {
        "workers": Choice(
            "--workers",
            "Serve in so many processes under a supervisor, which replaces those that die or hang, and reloads.",
            count,
            "NUMBER",
            int,
            "one process, no supervisor",
        ),
        "placement": Choice(
            "--placement",
            "spread: each worker has an own socket at a TCP address, and the system spreads callers. "
            "shared: all accept from one.",
            annotation=Placement,
            shown=Placement.SPREAD,
        ),
        "timeout": Choice(
            "--worker-timeout",
            "A worker that has given no sign of life for so long is killed and replaced.",
            seconds,
            "SECONDS",
            float,
            _told(Workers().timeout),
        ),
    },
)
"""What `Workers` has."""


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """What is said about sessions."""

    sessions: Sessions | None = Sessions()
    store: str = "memory"


def _keeping(*, no_sessions: bool = False, store: str = "memory", **values: Any) -> Keeping:
    if not no_sessions:
        return Keeping(sessions=Sessions(**values), store=store)
    if values or store != "memory":
        raise ValueError("--store, --keep and --most-sessions are about sessions: leave them out, or --no-sessions")
    return Keeping(sessions=None)


SESSIONS = Group(
    "Sessions (--isolation task)",
    _keeping,
    {
        "store": Choice(
            "--store",
            "Where sessions are kept: memory outlives lost connections, sqlite:///absolute/path a killed server, too.",
            metavar="URL",
            shown="memory",
        ),
        "keep": Choice(
            "--keep",
            "A session whose client does not come back is kept for so long.",
            seconds,
            "SECONDS",
            float,
            _told(Sessions().keep),
        ),
        "most": Choice(
            "--most-sessions",
            "Sessions without a connection, or in the store, at once.",
            count,
            "NUMBER",
            int,
            f"{Sessions().most:,}",
        ),
        "no_sessions": Choice("--no-sessions", "A lost connection is the end of all on it.", annotation=bool),
    },
)
"""What `Sessions` has, and where they are kept."""

IsolationOption = Annotated[
    IsolationChoice,
    typer.Option(
        "--isolation",
        help="Where each connection is served: on the event loop, with all others (task); in a thread of its own, for "
        "handlers that block; in a process of its own, which takes nobody else along. Default: task.",
        show_default=False,
    ),
]
ACCESS = Group(
    "Access",
    _access,
    {
        "proxied_by": Choice(
            "--proxied-by",
            "A network of proxies, as 10.0.0.0/8, whose connections begin with a PROXY header; may be repeated.",
            metavar="NETWORK",
            annotation=list,
        ),
        "unix_mode": Choice(
            "--unix-mode",
            "The mode of socket files, as 660; who may write to one may connect.",
            _mode,
            "MODE",
            int,
            "as the umask has it",
        ),
        "unix_owner": Choice(
            "--unix-owner",
            "The owner of socket files: user, user:group or :group.",
            metavar="USER:GROUP",
            shown="this process's own",
        ),
        "allow_users": Choice(
            "--allow-user",
            "A user whose processes may connect to unix addresses; may be repeated.",
            metavar="NAME",
            annotation=list,
            shown="all",
        ),
    },
)
"""What `Access` has."""


def _of_child(name: str, field: str, text: str) -> Choice:
    return Choice(name, text, count, "NUMBER", int, f"{getattr(Children(), field):,}")


def _children(**values: Any) -> Children | None:
    return Children(**values) if values else None


CHILDREN = Group(
    "Children (--isolation process)",
    _children,
    {
        "connections": _of_child("--connections-per-child", "connections", "Connections that one serves, one by one."),
        "spare": _of_child("--spare-children", "spare", "Those that wait for a connection, forked ahead."),
        "most": _of_child("--most-children", "most", "Those that there are at once."),
        "memory_bytes": Choice(
            "--child-memory", "Memory of each, beyond the application's own.", size, "SIZE", int, "no limit"
        ),
        "processor_seconds": Choice(
            "--child-cpu", "Processor time of each, in seconds.", count, "SECONDS", int, "no limit"
        ),
        "files": Choice(
            "--child-files", "Files and sockets that each may have open.", count, "NUMBER", int, "as many as the server"
        ),
        "user": Choice(
            "--child-user", "The system's user that each becomes.", metavar="NAME", shown="the server's own"
        ),
        "sandbox": Choice("--sandbox", "Each gives up the right to open files and sockets.", annotation=bool),
    },
)
"""What `Children` has."""

ChildOptions = Annotated[Children | None, CHILDREN]
AccessOptions = Annotated[Access, ACCESS]
SessionOptions = Annotated[Keeping, SESSIONS]
DeadlineOptions = Annotated[Deadlines, DEADLINES]
LimitOptions = Annotated[Limits, LIMITS]
WorkerOptions = Annotated[Workers, WORKERS]
