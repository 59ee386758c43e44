"""Which process holds a TCP or UDP port: what the text of ``AddressInUse`` names."""

from __future__ import annotations

from typing import NamedTuple

from tomada.transports.socket_table import LISTENING, inet_sockets, processes


class PortHolder(NamedTuple):
    """A process that has a socket on the port."""

    pid: int
    name: str

    def __str__(self) -> str:
        """The holder as error texts name it."""
        return f"process {self.pid} ({self.name})"


def port_holder(port: int, proc: str = "/proc", kind: str = "tcp") -> PortHolder | None:
    """The process that listens on ``port``, or else one that is connected from it.

    Args:
        port: From 1 to 65535, on any of this machine's addresses.
        proc: Where the proc file system is mounted.
        kind: ``tcp`` or ``udp``, whose ports are apart.

    Returns:
        ``None`` where nobody holds it, where the holder is another user's process, and on other systems than Linux.
    """
    found = sorted(inet_sockets(kind, port, proc=proc), key=lambda entry: entry.state != LISTENING)
    holders = processes([entry.inode for entry in found], proc)
    for entry in found:
        for holder in holders[entry.inode]:
            return PortHolder(holder.pid, holder.name)
    return None
