"""What happened, put together from records of socket calls: processes, their sockets, and each call in its place.

Theory of operation: records come in the order in which processes wrote them. `Story.add` takes each at once; what needs
the order of time (the states of sockets) is worked out by `Story.told`, over all calls sorted by their begin.
"""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING, Final

from tomada.recording.calls import Call, Note, Process, Socket
from tomada.recording.socket_state import SocketState, after

if TYPE_CHECKING:
    import msgspec

    from tomada.recording.socket_state import SocketStep

_ASYNCIO: Final = "asyncio's socketpair"
_SPAWNED: Final = "multiprocessing"


class Running:
    """One process, from its begin, or from its ``exec``, to its end."""

    def __init__(self, record: Process) -> None:
        self.record = record
        self.sockets: dict[int, Lane] = {}
        """By their numbers, also those of duplicates."""
        self.under_way: dict[int, Event] = {}
        """Calls that have begun, by their numbers."""

    @property
    def name(self) -> str:
        """As ``server.py (4711)``."""
        return f"{program_name(self.record.command)} ({self.record.pid})"


class End:
    """One of the kernel's sockets: it may be had by several processes, and under several descriptors."""

    def __init__(self, record: Socket) -> None:
        self.is_stream = record.type in {"SOCK_STREAM", "SOCK_SEQPACKET"}
        self.keeps_bounds = record.type != "SOCK_STREAM"
        """Of messages: then one receive is met by one send."""
        self.is_unix = record.family == "AF_UNIX"
        self.local = record.local
        self.peer = record.peer
        self.sent = record.sent
        self.received = record.received
        self.lanes: dict[int, Lane] = {}
        """The last one of each process, by its number."""


class Lane:
    """A socket as one process has it."""

    def __init__(self, running: Running, record: Socket, end: End) -> None:
        self.running = running
        self.record = record
        self.end = end
        self.state = self.start = SocketState.CREATED
        self.path: list[tuple[int, SocketStep, SocketState, SocketState]] = []
        """When it went how from where to where."""
        self.sent = self.received = 0
        self.descriptors = [record.fd]
        self.still_open = 1
        """How many of those."""

    @property
    def is_own_of_asyncio(self) -> bool:
        """Whether it is one of the pair by which asyncio wakes its loop: no socket of the program's."""
        return self.record.origin == _ASYNCIO

    def begin(self) -> None:
        """Say in which state it is first."""
        self.state = self.start = self._first_state()

    def _first_state(self) -> SocketState:
        if self.record.origin == "forked":
            before = self.end.lanes.get(self.running.record.parent)
            if before is not None:
                return before.state_at(self.running.record.at)
        if self.record.peer or self.record.origin in {"accepted", "socketpair", _ASYNCIO, "in memory"}:
            return SocketState.CONNECTED
        return SocketState.BOUND if self.record.local else SocketState.CREATED

    def state_at(self, at: int) -> SocketState:
        """In which state it was at a moment."""
        state = self.start
        for moment, _, _, target in self.path:
            if moment > at:
                break
            state = target
        return state


class Event:
    """A call in its place."""

    __slots__ = ("call", "lane", "made", "running", "state")

    def __init__(self, call: Call, running: Running, lane: Lane | None) -> None:
        self.call = call
        self.running = running
        self.lane = lane
        self.made: Lane | None = None
        """The socket that it made."""
        self.state: SocketState | None = None
        """In which its socket is afterwards."""


