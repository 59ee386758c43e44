"""A load that costs its sender little, so that it is the server that is measured: frames made by the hundred.

It speaks the protocol and nothing above it. Half of what is in flight is being handled while the other half is on its
way back; each reply is looked at: it must be the one that is due.
"""

from __future__ import annotations

import socket
import struct
from time import perf_counter
from typing import Final

import msgspec

from benchmarks.load import Plan, WrongReply
from benchmarks.payload import HEADER, TEXT
from tomada.catalogue import Catalogue
from tomada.protocol import Hello, Kind, encode

_U32: Final = 0xFFFF_FFFF
_NORMAL: Final = 2
_NUMBER: Final = struct.Struct("!I")
_NUMBER_PLACE: Final = HEADER.size + 2
_PAYLOAD: Final = b"\x92\xce\x00\x00\x00\x00" + msgspec.msgpack.encode(TEXT)
"""A request: an array of two, a number of 32 bits and the text."""
_READ_BYTES: Final = 1 << 18


class _Asker:
    def __init__(self, connected: socket.socket, request: type) -> None:
        self._socket = connected
        catalogue = Catalogue((request,))
        self._type = catalogue.numbers[request]
        hello = encode(Hello(catalogue=tuple(catalogue.entries)))
        connected.sendall(HEADER.pack(len(hello), Kind.HELLO, 0, 0, 0, 0) + hello)
        self._rest = b""
        self._ahead = 0
        self._next = 1
        self._due = 1
        self._sequence = 1
        self._heard()  # the welcome

    def ask(self, count: int) -> None:
        """Send so many requests in one piece."""
        size = HEADER.size + len(_PAYLOAD)
        frames = bytearray((bytes(HEADER.size) + _PAYLOAD) * count)
        for place in range(0, size * count, size):
            HEADER.pack_into(frames, place, len(_PAYLOAD), Kind.ASK, _NORMAL, self._type, self._next, self._sequence)
            _NUMBER.pack_into(frames, place + _NUMBER_PLACE, self._next)
            self._next = self._next + 2 & _U32
            self._sequence = self._sequence + 1 & _U32
        self._socket.sendall(frames)

    def take(self, count: int) -> None:
        """Receive so many replies. Raises `WrongReply` where one is not the one that is due."""
        while self._ahead < count:
            self._ahead += self._heard()
        self._ahead -= count

    def _heard(self) -> int:
        data = self._rest + self._socket.recv(_READ_BYTES)
        if len(data) == len(self._rest):
            raise ConnectionError("the server has closed the connection")
        position = replies = 0
        while len(data) - position >= HEADER.size:
            length, kind, _, _, id_, _ = HEADER.unpack_from(data, position)
            stop = position + HEADER.size + length
            if stop > len(data):
                break
            position = stop
            if kind == Kind.REPLY:
                if id_ != self._due:
                    raise WrongReply(f"the reply to {id_} came where that to {self._due} was due")
                self._due = self._due + 2 & _U32
                replies += 1
            elif kind in (Kind.ERROR, Kind.GOODBYE):
                raise WrongReply(f"the server said {data[position - length : position]!r}")
        self._rest = data[position:]
        return replies


def rate_of_frames(port: int, request: type, plan: Plan) -> float:
    """Replies per second, with ``plan.load`` requests in flight over one connection."""
    half = plan.load // 2
    with socket.create_connection(("127.0.0.1", port)) as connected:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asker = _Asker(connected, request)

        def phase(seconds: float) -> float:
            start = perf_counter()
            count = 2 * half
            asker.ask(half)
            asker.ask(half)
            while perf_counter() < start + seconds:
                asker.take(half)
                asker.ask(half)
                count += half
            asker.take(2 * half)
            return count / (perf_counter() - start)

        phase(plan.warm_up)
        return phase(plan.seconds)
