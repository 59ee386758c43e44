"""The records of socket calls, as structures: what ``tomada_recorder`` writes, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

if TYPE_CHECKING:
    from tomada.recording.file import Record

Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]


SENDS: Final = frozenset({"send", "sendall", "sendto", "sendmsg", "sendfile", "write"})
RECEIVES: Final = frozenset({"recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "read"})


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process begins, or has been forked. Repeated in each segment of the file."""

    pid: Number
    at: Number
    """Nanoseconds of the system's monotonic clock."""
    parent: Number = 0
    forked: bool = False
    python: Text = ""
    command: tuple[Text, ...] = ()
    folder: Text = ""


class Socket(msgspec.Struct, frozen=True, kw_only=True):
    """A socket as a process first has it. Repeated in each segment, with what is known of it by then."""

    pid: Number
    socket: Number
    """Its number in the process: from 1, never used again."""
    at: Number
    fd: Annotated[int, msgspec.Meta(ge=-1, le=2**31)] = -1
    inode: Number = 0
    """The kernel's own number: the same in a forked child, and of a duplicate."""
    family: Text = ""
    type: Text = ""
    origin: Text = ""
    """``created``, ``accepted``, ``socketpair``, ``dup``, ``forked``, ``inherited``; ``in memory``: of no socket."""
    source: Number = 0
    """Of which socket of the process it was accepted, or is a duplicate."""
    local: Text = ""
    peer: Text = ""
    sent: Number = 0
    """Bytes by then."""
    received: Number = 0


class Call(msgspec.Struct, kw_only=True):
    """One call. A call that waits is written twice: when it begins, without `took`, and when it has ended."""

    pid: Number
    n: Number
    """Its number in the process."""
    socket: Number
    """0: of no socket, as ``getaddrinfo`` and the waits of a selector."""
    call: Text
    at: Number
    took: Number | None = None
    """Nanoseconds; None where it has not ended."""
    args: Text = ""
    size: Number = 0
    data: Text = ""
    hex: Text = ""
    """The first of the bytes, where they are no UTF-8."""
    error: Text = ""
    """The class of what was raised."""
    message: Text = ""
    value: Text = ""
    address: Text = ""
    """From whom, or to whom, where the call says so."""
    local: Text = ""
    """The socket's own address, where the call has changed it."""
    peer: Text = ""
    new: Number = 0
    """The socket that it made."""
    ready: tuple[Number, ...] = ()
    """The sockets for which a selector need not wait any more; 0 is something else."""
    thread: Text = ""
    by: Text = ""
    """Who closed it, if not `close`."""
    blocked: bool = False
    peek: bool = False
    tls: bool = False
    deferred: bool = False
    """It was closed, but a file of it is still open."""
    control: Number = 0
    """How many control messages came with it."""

    @property
    def ended(self) -> int:
        """When it had ended; when it began, where it has not."""
        return self.at + (self.took or 0)

    @property
    def is_send(self) -> bool:
        """Whether it has sent something."""
        return self.call in SENDS and self.took is not None and not self.error

    @property
    def is_receive(self) -> bool:
        """Whether it has received something, or that nothing more comes."""
        return self.call in RECEIVES and self.took is not None and not self.error and not self.peek

    @property
    def is_end(self) -> bool:
        """Whether it has received, on a stream, that nothing more comes: no bytes, though it has asked for some."""
        return self.is_receive and not self.size and self.args.partition(",")[0] not in _NOTHING


_NOTHING: Final = frozenset({"0", "0 bytes"})


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader must know of a process."""

    pid: Number
    at: Number
    text: Text


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """A process has ended: told by itself, or by who started it and knows how."""

    pid: Number
    at: Number
    how: Text = ""


KINDS: Final[dict[str, type[msgspec.Struct]]] = {
    "process": Process,
    "socket": Socket,
    "begun": Call,
    "call": Call,
    "note": Note,
    "exit": Exit,
}


def call_record(record: Record) -> msgspec.Struct | None:
    """The structure of a record of socket calls; None for a record of any other kind.

    Raises:
        msgspec.ValidationError: It is of such a kind, and not as it should be.
    """
    kind = KINDS.get(record["kind"])
    return None if kind is None else msgspec.convert(record, kind)