class Story:
    """All that a recording tells of socket calls.

    Args:
        is_brief: Keep only what is needed to understand the next record, not what has happened.
    """

    def __init__(self, *, is_brief: bool = False) -> None:
        self._is_brief = is_brief
        self.lanes: list[Lane] = []
        self.notes: dict[str, None] = {}
        """What a reader must know, each once."""
        self._of_pid: dict[int, Running] = {}
        self._of_inode: dict[int, End] = {}
        self._events: list[Event] = []

    def add(self, record: msgspec.Struct) -> Event | None:
        """Take the next record of the file; a call's place, if it was one."""
        if isinstance(record, Call):
            return self._add_call(record)
        if isinstance(record, Socket):
            self._add_socket(record)
        elif isinstance(record, Process):
            self._process(record.pid, record)
        elif isinstance(record, Note):
            self.notes[f"{self._process(record.pid).name}: {record.text}"] = None
        return None

    def _process(self, pid: int, record: Process | None = None) -> Running:
        """The process that has that number now; a record of another begin is another process."""
        found = self._of_pid.get(pid)
        if found is None or (record is not None and found.record.at != record.at):
            found = self._of_pid[pid] = Running(record or Process(pid=pid, at=0))
        return found

    def _add_socket(self, record: Socket) -> None:
        running = self._process(record.pid)
        if record.socket in running.sockets:  # repeated at the begin of a segment
            return
        source = running.sockets.get(record.source)
        if record.origin == "dup" and source is not None:
            source.descriptors.append(record.fd)
            running.sockets[record.socket] = source
            return
        lane = running.sockets[record.socket] = Lane(running, record, self._end(record))
        lane.begin()
        if not self._is_brief:
            lane.end.lanes[record.pid] = lane
            self.lanes.append(lane)

    def _end(self, record: Socket) -> End:
        found = self._of_inode.get(record.inode)
        if found is None or not record.inode or record.origin in {"created", "accepted", "in memory"}:
            found = End(record)
            if not self._is_brief:
                self._of_inode[record.inode] = found
        return found

    def _add_call(self, call: Call) -> Event:
        running = self._process(call.pid)
        event = running.under_way.pop(call.n, None)
        if event is None:
            event = Event(call, running, self._lane(call, running))
            if not self._is_brief:
                self._events.append(event)
        else:
            event.call = call
        if call.took is None:
            running.under_way[call.n] = event
        if call.new:
            event.made = running.sockets.get(call.new)
        if event.lane is not None:
            event.lane.end.local = call.local or event.lane.end.local
            event.lane.end.peer = call.peer or event.lane.end.peer
        if self._is_brief and call.call == "close" and not call.deferred:
            running.sockets.pop(call.socket, None)
        return event

    def _lane(self, call: Call, running: Running) -> Lane | None:
        if not call.socket:
            return None
        if call.socket not in running.sockets:
            self._add_socket(Socket(pid=call.pid, socket=call.socket, at=call.at, origin="unknown"))
        return running.sockets[call.socket]

    def told(self) -> list[Event]:
        """All calls, by the time they began, with the states of their sockets worked out anew."""
        self._events.sort(key=lambda event: (event.call.at, event.call.n))
        for lane in self.lanes:
            lane.path.clear()
            lane.still_open = len(lane.descriptors)
            lane.sent = lane.received = 0
        begun: set[int] = set()
        for event in sorted(self._events, key=lambda event: (event.call.ended, event.call.n)):
            if event.lane is not None:
                self._move(event, event.lane, begun)
        return self._events

    @staticmethod
    def _move(event: Event, lane: Lane, begun: set[int]) -> None:
        if id(lane) not in begun:
            begun.add(id(lane))
            lane.begin()
        call, before = event.call, lane.state
        if call.call == "close" and not call.deferred:
            lane.still_open -= 1
            if lane.still_open > 0:  # the process has it under another descriptor
                event.state = before
                return
        step, state = after(call, before, is_stream=lane.end.is_stream)
        event.state = lane.state = state
        if step is not None and state is not before:
            lane.path.append((call.ended, step, before, state))
        if call.is_send:
            lane.sent += call.size
        elif call.is_receive:
            lane.received += call.size


def program_name(command: tuple[str, ...]) -> str:
    """What a process runs, in a word or two."""
    words = list(command[1:])
    while words:
        word = words.pop(0)
        if word in {"-m", "-c"} and words:
            return _inline(words[0]) if word == "-c" else f"-m {words[0]}"
        if word in {"-W", "-X"}:
            words[:1] = []
        elif not word.startswith("-"):
            return os.path.basename(word)  # noqa: PTH119 - a name of another system's, perhaps
    return os.path.basename(command[0]) if command else "process"  # noqa: PTH119 - the same


def _inline(code: str) -> str:
    if _SPAWNED in code:
        return "spawned by multiprocessing"
    return f"-c {code.splitlines()[0][:30]}" if code else "-c"
