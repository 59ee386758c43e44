"""The template: a process with the application loaded, no event loop and no threads, which forks the children.

To fork a process that has threads, or a running loop, copies locks that nobody will open and a loop that two processes
would share. So the template has neither: it waits for commands, forks, and tells of each child how it ended. It ends
with all its children when the server does.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

from tomada.endpoint import log
from tomada.errors import TomadaError
from tomada.server.children import child
from tomada.server.children.channel import (
    Broken,
    Channel,
    ChannelBroken,
    Exited,
    Fork,
    Forked,
    FromTemplate,
    Kill,
    Loaded,
    NotForked,
    Plan,
    ToTemplate,
    decode_to_template,
)
from tomada.server.children.dress_rehearsal import rehearse_children
from tomada.server.children.parentage import adopt_orphans, end_with_parent
from tomada.server.children.seed import prepare
from tomada.server.children.shared_memory import settle

if TYPE_CHECKING:
    import socket

    from tomada.app import App
    from tomada.server.children.seed import Seed

_QUIET: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGCHLD")
"""What a terminal or a supervisor sends to all processes is for the server, which tells the others what to do."""
_MANY: Final = 65_536


class Template:
    """Forks, and looks after what it has forked.

    Args:
        channel: To the server.
        seed: What each child is given.
        server: The server's process id.
    """

    __slots__ = ("_channel", "_children", "_ears", "_numbers", "_outbox", "_pid", "_seed", "_server")

    def __init__(self, channel: Channel[ToTemplate], seed: Seed, server: int) -> None:
        self._channel = channel
        self._seed = seed
        self._server = server
        self._pid = os.getpid()
        self._children: dict[int, int] = {}
        """The process id of each child that lives, by its number."""
        self._numbers: dict[int, int] = {}
        """The other way round."""
        self._outbox: deque[FromTemplate] = deque([Loaded()])
        """What is still to be told: at most two things of each child."""
        self._ears = _hear_signals()

    def run(self) -> None:
        """Do what the server says, until it is gone."""
        poll = select.poll()
        poll.register(self._ears[0], select.POLLIN)
        try:
            while os.getppid() == self._server:
                self._tell()
                poll.register(self._channel, select.POLLIN | (select.POLLOUT if self._outbox else 0))
                ready = dict(poll.poll())
                if self._ears[0] in ready:
                    with suppress(BlockingIOError):
                        os.read(self._ears[0], _MANY)
                    self._reap()
                if ready.get(self._channel.fileno(), 0) & ~select.POLLOUT:
                    self._hear()
        except ChannelBroken:
            pass
        self._end()

    def _tell(self) -> None:
        while self._outbox and self._channel.send(self._outbox[0]):
            self._outbox.popleft()

    def _hear(self) -> None:
        while True:
            message, descriptor = self._channel.receive_with()
            if message is None:
                return
            if isinstance(message, Fork):
                self._fork(message, descriptor)
                continue
            if descriptor >= 0:
                os.close(descriptor)
            if isinstance(message, Kill):
                self._kill(self._children.get(message.number))

    def _fork(self, message: Fork, descriptor: int) -> None:
        if descriptor < 0:
            self._outbox.append(NotForked(message.number, "the process that forks has as many files open as it may"))
            return
        try:
            self._seed.renew()
            pid = os.fork()
        except OSError as error:
            self._outbox.append(NotForked(message.number, str(error)))
        else:
            if not pid:
                self._be_child(message.slot, descriptor)
            self._children[message.number] = pid
            self._numbers[pid] = message.number
            with suppress(OSError):  # the child does the same, and may have ended
                os.setpgid(pid, pid)
            self._outbox.append(Forked(message.number, pid))
        os.close(descriptor)

    def _be_child(self, slot: int, descriptor: int) -> NoReturn:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for own in self._ears:
            os.close(own)
        self._channel.close()
        child.run(self._seed, slot, descriptor, self._pid)

    def _reap(self) -> None:
        """Take the leave of all who have ended, and of what they have started."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            number = self._numbers.pop(found.si_pid, None)
            if number is not None:
                # Before its process id is free for others.
                _kill_group(found.si_pid)
                del self._children[number]
            _, status, usage = os.wait4(found.si_pid, 0)
            if number is not None:
                self._outbox.append(Exited(number, status, usage.ru_maxrss))

    @staticmethod
    def _kill(pid: int | None) -> None:
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            _kill_group(pid)

    def _end(self) -> None:
        self._channel.close()
        while self._children:
            for pid in self._children.values():
                self._kill(pid)
            with suppress(ChildProcessError):
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            self._reap()


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _hear_signals() -> tuple[int, int]:
    """The descriptor that can be read when a signal has come, and the one that is written to."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for name in _QUIET:
        # Not ignored: what is ignored stays so in programs that handlers start.
        signal.signal(getattr(signal, name), lambda *_: None)
    return reading, writing


def run(control: socket.socket, app: App, plan: Plan, pages: int, server: int) -> NoReturn:
    """Be the template, until the server ends.

    Args:
        control: This end of the channel to the server.
        app: The application.
        plan: What children must know.
        pages: The file of the children's pages.
        server: The server's process id.
    """
    status = 1
    try:
        end_with_parent(server, signal.SIGTERM)
        adopt_orphans()
        channel: Channel[ToTemplate] = Channel(control, decode_to_template)
        try:
            seed = prepare(app, plan, pages)
        except (TomadaError, OSError, ValueError) as error:
            channel.send(Broken(str(error)[:1_000]))
        else:
            rehearse_children()
            template = Template(channel, seed, server)
            settle()
            template.run()
            status = 0
    except BaseException:  # noqa: BLE001 - told to the log: this process must not go on as the server that it was
        log.exception("the template of the children failed")
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
