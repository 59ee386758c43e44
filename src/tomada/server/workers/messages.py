"""What a supervisor and its workers tell each other: MessagePack, each message behind its length."""

from __future__ import annotations

import msgspec

from tomada.transports.datagrams.transport import DatagramOptions
from tomada.transports.rights import FileRights


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all."""


class Start(Message, frozen=True):
    """The first thing a worker is told: what to serve, in the words of whoever started the supervisor."""

    settings: bytes
    number: int = 1
    """Its place among the workers, from 1."""
    workers: int = 0
    """How many places there are. Where it is told, the socket travels with it through which others hand over."""


class Neighbour(Message, frozen=True):
    """Connections whose session is kept at a place are handed over through the socket that travels with this.

    It leads to the newest worker there; where that is gone, the one that was told before is the newest again. For the
    place of the worker that is told it leads to one before it, which may live for some time yet.
    """

    number: int


class Place(Message, frozen=True):
    """An address that a worker is to serve at."""

    address: str
    datagrams: DatagramOptions | None = None
    """How its socket is opened, where it is one for datagrams."""
    rights: FileRights = FileRights()
    """What its file is made with, where it is a unix address."""


class Want(Message, frozen=True):
    """A worker has loaded the application, and needs the sockets of these addresses, in their order."""

    places: tuple[Place, ...]


class Sockets(Message, frozen=True):
    """The answer to one `Place`; the descriptors travel with it."""

    addresses: tuple[str, ...]
    """Where they are; none where another worker serves this place for all."""


class Ready(Message, frozen=True):
    """The worker accepts."""

    app: str
    addresses: tuple[str, ...]
    about: bytes = b""
    """What whoever started the supervisor wants to know of the application, in its own words."""


class Beat(Message, frozen=True):
    """The worker's event loop runs."""


class Deaf(Message, frozen=True):
    """The worker accepts nobody any more, as it was told to end."""


class Failed(Message, frozen=True):
    """The worker cannot start; what is more to say it has written to standard error."""

    text: str
    code: int
    """The exit code that says so."""


class Stop(Message, frozen=True):
    """Serve what is under way, and end."""

    handover: bool
    """Whether another worker accepts in its place: then those who have just been accepted are served first."""


class Cut(Message, frozen=True):
    """End at once."""


ToWorker = Start | Sockets | Neighbour | Stop | Cut
FromWorker = Want | Ready | Beat | Deaf | Failed
