"""The children of one server: some that wait, forked ahead, and those that serve.

Each connection that is accepted goes to a child that waits. Where none waits, nobody is accepted: callers stay in the
listening sockets' queues. What has been forked is filled up by itself, and where children end before they can serve,
ever more slowly.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any, Final

from tomada.endpoint import log
from tomada.errors import ChildrenFailed
from tomada.protocol import GoodbyeCode
from tomada.server.children.channel import Broken, ChannelBroken, Exited, Fork, Forked, Kill, Loaded, NotForked, pair
from tomada.server.children.last_words import cause
from tomada.server.children.process import ChildProcess, Held, Stage
from tomada.telemetry import ChildEnded, ChildStarted, emit
from tomada.transports.tls.certificates import LOOK_SECONDS, look_at

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tomada.server.children.channel import FromTemplate, Plan, ToTemplate
    from tomada.server.children.origin import Template
    from tomada.transports import Listener, Ticket

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 10.0
"""Between two attempts to fork where children end before they can serve, in seconds."""
_BREATH: Final = 0.002
"""How long a fork waits while others are idle, in seconds."""
_THINNING: Final = 1.0
"""So often one child is let go of those that wait and are more than `Children.spare`, in seconds."""
_LAST_WAIT: Final = 5.0
"""How long killed processes may take to be gone, and ``on_stop`` functions to end, in seconds."""
_AGES: Final = 1e8
_FAILED: Final = 1 << 8
"""The status of a process that ended with exit status 1."""
_PLAIN: Final = ("tcp", "unix")
_STOPS: Final = "the server stops"


class Pool:
    """Children that serve connections.

    Args:
        template: Which forks them.
        plan: What they were told.
        schemes: Of each place; and whether there are byte streams.
    """

    def __init__(self, template: Template, plan: Plan, schemes: list[tuple[str, bool]]) -> None:
        self.loop = asyncio.get_running_loop()
        self.settings = plan.children
        self.failed: asyncio.Future[ChildrenFailed] = self.loop.create_future()
        """Done when there can be no children any more, and why."""
        self._plan = plan
        self._schemes = schemes
        self._template = template
        self._children: dict[int, ChildProcess] = {}
        self._idle: list[ChildProcess] = []
        """The one that waits for the longest time is the next: it has rehearsed."""
        self._waiting: deque[Held] = deque()
        """Accepted before nobody waited any more; at most a batch of an acceptor."""
        self._listeners: list[Listener] = []
        self._is_accepting = True
        self._outbox: deque[tuple[ToTemplate, socket.socket | None]] = deque()
        self._numbers = 0
        self._starting = 0
        self._stillborn = 0
        """How many in a row have ended before they could serve."""
        self._first: asyncio.Future[None] = self.loop.create_future()
        self._emptied: asyncio.Future[None] | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._is_closing = False
        self._seen = None if plan.options.tls is None else look_at(plan.options.tls)

    async def start(self) -> None:
        """Have the first child, or say why there can be none.

        Raises:
            ChildrenFailed: The application does not start in a child, or a bound or the sandbox cannot be had.
        """
        self.loop.add_reader(self._template.channel.fileno(), self._hear)
        outcomes: list[asyncio.Future[Any]] = [self._first, self.failed]
        await asyncio.wait(outcomes, return_when=asyncio.FIRST_COMPLETED)
        if self.failed.done():
            raise self.failed.result()

    def gate(self, listener: Listener) -> None:
        """Let this listener accept only while there is a child for what it accepts."""
        self._listeners.append(listener)
        if not self._is_accepting:
            listener.pause()

    # The template.

    def _hear(self) -> None:
        try:
            while (message := self._template.channel.receive()) is not None:
                self._take(message)
        except ChannelBroken as error:
            self._lost_template(str(error))

    def _take(self, message: FromTemplate) -> None:
        match message:
            case Loaded():
                self._refill()
                self._after(self._plan.deadlines.heartbeat, "beat", self._beat)
                self._after(self._patience, "hurry", self._hurry)
                self._after(LOOK_SECONDS, "look", self._look)
            case Broken():
                self._fail(message.reason)
            case Forked():
                child = self._children.get(message.number)
                if child is not None:
                    child.pid = message.pid
                    self._tell_started(child)
            case NotForked():
                child = self._children[message.number]
                child.failure = f"the system did not fork it: {message.reason}"
                self._gone(child, _FAILED)
            case Exited():
                self._gone(self._children[message.number], message.status)

    def _tell(self, message: ToTemplate, passed: socket.socket | None = None) -> None:
        self._outbox.append((message, passed))
        if len(self._outbox) == 1:
            self._flush()

    def _flush(self) -> None:
        channel = self._template.channel
        while self._outbox:
            message, passed = self._outbox[0]
            try:
                done = channel.send(message, () if passed is None else [passed.fileno()])
            except ChannelBroken:
                done = True  # it is gone, which `_hear` notices as well
            if not done:
                self.loop.add_writer(channel.fileno(), self._flush)
                return
            self._outbox.popleft()
            if passed is not None:
                passed.close()
        if channel.fileno() >= 0:
            self.loop.remove_writer(channel.fileno())

    def _lost_template(self, why: str) -> None:
        self.loop.remove_reader(self._template.channel.fileno())
        self._fail(
            "the process that forks children has ended, and all of them with it: "
            + (why or "somebody has killed it, or the system was out of memory")
            + "; start the server anew"
        )
        for child in tuple(self._children.values()):
            child.doom = child.doom or "was ended, as the process that forks children was"
            self._gone(child, 0)

    def _fail(self, reason: str) -> None:
        if not self.failed.done():
            self.failed.set_result(ChildrenFailed(reason))

    # Children come.

    def _refill(self) -> None:
        """Fork until enough are there to wait."""
        while (
            not self._is_closing
            and not self.failed.done()
            and "retry" not in self._timers
            and len(self._idle) + self._starting < self.settings.spare + len(self._waiting)
            and len(self._children) < self.settings.most
        ):
            self._fork()

    def _fork(self) -> None:
        try:
            own, other = pair()
        except OSError as error:  # no descriptor left
            self._try_later(f"there is no channel for it: {error}")
            return
        self._numbers += 1
        self._starting += 1
        child = ChildProcess(self, self._numbers, self._template.pages.take(), own)
        self._children[child.number] = child
        self._tell(Fork(child.number, child.slot), other)

    def is_ready(self, child: ChildProcess) -> None:
        """It has started."""
        self._starting -= 1
        self._stillborn = 0
        self._tell_started(child)
        if not self._first.done():
            self._first.set_result(None)

    @staticmethod
    def _tell_started(child: ChildProcess) -> None:
        """Once it can serve, and who it is is known: it and the template tell their own parts, in any order."""
        if child.pid and child.ready_at and ChildStarted.subscribers:
            emit(ChildStarted(pid=child.pid))

    def is_idle(self, child: ChildProcess) -> None:
        """It waits for a connection."""
        if self._is_closing:
            child.leave()
        elif self._waiting:
            self._give(self._waiting.popleft(), child)
        else:
            self._idle.append(child)
            if len(self._idle) > self.settings.spare:
                self._after(_THINNING, "thin", self._thin)
            self._weigh()

    def _thin(self) -> None:
        if len(self._idle) > self.settings.spare:
            self._idle.pop().leave()
            self._after(_THINNING, "thin", self._thin)

    # Connections come.

    def take(self, place: int, accepted: socket.socket, ticket: Ticket | None = None) -> None:
        """Give a connection to a child."""
        scheme, is_stream = self._schemes[place]
        held = Held(accepted, place, scheme, ticket, is_stream=is_stream)
        refusal = "" if ticket is None else ticket.enter()
        if self._is_closing or self.failed.done():
            held.end(GoodbyeCode.GOING_AWAY, _STOPS, may_speak=scheme != "ws")
        elif refusal:
            held.end(GoodbyeCode.REFUSED, refusal, may_speak=scheme != "ws")
        elif self._idle and not self._waiting:
            self._give(held, self._idle.pop(0))
        else:
            self._waiting.append(held)
        self._weigh()

    def _give(self, held: Held, child: ChildProcess) -> None:
        while not self._gave(held, child):
            child.kill("did not listen and was killed")
            if not self._idle:
                self._waiting.appendleft(held)
                break
            child = self._idle.pop(0)
        if self._idle:
            # To fork takes a processor for a while, which who has just been connected should have.
            self._after(_BREATH, "refill", self._refill)
        else:
            self._refill()

    def _gave(self, held: Held, child: ChildProcess) -> bool:
        self._template.pages.begin(child.slot, may_speak=held.scheme in _PLAIN)
        return child.serve(held)

    def _weigh(self) -> None:
        """Accept while somebody waits for a connection."""
        accepts = bool(self._idle)
        if accepts is not self._is_accepting:
            self._is_accepting = accepts
            for listener in self._listeners:
                listener.resume() if accepts else listener.pause()

    # Children go.

    def is_leaving(self, child: ChildProcess) -> None:
        """It asks for leave."""
        if child in self._idle:
            self._idle.remove(child)
        child.leave()
        self._refill()
        self._weigh()

    def kill(self, child: ChildProcess) -> None:
        """End its process at once."""
        if child in self._idle:
            self._idle.remove(child)
        self._tell(Kill(child.number))
        self._weigh()

    def _gone(self, child: ChildProcess, status: int) -> None:
        child.hear_the_rest()
        del self._children[child.number]
        if child in self._idle:
            self._idle.remove(child)
        was_starting = not child.ready_at
        reason = child.doom or child.failure or cause(status, self.settings)
        is_wrong = bool(child.doom) or status != 0 or child.held is not None
        if child.held is not None:
            may_speak = self._template.pages.may_speak(child.slot)
            child.held.end(GoodbyeCode.FAILED, f"the process of this connection {reason}", may_speak=may_speak)
        child.gone()
        self._template.pages.give_back(child.slot)
        if ChildEnded.subscribers:
            seconds = self.loop.time() - child.started_at
            emit(ChildEnded(pid=child.pid, seconds=seconds, reason=reason, is_wrong=is_wrong, connections=child.served))
        if was_starting:
            self._starting -= 1
            if is_wrong and not self._is_closing:
                self._try_later(child.failure or f"its process {reason}")
        self._refill()
        self._weigh()
        if not self._children and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def _try_later(self, reason: str) -> None:
        """A child has ended before it could serve."""
        if not self._first.done():
            self._fail(f"a child process cannot start: {reason}")
            return
        self._stillborn += 1
        if self._stillborn == 1:
            log.error("child processes end before they can serve, and are tried again now and then: %s", reason)
        pause = min(_FIRST_PAUSE * 2 ** min(self._stillborn - 1, 20), _LONGEST_PAUSE)
        self._after(pause, "retry", self._refill)

    # Time, and the end.

    def _after(self, seconds: float, name: str, action: Callable[[], None]) -> None:
        """Do something later; only once at a time."""
        if name not in self._timers and not self._is_closing and seconds < inf:
            self._timers[name] = self.loop.call_later(seconds, self._strike, name, action)

    def _strike(self, name: str, action: Callable[[], None]) -> None:
        del self._timers[name]
        action()

    def _beat(self) -> None:
        """Ask all for a sign."""
        seconds = self._plan.deadlines.heartbeat
        long_ago = self.loop.time() - 2 * seconds
        if any(not child.pid and child.started_at < long_ago for child in self._children.values()):
            self._fail(
                f"the process that forks children, {self._template.pid}, has not answered for {2 * seconds:g} s; "
                "end it, and start the server anew"
            )
        for child in tuple(self._children.values()):
            child.beat(seconds)
        self._after(seconds, "beat", self._beat)

    @property
    def _patience(self) -> float:
        """How long a child may take to end: its handlers, those that were cancelled, and ``on_stop`` functions."""
        return 2 * self._plan.deadlines.drain + _LAST_WAIT

    def _hurry(self) -> None:
        for child in tuple(self._children.values()):
            child.hurry(self._patience)
        self._after(self._patience, "hurry", self._hurry)

    def _look(self) -> None:
        """Where a certificate is renewed, those who wait have the old one: they go, and others come."""
        tls = self._plan.options.tls
        if tls is not None:
            seen, self._seen = self._seen, look_at(tls)
            if seen != self._seen:
                self.renew()
            self._after(LOOK_SECONDS, "look", self._look)

    def renew(self) -> None:
        """Let children go that were forked before now, when what they do has ended."""
        for child in tuple(self._children.values()):
            if child.stage is not Stage.LEAVING:
                self.is_leaving(child)

    async def close(self) -> None:
        """Let children end what they do, up to `Deadlines.drain`; then end all. Nobody accepts any more."""
        self._is_closing = True
        for timer in self._timers.values():
            timer.cancel()
        self._idle.clear()
        while self._waiting:
            held = self._waiting.popleft()
            held.end(GoodbyeCode.GOING_AWAY, _STOPS, may_speak=held.scheme != "ws")
        drain = self._plan.deadlines.drain
        for child in tuple(self._children.values()):
            if child.stage is not Stage.LEAVING or child.held is not None:
                child.leave()
        if not await self._are_gone(drain):
            self.cut(f"had not ended {drain:g} s after the server was stopped, and was killed")
            if not await self._are_gone(_LAST_WAIT):
                for child in tuple(self._children.values()):
                    self._gone(child, 0)  # the template ends them, if it still can
        self.loop.remove_reader(self._template.channel.fileno())
        self.loop.remove_writer(self._template.channel.fileno())
        await self._template.end()

    def cut(self, doom: str = "was killed, as the server stops at once") -> None:
        """End all children at once."""
        for child in tuple(self._children.values()):
            child.kill(doom)

    async def _are_gone(self, seconds: float) -> bool:
        if self._children:
            self._emptied = self.loop.create_future()
            await asyncio.wait([self._emptied], timeout=min(seconds, _AGES))
        return not self._children
