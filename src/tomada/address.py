"""Where a socket is: read an address from text, print it back.

====================  =======================================================
``tcp://host:port``   a stream over TCP; ``host:port`` and ``:port`` mean it
``tls://host:port``   the same, encrypted
``udp://host:port``   datagrams
``unix:///path``      a stream through a socket file on this machine
``unixgram:///path``  datagrams through a socket file
``ws://host:port/p``  WebSocket; without a port 80, and 443 for ``wss://``
``memory://name``     inside this process
====================  =======================================================

Nothing is percent-decoded: ``%`` stands for itself, in paths as in IPv6 zones (``[fe80::1%eth0]``).
"""

from __future__ import annotations

import sys
from socket import AF_INET, AF_INET6, inet_pton

import msgspec

from tomada.errors import AddressError

MAX_ADDRESS_LENGTH = 1_000
"""Characters that an address may have."""

# sockaddr_un holds 108 bytes on Linux and 104 on macOS and the BSDs; the last one is a NUL.
MAX_SOCKET_PATH = 107 if sys.platform == "linux" else 103
"""Bytes that the path of a socket file may have."""

_MAX_PORT = 65_535
_MAX_NAME, _MAX_LABEL = 253, 63  # RFC 1035, section 2.3.4; longer ones break the resolver's encoder

_EXAMPLES = {
    "tcp": "tcp://localhost:4477",
    "tls": "tls://localhost:4477",
    "udp": "udp://localhost:4477",
    "unix": "unix:///tmp/app.sock",
    "unixgram": "unixgram:///tmp/app.sock",
    "ws": "ws://localhost:4477/",
    "wss": "wss://localhost:4477/",
    "memory": "memory://app",
}
_FILE_SCHEMES = ("unix", "unixgram")
_WEB_PORTS = {"ws": 80, "wss": 443}  # RFC 6455, section 3


class Address(msgspec.Struct, frozen=True):
    """One place to listen on or to connect to; equal and hashable by value.

    Addresses from outside come through :meth:`parse`, which checks them; the constructor does not.

    Attributes:
        scheme: ``tcp``, ``tls``, ``udp``, ``unix``, ``unixgram``, ``ws``, ``wss`` or ``memory``.
        host: A name, an IPv4 or an IPv6 address (without brackets), or the name of a ``memory`` address.
            Empty means all interfaces when listening and localhost when connecting.
        port: From 0 to 65535, where 0 asks for a free one; ``None`` where the scheme has no ports.
        path: The socket file of ``unix`` and ``unixgram``, the resource of ``ws`` and ``wss``, else empty.
    """

    scheme: str
    host: str = ""
    port: int | None = None
    path: str = ""

    @classmethod
    def of(cls, address: str | Address) -> Address:
        """``address`` itself, or what it writes. Raises `AddressError`."""
        return address if isinstance(address, Address) else cls.parse(address)

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address that ``text`` writes; ``parse(str(address)) == address``.

        Raises:
            AddressError: The text is no address. The error shows it, marks the wrong part and gives a right one.
        """
        _check_text(text)
        scheme, start = _read_scheme(text)
        if scheme in _FILE_SCHEMES:
            return cls(scheme, path=_read_file(text, scheme, start))
        slash = text.find("/", start)
        end = len(text) if slash < 0 else slash
        _refuse_extras(text, scheme, start, end)
        if scheme == "memory":
            return cls(scheme, host=_read_name(text, start, end))
        host, after = _read_host(text, scheme, start, end)
        port = _read_port(text, scheme, after, end)
        return cls(scheme, host, port, (text[end:] or "/") if scheme in _WEB_PORTS else "")

    def __str__(self) -> str:
        """The address as :meth:`parse` reads it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def _check_text(text: str) -> None:
    if not text:
        raise _wrong(text, 0, 1, "it is empty", _EXAMPLES["tcp"])
    if len(text) > MAX_ADDRESS_LENGTH:
        why = f"it has {len(text):,} characters, and {MAX_ADDRESS_LENGTH:,} are the most"
        raise _wrong(f"{text[:12]}...", 0, 12, why, _EXAMPLES["tcp"])
    if not text.isprintable():
        at = next(at for at, char in enumerate(text) if not char.isprintable())
        what = "whitespace" if text[at].isspace() else "a character that cannot be printed"
        raise _wrong(text, at, at + 1, f"it holds {what}", _EXAMPLES["tcp"])
    for at in (0, len(text) - 1):
        if text[at] == " ":
            raise _wrong(text, at, at + 1, "it begins or ends with whitespace", _EXAMPLES["tcp"])


