"""Calls and sockets in words: what stands beside a step of a diagram, and at the head of a lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tomada.diagrams import Tone
from tomada.recording.calls import RECEIVES, SENDS

if TYPE_CHECKING:
    from tomada.recording.calls import Call
    from tomada.recording.story import Event, Lane

WOULD_BLOCK: Final = frozenset({"BlockingIOError", "ssl.SSLWantReadError", "ssl.SSLWantWriteError"})
_BEGINS: Final = frozenset({"listen", "accept", "connect", "connect_ex", "do_handshake", "socketpair"})
_ENDS: Final = frozenset({"shutdown", "close", "unwrap", "detach"})
_CONTROL: Final = frozenset({"setsockopt", "getsockopt", "settimeout", "setblocking"})
_KINDS: Final = {
    ("AF_INET", "SOCK_STREAM"): "TCP",
    ("AF_INET6", "SOCK_STREAM"): "TCP",
    ("AF_INET", "SOCK_DGRAM"): "UDP",
    ("AF_INET6", "SOCK_DGRAM"): "UDP",
    ("AF_UNIX", "SOCK_STREAM"): "Unix",
    ("AF_UNIX", "SOCK_DGRAM"): "Unix datagram",
    ("TLS", "SOCK_STREAM"): "TLS",
}
_MOST_READY: Final = 3


def text_of(call: Call) -> str:
    """As ``recv(1024)``."""
    clear = " of TLS" if call.tls else ""
    return f"{call.call}({call.args}){clear}"


def result_of(event: Event) -> str:
    """What came of it, in a few words."""
    call = event.call
    if call.took is None or call.error:
        return _failure(call)
    if call.call == "accept":
        return f"from {call.address}" if call.address else "a connection"
    if call.ready or call.call == "select" or call.call.endswith(".select"):
        return _ready(event)
    if call.call in RECEIVES or call.call in SENDS:
        is_of_stream = event.lane is not None and event.lane.end.is_stream
        return "0 bytes: the other end sends no more" if is_of_stream and call.is_end else _moved(call)
    if call.call == "close":
        return "later: a file of it is open" if call.deferred else f"by {call.by}" if call.by else ""
    return call.value


def _failure(call: Call) -> str:
    if call.took is None:
        return "has not returned"
    return "would block" if call.error in WOULD_BLOCK else f"{call.error}: {call.message}".rstrip(": ")


def _moved(call: Call) -> str:
    amount = f"{call.size:,} bytes" if call.size != 1 else "1 byte"
    if call.call in RECEIVES:
        return f"{amount} from {call.address}" if call.address else amount
    return amount if call.args.partition(",")[0] != f"{call.size} bytes" else ""


def _ready(event: Event) -> str:
    if not event.call.ready:
        return "nothing in this time"
    lanes = [event.running.sockets.get(number) for number in event.call.ready[:_MOST_READY]]
    names = [_short(lane) if lane is not None else "another descriptor" for lane in lanes]
    more = len(event.call.ready) - len(names)
    return f"ready: {', '.join(names)}" + (f" and {more:,} more" if more > 0 else "")


def _short(lane: Lane) -> str:
    return lane.end.peer or lane.end.local or f"descriptor {lane.record.fd}"


def data_of(call: Call) -> str:
    """The first of the bytes, as text where they are text."""
    if call.hex:
        try:
            return repr(bytes.fromhex(call.hex))[2:-1]
        except ValueError:
            return call.hex
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in call.data)


def tone_of(call: Call) -> Tone:
    """What it is, for its colour."""
    if call.error and call.error not in WOULD_BLOCK:
        return Tone.FAILED
    if call.error or call.call in _CONTROL or not call.socket:
        return Tone.CONTROL
    if call.call in _BEGINS:
        return Tone.BEGIN
    return Tone.END if call.call in _ENDS else Tone.PLAIN


def title_of(lane: Lane) -> str:
    """As ``TCP 127.0.0.1:4477``."""
    record = lane.record
    kind = _KINDS.get((record.family, record.type)) or f"{record.family} {record.type}".strip() or "socket"
    return f"{kind} {lane.end.local}".rstrip()


def detail_of(lane: Lane) -> str:
    """What else there is to say: with whom, and where it comes from."""
    words = []
    if lane.end.peer:
        words.append(f"with {lane.end.peer}")
    if lane.record.origin not in {"created", "accepted", "unknown"}:
        words.append(lane.record.origin)
    if any(descriptor >= 0 for descriptor in lane.descriptors):
        words.append("fd " + ", ".join(str(descriptor) for descriptor in dict.fromkeys(lane.descriptors)))
    return ", ".join(words)
