"""Messages in datagrams, at the answering end: each request is handled once and answered as often as it comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from tomada import validation
from tomada.connection import Connection
from tomada.datagrams.peer import AMPLIFICATION
from tomada.eager import Suspended
from tomada.endpoint import log
from tomada.errors import InvalidMessage, ProtocolError, RemoteError
from tomada.message import mark
from tomada.messenger import WRONG_REPLY, Messenger
from tomada.protocol import FailureCode
from tomada.protocol.datagram import UNTOLD, DatagramKind, Parcel, Tokens, decode_parcel, encode_parcel
from tomada.protocol.duplicates import Duplicates, Entry
from tomada.protocol.handshake import encode_failure
from tomada.settings import DatagramLimits
from tomada.telemetry import tally as tallies
from tomada.telemetry.spans import span
from tomada.transports.datagrams.opening import adopt_datagrams, open_datagrams
from tomada.transports.datagrams.transport import DatagramOptions

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from tomada.address import Address
    from tomada.endpoint import Endpoint
    from tomada.message import AnyRequest
    from tomada.messenger import Driver, Route
    from tomada.protocol import Engine, TypeEntry
    from tomada.settings import Limits
    from tomada.transports.datagrams.transport import DatagramStatistics, DatagramTransport
    from tomada.transports.rights import FileRights

TOO_LONG: Final = "DatagramTooLong"
"""The name of the failure that stands for an answer which does not fit into a datagram."""
_LONGEST_FAILURE: Final = 1_024


def limits_of(limits: Limits) -> DatagramLimits:
    """Those of a socket, out of those of a server."""
    return DatagramLimits(handlers=limits.handlers, buffer_bytes=limits.buffer_bytes)


class _Answers:
    """Stands where a messenger has its engine, and keeps the answer that it would send."""

    __slots__ = ("_entries", "kept")

    def __init__(self, entries: Sequence[TypeEntry]) -> None:
        self._entries = list(entries)
        self.kept = (DatagramKind.ERROR, "", UNTOLD, b"")

    @staticmethod
    def key(parcel: Parcel) -> str:
        """By which a handler recognises the request that came in it."""
        return f"{parcel.client.hex()}.{parcel.number}"

    def reply(self, _: int, number: int, payload: bytes) -> None:
        """A handler's reply."""
        self._keep(DatagramKind.REPLY, number, payload)

    def fail(self, _: int, number: int, payload: bytes) -> None:
        """An error with fields."""
        self._keep(DatagramKind.ERROR, number, payload)

    def refuse(self, _: int, code: FailureCode, name: str, message: str) -> None:
        """A failure in the protocol's words."""
        self.kept = (DatagramKind.ERROR, "", UNTOLD, encode_failure(code, name, message, _LONGEST_FAILURE))

    def declare(self, entries: tuple[TypeEntry, ...]) -> None:
        """Types that are not in the application's catalogue."""
        self._entries += entries

    def _keep(self, kind: DatagramKind, number: int, payload: bytes) -> None:
        entry = self._entries[number - 1] if number else None
        self.kept = (kind, "" if entry is None else entry.name, UNTOLD if entry is None else entry.digest, payload)


class _Asked:
    """A request, or a one-way message, whose handler is started."""

    __slots__ = ("entry", "name", "parcel", "route", "size")

    def __init__(self, parcel: Parcel, name: Any, size: int, route: Route, entry: Entry) -> None:
        self.parcel = parcel
        self.name = name
        self.size = size
        self.route = route
        self.entry = entry