def _read_scheme(text: str) -> tuple[str, int]:
    """The scheme, and where what follows it starts."""
    written, mark, _ = text.partition("://")
    if not mark:
        _check_bare(text)
        return "tcp", 0
    scheme, start = written.lower(), len(written) + 3
    if scheme not in _EXAMPLES:
        _refuse_credentials(text, start, len(text))
        close = _closest(scheme)
        why = f"the scheme must be one of {', '.join(_EXAMPLES)}" if scheme else "the scheme is missing"
        raise _wrong(text, 0, max(len(written), 1), why, close)
    return scheme, start


def _check_bare(text: str) -> None:
    """Refuses what looks like an address of another kind than ``host:port``."""
    if text.startswith(("/", ".")):
        right = f"unix://{text}" if text.startswith("/") else _EXAMPLES["unix"]
        raise _wrong(text, 0, len(text), "a path needs its scheme", right)
    scheme = text.partition(":")[0].lower()
    at = len(scheme)
    # 'tcp:4477' may well be a host that is named tcp, but 'unix:/tmp' and 'tcp:host:1' are no hosts and ports.
    if scheme in _EXAMPLES and text[at:] and not text[at + 1 :].isdigit():
        raise _wrong(text, at, at + 1, f"after {scheme!r} comes '://'", _EXAMPLES[scheme])


def _closest(scheme: str) -> str:
    import difflib  # noqa: PLC0415 - only a wrong address needs it, and every start would pay for it

    close = difflib.get_close_matches(scheme[:20], _EXAMPLES, n=1)
    return _EXAMPLES[close[0] if close else "tcp"]


def _read_file(text: str, scheme: str, start: int) -> str:
    path = text[start:]
    if not path.strip("/"):
        raise _wrong(text, start, len(text), "the path of the socket file is missing", _EXAMPLES[scheme])
    if not path.startswith("/"):
        why = f"the path must start at the root, so that three slashes follow {scheme!r}"
        raise _wrong(text, start, len(text), why, f"{scheme}:///{path}")
    size = len(path.encode())
    if size > MAX_SOCKET_PATH:
        why = f"the path has {size} bytes, and the system takes {MAX_SOCKET_PATH} at the most"
        raise _wrong(text, start, len(text), why, _EXAMPLES[scheme])
    return path


def _refuse_extras(text: str, scheme: str, start: int, end: int) -> None:
    """Refuses the parts of an URL that an address does not have."""
    _refuse_credentials(text, start, end if scheme in _WEB_PORTS else len(text))
    right = _EXAMPLES[scheme]
    for mark, name in (("?", "query"), ("#", "fragment")):
        at = text.find(mark, start)
        if at >= 0:
            raise _wrong(text, at, len(text), f"an address has no {name}", right)
    blank = text.find(" ", start)
    if blank >= 0:
        raise _wrong(text, blank, blank + 1, "it holds whitespace", right)
    if end < len(text) and scheme not in _WEB_PORTS:
        raise _wrong(text, end, len(text), f"a {scheme} address has no path", right)


def _refuse_credentials(text: str, start: int, end: int) -> None:
    at = text.rfind("@", start, end)
    if at >= 0:
        hidden = f"{text[:start]}***{text[at:]}"  # errors end up in logs, where passwords must not
        why = "an address holds no user and no password"
        raise _wrong(hidden, start, start + 4, why, _EXAMPLES["tcp"])


def _read_name(text: str, start: int, end: int) -> str:
    if start == end:
        raise _wrong(text, start, end, "the name is missing", _EXAMPLES["memory"])
    _check_characters(text, "memory", start, end)
    return text[start:end]


