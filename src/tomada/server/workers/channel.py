"""Messages, and descriptors with them, over the socket pair between a supervisor and one worker."""

from __future__ import annotations

import socket
import struct
from array import array
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

from tomada.errors import UNREADABLE
from tomada.server.workers.messages import FromWorker, Message, ToWorker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

M = TypeVar("M")

_LENGTH: Final = struct.Struct("!I")
_MOST_BYTES: Final = 1_048_576
_MOST_DESCRIPTORS: Final = 253  # SCM_MAX_FD in the kernel
_READ: Final = 65_536
_encode: Final = msgspec.msgpack.Encoder().encode


class ChannelBroken(Exception):
    """What came is no message of ours, or more than there may be; or what was sent is not read."""


class Channel(Generic[M]):
    """One end.

    Args:
        own: Of a pair of stream sockets in one machine.
        kinds: The messages that come from the other end.
    """

    __slots__ = ("_decode", "_descriptors", "_rest", "is_ended", "socket")

    def __init__(self, own: socket.socket, kinds: type[M]) -> None:
        self.socket = own
        self.is_ended = False
        """Whether the other end is gone."""
        self._decode = msgspec.msgpack.Decoder(kinds).decode
        self._descriptors: deque[int] = deque()
        self._rest = bytearray()

    def send(self, message: Message, sockets: Sequence[socket.socket] = ()) -> None:
        """Send it whole, now. To one that is gone nothing is sent.

        Raises:
            ChannelBroken: There is no room: the other end does not read.
        """
        encoded = _encode(message)
        data = _LENGTH.pack(len(encoded)) + encoded
        try:
            if sockets:
                sent = socket.send_fds(self.socket, [data], [own.fileno() for own in sockets])
            else:
                sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # it is gone, which whoever reads hears
            return
        if sent < len(data):
            raise ChannelBroken(f"{len(data) - sent} of {len(data)} bytes found no room: the other end does not read")

    def receive(self) -> list[M]:
        """The messages that are here; where the socket blocks, at least one, or the end.

        Raises:
            ChannelBroken: What came is no message of ours.
        """
        messages: list[M] = []
        while not messages and not self.is_ended:
            try:
                data = self._read()
            except BlockingIOError:
                break
            except OSError:
                data = b""
            self.is_ended = not data
            self._rest += data
            messages.extend(self._messages())
            if self.socket.gettimeout() == 0:
                break
        return messages

    def _read(self) -> bytes:
        room = socket.CMSG_SPACE(_MOST_DESCRIPTORS * array("i").itemsize)
        data, ancillary, flags, _ = self.socket.recvmsg(_READ, room, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                self._descriptors.extend(numbers)
        if flags & socket.MSG_CTRUNC:
            raise ChannelBroken("not all descriptors could be taken over: raise the limit of open files")
        return data

    def _messages(self) -> Iterator[M]:
        while len(self._rest) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest)
            if length > _MOST_BYTES:
                raise ChannelBroken(f"a message of {length} bytes is announced, at most {_MOST_BYTES} are allowed")
            end = _LENGTH.size + length
            if len(self._rest) < end:
                return
            data = bytes(self._rest[_LENGTH.size : end])
            del self._rest[:end]
            try:
                message = self._decode(data)
            except UNREADABLE as error:
                raise ChannelBroken(f"what came is no message: {error}") from error
            yield message

    def take_sockets(self, count: int) -> list[socket.socket]:
        """The sockets that came with the next message that has some."""
        if len(self._descriptors) < count:
            raise ChannelBroken(f"{count} descriptors were announced, and {len(self._descriptors)} came")
        return [socket.socket(fileno=self._descriptors.popleft()) for _ in range(count)]

    def close(self) -> None:
        """Close this end. A second call does nothing."""
        with suppress(OSError):
            self.take_sockets(len(self._descriptors))
        self.socket.close()


def supervisors_end(own: socket.socket) -> Channel[FromWorker]:
    """The end that a supervisor reads; it never waits."""
    own.settimeout(0)
    return Channel(own, FromWorker)  # type: ignore[arg-type] # a union of classes


def workers_end(own: socket.socket) -> Channel[ToWorker]:
    """The end that a worker reads; it waits, until `socket.setblocking` says otherwise."""
    return Channel(own, ToWorker)  # type: ignore[arg-type] # a union of classes
