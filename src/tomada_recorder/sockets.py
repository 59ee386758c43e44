"""The sockets of a traced process, each with a number that is never used again."""

from __future__ import annotations

import os
import select
from itertools import count
from time import monotonic_ns as now
from weakref import ref

from tomada_recorder.interruption import pass_on
from tomada_recorder.text import address_text, text_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from tomada_recorder.recorder import Recorder

__all__ = ["READABLE", "WRITABLE", "Known", "Sockets"]

READABLE = getattr(select, "POLLIN", 1)
WRITABLE = getattr(select, "POLLOUT", 4)


class Known:
    """What is known of one socket: of one of the kernel's as this process sees it under one descriptor."""

    __slots__ = (
        "at",
        "descriptor",
        "family",
        "inode",
        "local",
        "number",
        "origin",
        "owner",
        "peer",
        "received",
        "sent",
        "source",
        "type",
        "unsaid_received",
        "unsaid_sent",
        "watched",
    )

    def __init__(self, number: int, descriptor: int, inode: int) -> None:
        self.number = number
        self.descriptor = descriptor
        self.inode = inode
        self.at = now()
        self.family = self.type = self.local = self.peer = self.origin = ""
        self.source = self.sent = self.received = 0
        self.unsaid_sent = self.unsaid_received = 0
        """Of the call that is about to be recorded: what is said of the socket until then is without them."""
        self.owner: ref[Any] | None = None
        """The object of the program's that has it now."""
        self.watched: dict[int, Any] = {}

    @property
    def is_datagram(self) -> bool:
        """Whether each send is one datagram."""
        return self.type != "SOCK_STREAM"

    def is_ready(self, event: int) -> bool:
        """Whether it can be read from (`READABLE`) or written to (`WRITABLE`) without waiting."""
        if not hasattr(select, "poll"):  # Windows
            return _is_ready(self.descriptor, event)
        watch = self.watched.get(event)
        if watch is None:
            watch = self.watched[event] = select.poll()
            watch.register(self.descriptor, event)
        try:
            return bool(watch.poll(0))
        except RuntimeError:  # another thread asks just now
            self.watched.pop(event, None)
            return self.is_ready(event)

    def settle(self) -> None:
        """Count what was moved, now that it is recorded."""
        self.sent, self.unsaid_sent = self.sent + self.unsaid_sent, 0
        self.received, self.unsaid_received = self.received + self.unsaid_received, 0

    def line(self, pid: int) -> str:
        """The record that describes it."""
        return '{"kind":"socket","pid":%d,"socket":%d,"fd":%d,"at":%d,"inode":%d%s}\n' % (
            pid,
            self.number,
            self.descriptor,
            self.at,
            self.inode,
            "".join(text_field(name, getattr(self, name)) for name in ("family", "type", "origin", "local", "peer"))
            + "".join(
                ',"%s":%d' % (name, getattr(self, name))
                for name in ("source", "sent", "received")
                if getattr(self, name)
            ),
        )


class Sockets:
    """All that are open, by descriptor."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._numbers = count(1)
        self._open: dict[int, Known] = {}
        self._before: dict[int, Known] = {}
        """Those that the parent process had open when this one was forked, until they are used here."""
        self._closed: dict[int, Known] = {}
        """By the id of the program's object, which may be asked for more."""

    def next_number(self) -> int:
        """A number for what is a socket to its users, without being one."""
        return next(self._numbers)

    def lines(self) -> Iterator[str]:
        """The records of all that are open."""
        return (known.line(self._recorder.pid) for known in tuple(self._open.values()))

    def find(self, socket: Any) -> Known | None:
        """What is known of a socket; one that was made unseen becomes known."""
        descriptor = socket.fileno()
        known = self._open.get(descriptor)
        if known is not None:
            return known
        return self._closed.get(id(socket)) or (self.adopt(socket) if descriptor >= 0 else None)

    def by_descriptor(self, descriptor: Any) -> Known | None:
        """What is known of the socket of that descriptor, also of one that only the parent process has used so far."""
        known = self._open.get(descriptor)
        if known is None and descriptor in self._before:
            known = self._inherit(self._before.pop(descriptor))
        return known

    def between(self, low: int, high: int) -> list[Known]:
        """Those with a descriptor from `low` to below `high`."""
        for descriptor in [descriptor for descriptor in self._before if low <= descriptor < high]:
            del self._before[descriptor]
        return [known for known in tuple(self._open.values()) if low <= known.descriptor < high]

    def adopt(self, socket: Any) -> Known:
        """Begin to know a socket that has just been made, or is met the first time."""
        descriptor = socket.fileno()
        inode = os.fstat(descriptor).st_ino
        known = self._open.get(descriptor) or self.by_descriptor(descriptor)
        if known is None or known.inode != inode:
            known = self._new(socket, descriptor, inode)
        self._own(known, socket)
        return known

    def _new(self, socket: Any, descriptor: int, inode: int) -> Known:
        known = Known(next(self._numbers), descriptor, inode)
        local = self._recorder.local
        same = next((other for other in tuple(self._open.values()) if other.inode == inode and inode), None)
        known.family, known.type = _name(socket.family), _name(socket.type)
        known.origin = local.origin or "inherited"
        known.source = local.source if known.origin == "accepted" else 0
        if same is not None:
            known.origin, known.source = "dup", same.number
            known.sent, known.received = same.sent, same.received
        self.look(known, socket)
        self._open[descriptor] = known
        self._recorder.write(known.line(self._recorder.pid))
        return known

    def _inherit(self, known: Known) -> Known:
        known.origin, known.at = "forked", now()
        known.watched = {}
        self._open[known.descriptor] = known
        self._recorder.write(known.line(self._recorder.pid))
        return known

    def _own(self, known: Known, socket: Any) -> None:
        me = id(socket)

        def collected(reference: ref[Any]) -> None:
            try:
                self._closed.pop(me, None)
                if known.owner is reference and self._open.get(known.descriptor) is known:
                    self._collected(known)
            except Exception:  # noqa: BLE001 - at the interpreter's end nothing here may be left
                return

        known.owner = ref(socket, collected)

    def _collected(self, known: Known) -> None:
        del self._open[known.descriptor]
        line = '{"kind":"call","pid":%d,"n":%d,"socket":%d,"call":"close","at":%d,"took":0,"by":"garbage collection"}\n'
        recorder = self._recorder
        recorder.write(line % (recorder.pid, next(recorder.numbers), known.number, now()))

    @staticmethod
    def look(known: Known, socket: Any) -> None:
        """See which addresses it has."""
        try:
            known.local = _bound(address_text(socket.getsockname()))
            known.peer = address_text(socket.getpeername())
        except OSError as error:
            pass_on(error)

    def close(self, known: Known, socket: Any) -> None:
        """Forget a socket that was closed, though not for the object that had it."""
        if self._open.get(known.descriptor) is known:
            del self._open[known.descriptor]
        if socket is not None:
            self._closed[id(socket)] = known

    def forked(self) -> None:
        """Go on in the child process."""
        self._before = {**self._before, **self._open}
        self._open = {}


def _bound(address: str) -> str:
    return "" if address.endswith(":0") else address


def _name(value: Any) -> str:
    return str(getattr(value, "name", value))


def _is_ready(descriptor: int, event: int) -> bool:
    watched = [descriptor]
    found = select.select(watched, [], [], 0) if event == READABLE else select.select([], watched, [], 0)
    return any(found)
