"""What is known of one place where somebody listens, and of one connection: what ``tomada ports --json`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tomada.transports.system.socket_table import Process

if TYPE_CHECKING:
    from collections.abc import Iterable

_OWN_FOLDER: Final = ".watched/"
"""In the names of the folders where servers listen for their dashboards."""


class OwnServer(msgspec.Struct, frozen=True):
    """What tomada knows of a server of its own."""

    app: str
    """The application's name; where only its command line is known, what it was told to serve."""
    pid: int
    """Its supervisor, or the process itself."""
    workers: int = 0
    """How many processes serve under the supervisor; 0 where there is none."""
    addresses: tuple[str, ...] = ()
    """Where it says that it serves; none where there is no supervisor to ask."""

    def is_private(self, path: str) -> bool:
        """Whether the socket file at `path` is for its own processes only: nothing that others connect to."""
        if self.addresses:
            return not any(address.endswith(f"://{path}") for address in self.addresses)
        return _OWN_FOLDER in path


class Listening(msgspec.Struct, kw_only=True, tag_field="what", tag="listening"):
    """A place where somebody receives, be it with several sockets."""

    protocol: str
    """``tcp``, ``tcp6``, ``udp``, ``udp6``, ``unix``, ``unixgram`` or ``unixpacket``."""
    address: str
    """As ``127.0.0.1:4477``, ``[::]:4477``, or a path; one that begins with ``@`` is in no folder."""
    host: str = ""
    port: int | None = None
    class_: str | None = msgspec.field(name="class", default=None)
    """``system``, ``registered`` or ``dynamic``."""
    service: str | None = None
    """What this machine's list has for the port."""
    reach: str
    """``machine`` or ``network``."""
    sockets: int = 1
    waiting: int | None = None
    """Connections that wait to be accepted; of datagrams the bytes that wait to be read; None where it is not told."""
    limit: int | None = None
    """So many connections may wait; None where it is not told."""
    connections: dict[str, int] = {}
    """How many there are in each state."""
    user: str
    processes: list[Process]
    """Who has it; none where they are other users' processes."""
    tomada: OwnServer | None = None


class Connected(msgspec.Struct, kw_only=True, tag_field="what", tag="connected"):
    """A connection, seen from one of its ends."""

    protocol: str
    address: str
    peer: str
    state: str
    unread: int
    """Bytes that have come, and that the process has not taken."""
    unsent: int
    """Bytes that the other end has not acknowledged."""
    user: str
    processes: list[Process]
    tomada: OwnServer | None = None


class Survey(msgspec.Struct, kw_only=True):
    """All that was asked for."""

    listening: list[Listening]
    connected: list[Connected]
    unix_left_out: int = 0
    """Unix sockets that somebody listens on, and that were not asked for."""
    nameless_left_out: int = 0
    """Connected Unix sockets without a path, of which the system does not say where they lead."""
    notes: list[str] = []
    """What could not be found out."""

    @property
    def unseen(self) -> int:
        """How many sockets belong to processes that cannot be seen; those in TIME_WAIT belong to none."""
        rows: Iterable[Listening | Connected] = (*self.listening, *self.connected)
        return sum(not row.processes for row in rows if not isinstance(row, Connected) or row.state != "time-wait")
