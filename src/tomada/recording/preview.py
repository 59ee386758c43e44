"""What a message, or what is about the connection, looks like in a few words. All of it may be hostile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tomada.errors import UNREADABLE
from tomada.protocol.frames import CONTROL, METADATA, Kind, kind_name
from tomada.protocol.handshake import Goodbye
from tomada.recording.beginnings import beginnings

if TYPE_CHECKING:
    from tomada.recording.wires import Frame

_SHOWN: Final = 40
"""Characters of one value."""
_MOST: Final = 160
_FIELDS: Final = 12
_LENGTH: Final = 2


def words(frame: Frame) -> str:
    """What it is: ``ask Transfer #7``."""
    name = printable(frame.type.name)
    kind = kind_name(frame.kind)
    text = f"{kind} {name}" if name else kind
    return f"{text} #{frame.id}" if frame.id else text


def preview(frame: Frame, payload: bytes, *, is_whole: bool) -> str:
    """The values of a message, by its fields' names; the first bytes where not all of it was kept, or it is no message.

    Args:
        frame: The first, where there are several.
        payload: What was kept of the whole message.
        is_whole: Whether that is all of it.
    """
    if frame.flags & METADATA and len(payload) >= _LENGTH:
        payload = payload[_LENGTH + int.from_bytes(payload[:_LENGTH], "big") :]
    if not payload:
        return ""
    try:
        if frame.flags == CONTROL:
            return _control(frame, payload)
        if is_whole:
            return _values(frame, msgspec.msgpack.decode(payload))
        values = beginnings(payload)
        if values:
            return _cut(f"{_values(frame, values)} …", _MOST)
    except (*UNREADABLE, TypeError, IndexError):
        pass
    return short(payload)


def _control(frame: Frame, payload: bytes) -> str:
    match frame.kind:
        case Kind.GOODBYE:
            goodbye = msgspec.msgpack.decode(payload, type=Goodbye)
            return printable(f"{goodbye.code.value}: {goodbye.reason}" if goodbye.reason else goodbye.code.value)
        case Kind.ACKNOWLEDGE:
            normal, urgent = msgspec.msgpack.decode(payload, type=tuple[Any, Any])
            return f"handled up to {_handled(normal)} (normal), {_handled(urgent)} (urgent)"
        case Kind.CREDIT:
            first, *rest = (int.from_bytes(payload[at : at + 8], "big") for at in range(0, len(payload) // 8 * 8, 8))
            return f"up to {first:,} bytes (normal), {rest[0]:,} (urgent)" if rest else f"up to {first:,} bytes"
        case Kind.HELLO | Kind.WELCOME | Kind.DECLARE:
            return ""
        case _:
            return short(payload)


def _handled(lane: Any) -> str:
    up_to, exceptions = lane
    return f"{up_to:,} but for {len(exceptions):,}" if exceptions else f"{up_to:,}"


def _values(frame: Frame, value: Any) -> str:
    names = frame.type.fields
    if isinstance(value, dict):
        parts = [f"{printable(str(key))[:_SHOWN]}={short(item)}" for key, item in list(value.items())[:_FIELDS]]
    elif isinstance(value, list) and frame.type.name:
        # A tagged structure carries its tag before its first field.
        named = [*[""] * (len(value) - len(names)), *names] if len(value) > len(names) else list(names)
        parts = [
            f"{printable(name)}={short(item)}" if name else short(item)
            for name, item in zip(named[:_FIELDS], value, strict=False)
        ]
    elif isinstance(value, list):
        parts = [short(item) for item in value[:_FIELDS]]
    else:
        return short(value)
    return _cut(" ".join(parts), _MOST)


def short(value: Any) -> str:
    """One value, printable and not long."""
    if isinstance(value, bytes):
        try:
            text = value[:_SHOWN].decode()
        except UnicodeDecodeError:
            text = ""
        return _cut(repr(text) if text and text.isprintable() else repr(value[:_SHOWN]), 2 * _SHOWN)
    if isinstance(value, str):
        return _cut(repr(value[: 2 * _SHOWN]), _SHOWN)
    if isinstance(value, list | dict):
        return (
            f"{len(value)} of {'{}' if isinstance(value, dict) else '[]'}"
            if len(value) > _FIELDS
            else _cut(printable(repr(value)), _SHOWN)
        )
    return _cut(printable(repr(value)), _SHOWN)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def printable(text: str) -> str:
    """`text` without what moves a terminal's cursor, or a reader's eye."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)