class MessageService:
    """Serves an application's messages at one address for datagrams.

    Args:
        endpoint: The server's.
        address: Where.
        secret: Random bytes, for the tokens.
    """

    def __init__(self, endpoint: Endpoint, address: Address, secret: bytes) -> None:
        self._endpoint = endpoint
        self.address = address
        """Where it is to receive."""
        self._answers = _Answers(endpoint.repertoire.catalogue.entries)
        # It asks nothing of its driver where nothing but answers goes through it.
        self._messenger = Messenger(cast("Engine", self._answers), endpoint.repertoire, cast("Driver", None))
        self._seen = Duplicates()
        self._tokens = Tokens(secret)
        self._is_local = address.scheme == "unixgram"
        self._busy = 0
        self.transport: DatagramTransport

    async def open(self, bound: socket.socket | None, rights: FileRights) -> None:
        """Begin to receive; at a socket that is bound already, where there is one."""
        options = DatagramOptions(limits=limits_of(self._endpoint.limits), rights=rights)
        if bound is not None:
            self.transport = await adopt_datagrams(bound, self.address, self, options)
        else:
            self.transport = await open_datagrams(self.address, self, options=options)

    @property
    def _statistics(self) -> DatagramStatistics:
        return self.transport.statistics

    # The transport calls these.

    def datagrams_received(self, datagrams: Sequence[bytes], name: Any) -> None:
        """Handle what is a message; what is none is counted, and never answered."""
        for data in datagrams:
            try:
                parcel = decode_parcel(data)
            except ProtocolError:
                self._statistics.unexpected += 1
                continue
            if parcel.kind is DatagramKind.ASK or parcel.kind is DatagramKind.SEND:
                self._take(parcel, name, len(data))
            else:
                self._statistics.unexpected += 1

    def peer_refused(self, error: OSError) -> None:
        """An answer met nobody; it is counted."""

    def room_again(self) -> None:
        """Nobody waits here."""

    # Incoming.

    def _take(self, parcel: Parcel, name: Any, size: int) -> None:
        now = self._endpoint.loop.time()
        entry = self._seen.find(parcel.key, now)
        if entry is not None:
            self._statistics.duplicates += 1
            if entry.source != name:
                self._statistics.unexpected += 1  # replayed from elsewhere: neither done again nor answered
            elif entry.answer is not None:
                self._send(entry.answer, parcel, name, size)
            return
        if self._busy >= self.transport.limits.handlers:
            self._statistics.dropped += 1  # not remembered, so that it is handled when it comes again
            return
        refusal = self._refusal(parcel)
        if refusal is not None:
            self._refuse(parcel, name, size, *refusal)
            return
        route = self._endpoint.repertoire.routes[parcel.name]
        try:
            message = route.decode(parcel.payload)
        except Exception as error:  # noqa: BLE001 - whatever a decoder or a class's own check raises
            text = validation.explain(route.kind, error)
            self._refuse(parcel, name, size, FailureCode.INVALID, route.name, text)
            return
        if parcel.kind is DatagramKind.ASK:
            mark(cast("AnyRequest", message), (self._answers.key, parcel))
        self._start(_Asked(parcel, name, size, route, self._seen.add(parcel.key, name, now)), message)

    def _refusal(self, parcel: Parcel) -> tuple[FailureCode, str, str] | None:
        """Why a message of this name cannot be handled here."""
        route = self._endpoint.repertoire.routes.get(parcel.name)
        if route is None:
            return FailureCode.UNKNOWN_TYPE, "", f"nobody handles {parcel.name!r} here"
        if any(kind is Connection for _, kind in route.handler.asks_for):
            text = f"{route.name} is handled over connections only: its handler asks for one"
            return FailureCode.UNKNOWN_TYPE, "", text
        if route.handler.items is not None or route.handler.parts is not None:
            text = f"{route.name} is handled over connections only: no stream travels in datagrams"
            return FailureCode.UNKNOWN_TYPE, "", text
        if parcel.digest not in (UNTOLD, route.entries[route.name].digest):
            text = f"{route.name} has other fields here than at the peer; in datagrams both must have the same"
            return FailureCode.MISMATCH, "", text
        if (route.replies is None) is (parcel.kind is DatagramKind.ASK):
            how = "was asked, but is a one-way message" if route.replies is None else "was sent, but is a request"
            return FailureCode.INVALID, route.name, f"{route.name} {how}"
        return None

    def _start(self, asked: _Asked, message: Any) -> None:
        starter = self._endpoint.starter
        try:
            call = asked.route.call(message, None)
            if tallies.is_wanted:
                call = span(call, asked.route.name, self.transport.names.address(asked.name))
            with starter:
                outcome = starter.start(call)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is answered, and told to the log
            self._raised(asked, error)
        except asyncio.CancelledError:
            self._cancelled(asked)
        else:
            if outcome.__class__ is Suspended:
                self._busy += 1
                self._endpoint.tasks.add(starter.carry(outcome, self._finish(asked, outcome)))
            else:
                self._reply(asked, outcome)

    async def _finish(self, asked: _Asked, suspended: Suspended) -> None:
        try:
            value = await suspended
        except Exception as error:  # noqa: BLE001 - as in _start
            self._raised(asked, error)
        except asyncio.CancelledError:
            self._cancelled(asked)
        else:
            self._reply(asked, value)
        finally:
            self._busy -= 1
            self._endpoint.tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    # Outgoing.

    def _reply(self, asked: _Asked, value: Any) -> None:
        if asked.route.replies is None:
            return
        try:
            self._messenger.reply(0, asked.route, value)
        except InvalidMessage as error:
            log.error("%s: %s built a wrong reply: %s", self.transport.address, asked.route.handler.where, error)
            self._answers.refuse(0, FailureCode.INTERNAL, "InternalError", WRONG_REPLY)
        self._answer(asked)

    def _raised(self, asked: _Asked, error: Exception) -> None:
        self._statistics.failed += 1
        where = asked.route.handler.where
        if asked.route.replies is None or not isinstance(error, RemoteError):
            log.error("%s: %s raised", self.transport.address, where, exc_info=error)
        if asked.route.replies is None:
            return
        try:
            self._messenger.fail(0, error)
        except Exception as fault:  # noqa: BLE001 - its own __str__ may raise anything
            log.error("%s: %s raised what cannot be told: %r", self.transport.address, where, fault)
            self._answers.refuse(0, FailureCode.INTERNAL, "InternalError", WRONG_REPLY)
        self._answer(asked)

    def _cancelled(self, asked: _Asked) -> None:
        self._statistics.failed += 1
        if asked.route.replies is not None:
            self._answers.refuse(0, FailureCode.CANCELLED, "", "the handler was cancelled")
            self._answer(asked)

    def _answer(self, asked: _Asked) -> None:
        """Send the answer that is kept, and remember it for when the request comes again."""
        answer = self._encoded(asked.parcel)
        self._seen.answer(asked.parcel.key, asked.entry, answer, self._endpoint.loop.time())
        self._send(answer, asked.parcel, asked.name, asked.size)

    def _refuse(self, parcel: Parcel, name: Any, size: int, code: FailureCode, kind: str, text: str) -> None:
        self._statistics.unexpected += 1
        if parcel.kind is DatagramKind.ASK:
            self._answers.refuse(0, code, kind, text)
            self._send(self._encoded(parcel), parcel, name, size)

    def _encoded(self, request: Parcel) -> bytes:
        kind, name, digest, payload = self._answers.kept
        answer = encode_parcel(Parcel(kind, request.client, request.number, name, digest, payload))
        longest = self.transport.longest
        if len(answer) <= longest:
            return answer
        self._statistics.too_long += 1
        text = f"the answer to {request.name} has {len(answer):,} bytes, and a datagram at most {longest:,}"
        payload = encode_failure(FailureCode.RAISED, TOO_LONG, f"{text}; ask over a connection", _LONGEST_FAILURE)
        return encode_parcel(Parcel(DatagramKind.ERROR, request.client, request.number, payload=payload))

    def _send(self, answer: bytes, request: Parcel, name: Any, size: int) -> None:
        """Send an answer; or a token, where it would be too much for a source that may be forged."""
        transport = self.transport
        if len(answer) > AMPLIFICATION * size and not self._is_proved(request, name):
            self._statistics.withheld += 1
            token = self._tokens.make(_source(name), self._endpoint.loop.time())
            answer = encode_parcel(Parcel(DatagramKind.PROVE, request.client, request.number, payload=token))
        if not name or transport.is_closed or transport.unsent > transport.limits.buffer_bytes:
            self._statistics.given_up += 1  # it is asked for again
            return
        transport.send(answer, name)

    def _is_proved(self, request: Parcel, name: Any) -> bool:
        if self._is_local:
            return True  # the system says who sends through a socket file
        return bool(request.token) and self._tokens.is_good(request.token, _source(name), self._endpoint.loop.time())


def _source(name: Any) -> bytes:
    return repr(name).encode()
