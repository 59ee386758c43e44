"""One worker, as its supervisor sees it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final

from tomada.server.workers.channel import ChannelBroken, supervisors_end
from tomada.server.workers.mailbox import mailbox
from tomada.server.workers.messages import Cut, Message, Neighbour, Start, Stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tomada.server.workers.messages import Failed, Place, Ready

CHANNEL: Final = "TOMADA_CHANNEL"
"""The environment variable that tells a worker the number of its descriptor."""
_LAST_WORDS: Final = 2.0
"""Seconds in which a worker that is told to end at once does so, before it is killed."""


class Worker:
    """A process that has been started.

    Attributes:
        number: Its place among the workers, from 1.
        process: The system's.
        channel: To it.
        ready: What it said when it was; None before.
        ready_at: When that was.
        is_deaf: Whether it accepts nobody any more.
        beat_at: When it last gave a sign of life.
        places: Where it serves.
        inbox: Through it connections are handed over to it.
        failure: Why it cannot start, as it says.
        kill_at: When it is killed if it is still there.
        is_told: Whether it was told to end.
        why: Why it is killed; empty where it is not.
    """

    __slots__ = (
        "beat_at",
        "channel",
        "failure",
        "inbox",
        "is_deaf",
        "is_told",
        "kill_at",
        "number",
        "places",
        "process",
        "ready",
        "ready_at",
        "started_at",
        "why",
    )

    def __init__(self, number: int, command: Sequence[str], start: Start, now: float) -> None:
        ours, theirs = socket.socketpair()
        inbox, self.inbox = mailbox()
        self.number = number
        self.channel = supervisors_end(ours)
        self.started_at = now
        self.ready: Ready | None = None
        self.ready_at = inf
        self.beat_at = inf
        self.places: tuple[Place, ...] = ()
        self.failure: Failed | None = None
        self.kill_at = inf
        self.why = ""
        self.is_told = False
        self.is_deaf = False
        try:
            with theirs:
                self.process = _started(command, theirs.fileno())
            self.tell(start, (inbox,))
        except BaseException:
            self.channel.close()
            self.inbox.close()
            raise
        finally:
            inbox.close()  # that it is open nowhere says that the worker is gone

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def served(self, now: float) -> float:
        """For how many seconds it has served."""
        return max(0.0, now - self.ready_at) if self.ready is not None else 0.0

    def tell(self, message: Message, sockets: Sequence[socket.socket] = ()) -> None:
        """Send it a message; where it does not read, it is killed."""
        try:
            self.channel.send(message, sockets)
        except ChannelBroken as error:
            self.kill(str(error))

    def meet(self, other: Worker) -> None:
        """Let it hand connections over to another one."""
        self.tell(Neighbour(other.number), (other.inbox,))

    def stop(self, why: str, now: float, patience: float, *, handover: bool) -> None:
        """Let it serve what is under way and end, within `patience` seconds."""
        if self.is_told:
            return
        self.is_told = True
        if self.ready is None:
            self.kill(why)  # it serves nothing yet
        else:
            self.kill_at = now + patience
            self.tell(Stop(handover))

    def cut(self, now: float) -> None:
        """Let it end now."""
        if self.ready is None:
            self.kill("stopped at once")
        else:
            self.kill_at = min(self.kill_at, now + _LAST_WORDS)
            self.tell(Cut())

    def kill(self, why: str) -> None:
        """End it, whatever it does."""
        self.why = self.why or why
        self.kill_at = inf
        with suppress(ProcessLookupError):
            self.process.kill()

    def end(self) -> str:
        """Release what is left of a process that is gone; how it ended, in words."""
        self.channel.close()
        self.inbox.close()
        status = self.process.returncode
        if self.failure is not None:
            return self.failure.text
        how = f"it ended with exit status {status}" if status >= 0 else f"it was killed by {_signal(-status)}"
        return f"{how} ({self.why})" if self.why and status else how


def _signal(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _started(command: Sequence[str], descriptor: int) -> subprocess.Popen[bytes]:
    # The terminal's Ctrl-C reaches the workers, too. It is not theirs, and is held back until they can pass over it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        return subprocess.Popen(  # noqa: S603 - this interpreter, and the house's own program
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=(descriptor,),
            env={**os.environ, CHANNEL: str(descriptor)},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