def _read_host(text: str, scheme: str, start: int, end: int) -> tuple[str, int]:
    """The host, and where the colon before the port should be."""
    if text.startswith("[", start):
        return _read_bracketed(text, scheme, start, end)
    colon = text.find(":", start, end)
    if text.count(":", start, end) > 1:
        raise _too_many_colons(text, scheme, start, end)
    stop = end if colon < 0 else colon
    if colon < 0 and scheme not in _WEB_PORTS:
        right = f":{text}" if text.isdigit() else _EXAMPLES[scheme]
        raise _wrong(text, end, end, "the port is missing", right)
    _check_host(text, scheme, start, stop)
    return text[start:stop], stop


def _read_bracketed(text: str, scheme: str, start: int, end: int) -> tuple[str, int]:
    close = text.find("]", start, end)
    right = f"{scheme}://[::1]:4477"
    if close < 0:
        raise _wrong(text, start, start + 1, "this bracket is never closed", right)
    host = text[start + 1 : close]
    if not _is_ipv6(host):
        raise _wrong(text, start + 1, close, "the brackets must hold an IPv6 address", right)
    if close + 1 < end and text[close + 1] != ":":
        raise _wrong(text, close + 1, end, "after the bracket come a colon and the port", right)
    return host, close + 1


def _too_many_colons(text: str, scheme: str, start: int, end: int) -> AddressError:
    whole = text[start:end]
    host, _, port = whole.rpartition(":")
    if port.isdigit() and _is_ipv6(host):  # '::1:4477' is an IPv6 address as well, but hardly meant
        right = f"{scheme}://[{host}]:{port}"
        return _wrong(text, start, start + len(host), "an IPv6 address needs brackets", right)
    if _is_ipv6(whole):
        return _wrong(text, start, end, "an IPv6 address needs brackets", f"{scheme}://[{whole}]:4477")
    return _wrong(text, end - len(port) - 1, end, "it has more than one colon", _EXAMPLES[scheme])


def _is_ipv6(host: str) -> bool:
    number, mark, zone = host.partition("%")
    return _is_number(AF_INET6, number) and bool(zone) == bool(mark) and not set(zone) & set(":[]%")


def _is_number(family: int, host: str) -> bool:
    try:
        inet_pton(family, host)
    except OSError:
        return False
    return True


def _check_host(text: str, scheme: str, start: int, end: int) -> None:
    host, right = text[start:end], _EXAMPLES[scheme]
    if host == "*":
        raise _wrong(text, start, end, "all interfaces are meant by no host at all", f"{scheme}://:4477")
    _check_characters(text, scheme, start, end)
    if host and not host.strip("0123456789.") and not _is_number(AF_INET, host):
        why = "an IPv4 address has four numbers from 0 to 255"
        raise _wrong(text, start, end, why, f"{scheme}://127.0.0.1:4477")
    labels = host.removesuffix(".").split(".") if host else []
    if len(host) > _MAX_NAME or not all(0 < len(label) <= _MAX_LABEL for label in labels):
        why = f"a name has at most {_MAX_NAME} characters, in parts of 1 to {_MAX_LABEL} between dots"
        raise _wrong(text, start, end, why, right)


def _check_characters(text: str, scheme: str, start: int, end: int) -> None:
    for at in range(start, end):
        char = text[at]
        if char.isascii() and not char.isalnum() and char not in "-._":
            why = "a name has letters, digits, dots, hyphens and underscores"
            raise _wrong(text, at, at + 1, why, _EXAMPLES[scheme])


def _read_port(text: str, scheme: str, colon: int, end: int) -> int:
    port = text[colon + 1 : end]
    if colon == end and scheme in _WEB_PORTS:
        return _WEB_PORTS[scheme]
    if not port:
        raise _wrong(text, end, end, "the port is missing", _EXAMPLES[scheme])
    if not (port.isascii() and port.isdigit()) or int(port) > _MAX_PORT:
        why = f"the port must be a number from 0 to {_MAX_PORT}"
        raise _wrong(text, colon + 1, end, why, _EXAMPLES[scheme])
    return int(port)


def _wrong(text: str, start: int, end: int, why: str, right: str) -> AddressError:
    """The error that shows ``text`` and marks it from ``start`` to ``end``."""
    shown, left = _shown(text), _shown(text[:start])
    marks = "^" * max(1, len(_shown(text[start:end])))
    return AddressError(
        f"{shown or repr(text)} is no address: {why}\n    {shown}\n    {' ' * len(left)}{marks}\na right one: {right}"
    )


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
