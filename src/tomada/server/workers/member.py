"""The worker's end: takes over the sockets, gives signs of life, and ends when the supervisor says so, or is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tomada.event_loop import new_event_loop
from tomada.server.inherited import Inherited
from tomada.server.workers.channel import ChannelBroken, workers_end
from tomada.server.workers.messages import Beat, Cut, Deaf, Failed, Neighbour, Place, Ready, Sockets, Start, Stop, Want
from tomada.server.workers.neighbours import Neighbours
from tomada.server.workers.worker import CHANNEL

if TYPE_CHECKING:
    from tomada.server.serve import Serving
    from tomada.server.server import Server
    from tomada.server.workers.messages import Message, ToWorker

BEAT_SECONDS: Final = 1.0


class SupervisorGone(Exception):
    """There is nobody to serve for any more."""


class Member:
    """This process, as a worker. Made once, at its beginning.

    Attributes:
        settings: What to serve, in the words of whoever started the supervisor.
        number: Its place among the workers, from 1.

    Raises:
        SupervisorGone: It has ended already, or there never was one.
    """

    def __init__(self) -> None:
        number = os.environ.pop(CHANNEL, "")
        if not number.isdigit():
            raise SupervisorGone("this is a worker's own program: start it with `tomada serve FILE --workers 2`")
        os.set_inheritable(int(number), False)  # noqa: FBT003 - positional only
        self._channel = workers_end(socket.socket(fileno=int(number)))
        os.register_at_fork(after_in_child=self._channel.close)
        # A handler, and not SIG_IGN, which programs that the application starts would inherit.
        for ignored in (signal.SIGINT, signal.SIGHUP):
            signal.signal(ignored, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGHUP})
        self._waiting: deque[ToWorker] = deque()
        first = self._next()
        if not isinstance(first, Start):
            raise SupervisorGone(f"the supervisor says {type(first).__name__} where it should say what to start")
        self.settings = first.settings
        self.number = first.number
        self._neighbours: Neighbours | None = None
        if first.workers:
            (inbox,) = self._channel.take_sockets(1)
            self._neighbours = Neighbours(first.number, first.workers, inbox)
            os.register_at_fork(after_in_child=self._neighbours.close)
        self.has_served = False
        """Whether it has been ready."""
        self._handover = False

    def inherit(self, serving: Serving) -> None:
        """Give `serving` the sockets of all places where it serves.

        Raises:
            SupervisorGone: It has ended. Where it cannot have a place, it ends this process.
        """
        wanted = serving.places()
        rights = serving.rights
        self._channel.send(Want(tuple(Place(str(address), options, rights) for address, options in wanted)))
        inherited = Inherited()
        for address, _ in wanted:
            answer = self._next()
            if not isinstance(answer, Sockets):
                raise SupervisorGone(f"the supervisor says {type(answer).__name__} in place of giving sockets")
            inherited.add(address, tuple(self._channel.take_sockets(len(answer.addresses))))
        serving.inherit(inherited)
        if self._neighbours is not None:
            serving.join(self._neighbours)

    def _next(self) -> ToWorker:
        while True:
            while not self._waiting:
                self._waiting.extend(self._channel.receive())
                if self._channel.is_ended:
                    raise SupervisorGone("the supervisor has ended")
            message = self._waiting.popleft()
            if not isinstance(message, Neighbour):
                return message
            self._meet(message)

    def _meet(self, message: Neighbour) -> None:
        (box,) = self._channel.take_sockets(1)
        if self._neighbours is None:
            box.close()
        else:
            self._neighbours.meet(message.number, box)

    def fail(self, text: str, code: int) -> None:
        """Say why this worker cannot start, or serve on."""
        self._tell(Failed(text, code))

    def serve(self, serving: Serving, about: bytes) -> None:
        """Serve until the supervisor, SIGTERM or the supervisor's end says to end; then let what is under way end.

        Args:
            serving: What to serve.
            about: What the supervisor's own starter wants to know of the application.
        """
        serving.prepare(forget=self._channel.socket.close)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(self._serve(serving, about))

    async def _serve(self, serving: Serving, about: bytes) -> None:
        loop = asyncio.get_running_loop()
        server = await serving
        stop = asyncio.Event()
        if server.failed is not None:
            server.failed.add_done_callback(lambda _: stop.set())
        own = self._channel.socket
        own.settimeout(0)
        self._obey(server, stop)  # what came behind the sockets
        loop.add_reader(own, self._obey, server, stop)
        if self._neighbours is not None:
            self._neighbours.listen(loop, server)
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        self.has_served = True
        self._tell(Ready(serving.name, tuple(map(str, server.addresses)), about))
        beats = loop.create_task(self._give_signs())
        try:
            await stop.wait()
        finally:
            await server.close(handover=self._handover)
            beats.cancel()
            loop.remove_reader(own)
            if self._neighbours is not None:
                self._neighbours.stop(loop)
        if server.failed is not None and server.failed.done():
            raise server.failed.result()

    async def _give_signs(self) -> None:
        while True:
            self._tell(Beat())
            await asyncio.sleep(BEAT_SECONDS)

    def _tell(self, message: Message) -> None:
        # What finds no room is a sign of life too many: the supervisor has not read the others yet.
        with suppress(ChannelBroken):
            self._channel.send(message)

    def _obey(self, server: Server, stop: asyncio.Event) -> None:
        self._waiting.extend(self._channel.receive())
        while self._waiting:
            message = self._waiting.popleft()
            if isinstance(message, Neighbour):
                self._meet(message)
                continue
            if isinstance(message, Cut):
                server.cut()
            elif isinstance(message, Stop):
                self._handover = message.handover
                server.stop_accepting()
                self._tell(Deaf())
            stop.set()
        if self._channel.is_ended:
            asyncio.get_running_loop().remove_reader(self._channel.socket)
            stop.set()
