"""The frame: a header of 16 bytes in network byte order, then a payload of MessagePack."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

HEADER: Final = Struct("!IBBHII")
"""length, kind, lane and flags, type, id, sequence."""

HEADER_BYTES: Final = HEADER.size

U32: Final = 0xFFFF_FFFF
"""Ids and sequences count modulo 2**32."""


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 1
    WELCOME = 2
    SEND = 3
    ASK = 4
    REPLY = 5
    ERROR = 6
    ITEM = 7
    END = 8
    CANCEL = 9
    CREDIT = 10
    ACKNOWLEDGE = 11
    PING = 12
    PONG = 13
    GOODBYE = 14
    DECLARE = 15


class Lane(IntEnum):
    """Which queue a frame travels in; the two low bits of the header's sixth byte."""

    CONTROL = 0
    URGENT = 1
    NORMAL = 2


MESSAGE_LANES: Final = frozenset({Lane.URGENT, Lane.NORMAL})
LANE_MASK: Final = 0x03
MORE: Final = 0x04
"""The message goes on in the next frame of this lane."""
METADATA: Final = 0x08
"""The payload begins with a u16 length and that many bytes of a MessagePack map: see `metadata.py`."""
KNOWN_FLAGS: Final = LANE_MASK | MORE | METADATA

# Plain numbers for the hot loop: an attribute of an enum costs a look-up per frame.
SEND: Final = int(Kind.SEND)
ASK: Final = int(Kind.ASK)
REPLY: Final = int(Kind.REPLY)
ERROR: Final = int(Kind.ERROR)
ITEM: Final = int(Kind.ITEM)
END: Final = int(Kind.END)
CANCEL: Final = int(Kind.CANCEL)
NORMAL: Final = int(Lane.NORMAL)
URGENT: Final = int(Lane.URGENT)
CONTROL: Final = int(Lane.CONTROL)

MESSAGE_KINDS: Final = frozenset({Kind.SEND, Kind.ASK, Kind.REPLY, Kind.ERROR, Kind.ITEM, Kind.END, Kind.CANCEL})
"""Kinds that travel in the urgent or normal lane, carry a sequence and may be fragmented; all others are control."""

MINIMUM_FRAGMENT: Final = 1024
"""A frame with `MORE` set carries at least this much, so that a message cannot be made of millions of crumbs."""

_NAMES: Final = {int(kind): kind.name.lower() for kind in Kind}


def kind_name(kind: int) -> str:
    """The name of a kind, or its number where it has none."""
    return _NAMES.get(kind, str(kind))
