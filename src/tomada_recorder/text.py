"""What the recorder writes, as text: addresses, names of constants, the first of the bytes, JSON."""

from __future__ import annotations

import os

try:
    from _json import encode_basestring_ascii as quoted
except ImportError:  # another Python than CPython
    from json.encoder import encode_basestring_ascii as quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

__all__ = ["Constants", "address_text", "data_field", "error_fields", "quoted", "shortened", "tellable", "text_field"]

_MOST_TEXT = 200


def shortened(value: object) -> str:
    """A value as Python writes it, not too long."""
    text = repr(value)
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"


def address_text(address: Any) -> str:
    """As ``127.0.0.1:4477``, ``[::1]:4477``, a path, or ``@name`` in Linux's own namespace; empty for none."""
    if isinstance(address, tuple) and len(address) >= 2 and isinstance(address[1], int):  # noqa: PLR2004
        host = str(address[0])
        return ("[%s]:%d" if ":" in host else "%s:%d") % (host, address[1])
    if isinstance(address, (bytes, bytearray)):
        address = os.fsdecode(bytes(address))
    if isinstance(address, str):
        return "@" + address[1:] if address.startswith("\0") else address
    return "" if address is None else shortened(address)


def text_field(name: str, value: str) -> str:
    """A field of a record, with the comma before it; nothing for an empty text."""
    return ',"%s":%s' % (name, quoted(tellable(value))) if value else ""


def tellable(text: str) -> str:
    """Text without halves of surrogate pairs, as names of files may have them, and JSON not."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()


def data_field(data: bytes) -> str:
    """Bytes as a field: ``data`` where they are UTF-8, else ``hex``; nothing for none."""
    if not data:
        return ""
    try:
        return ',"data":' + quoted(data.decode())
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.start:  # cut within a character
            return ',"data":' + quoted(data[: error.start].decode())
        return ',"hex":"%s"' % data.hex()


def error_fields(error: BaseException) -> str:
    """What was raised, as fields."""
    kind = type(error)
    module = "" if kind.__module__ in {"builtins", "socket"} else kind.__module__ + "."
    return text_field("error", module + kind.__qualname__) + text_field("message", str(error)[:_MOST_TEXT])


class Constants:
    """The names of the numbers that sockets' methods take."""

    def __init__(self, module: ModuleType) -> None:
        names = vars(module)
        self._flags = {int(v): k for k, v in names.items() if k.startswith("MSG_")}
        self._levels = {int(v): k for k, v in names.items() if k.startswith(("SOL_", "IPPROTO_"))}
        self._options = {
            level: {int(v): k for k, v in names.items() if k.startswith(prefix) and not k.startswith(_OTHERS)}
            for level, prefix in _PREFIXES.items()
        }
        for way in ("SHUT_RD", "SHUT_WR", "SHUT_RDWR"):
            setattr(self, way, names[way])
        self._ways = {int(names[way]): way for way in ("SHUT_RD", "SHUT_WR", "SHUT_RDWR")}
        self._levels[int(names["SOL_SOCKET"])] = "SOL_SOCKET"
        self.peek = int(names.get("MSG_PEEK", 0))
        self.socket_level, self.error = int(names["SOL_SOCKET"]), int(names["SO_ERROR"])

    def flags(self, value: Any) -> str:
        """As ``MSG_PEEK | MSG_DONTWAIT``."""
        names = [name for bit, name in self._flags.items() if bit and value & bit == bit]
        return " | ".join(names) or str(value)

    def way(self, value: Any) -> str:
        """What `shutdown` takes."""
        return self._ways.get(value, str(value))

    def option(self, level: Any, option: Any) -> str:
        """As ``SOL_SOCKET, SO_REUSEADDR``."""
        name = self._levels.get(level, str(level))
        return "%s, %s" % (name, self._options.get(name, {}).get(option, str(option)))


_OTHERS = ("SO_J1939_", "SO_VM_")
"""Of families whose numbers mean something else."""
_PREFIXES = {"SOL_SOCKET": "SO_", "IPPROTO_TCP": "TCP_", "IPPROTO_IP": "IP_", "IPPROTO_IPV6": "IPV6_"}
