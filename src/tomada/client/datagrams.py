"""Messages in datagrams, at the asking end: `connect_datagram` and what it gives."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from tomada import validation
from tomada.address import Address
from tomada.catalogue import catalogue_of, type_name
from tomada.datagrams.socket import too_long
from tomada.declaration import replies_of
from tomada.errors import (
    BufferFull,
    DatagramTooLong,
    InvalidMessage,
    ListenFailed,
    MessageError,
    ProtocolError,
    RemoteError,
    TimedOut,
    TransportError,
    TypeMismatch,
)
from tomada.failure import read_error
from tomada.message import AnyRequest, Message, Request
from tomada.opening import Opening
from tomada.protocol import TypeEntry, TypeKind
from tomada.protocol.datagram import CLIENT_BYTES, UNTOLD, DatagramKind, Parcel, decode_parcel, encode_parcel
from tomada.settings import DatagramLimits
from tomada.telemetry import late
from tomada.transports.datagrams.opening import open_datagrams
from tomada.transports.datagrams.transport import DatagramOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from tomada.transports.datagrams.transport import DatagramStatistics, DatagramTransport

ReplyT = TypeVar("ReplyT")
_MOST_PROOFS = 3
"""How often one request is repeated because the server wants a proof."""
_LAST_NUMBER = 0xFFFF_FFFF


class _Outgoing:
    """A type that is sent."""

    __slots__ = ("digest", "name", "replies")

    def __init__(self, kind: type[Message]) -> None:
        if not issubclass(kind, Message):
            raise TypeError(f"only messages can be sent: {kind.__name__} is no subclass of tomada.Message")
        if issubclass(kind, AnyRequest) and not issubclass(kind, Request):
            raise TypeError(f"{kind.__name__} takes or gives a stream, and none travels in datagrams: use a connection")
        self.name = type_name(kind)
        self.digest = catalogue_of(kind).by_name[self.name].digest
        self.replies = replies_of(kind)


class _Asking:
    """A request that waits for its answer."""

    __slots__ = ("answer", "outgoing", "parcel", "proofs")

    def __init__(self, parcel: Parcel, outgoing: _Outgoing, answer: asyncio.Future[Any]) -> None:
        self.parcel = parcel
        self.outgoing = outgoing
        self.answer = answer
        self.proofs = 0


class DatagramClient:
    """Asks and sends messages in datagrams. Got from `connect_datagram`.

    A datagram may be lost, doubled or reordered: it is UDP. tomada says so, counts what it can see, and adds nothing.
    """

    def __init__(self, peer: Address, client: bytes) -> None:
        self._peer = peer
        self._client = client
        self._number = 0
        self._token = b""
        self._asking: dict[int, _Asking] = {}
        self._outgoing: dict[type, _Outgoing] = {}
        self._refusals = 0
        self._transport: DatagramTransport

    def attach(self, transport: DatagramTransport) -> None:
        """Begin, on an open transport. Users have no need of it: `connect_datagram` does so."""
        self._transport = transport

    async def ask(self, request: Request[ReplyT], *, timeout: float = 1.0, retries: int = 3) -> ReplyT:
        """The server's reply to `request`.

        The request is sent, and while no answer comes sent again: after a time, then after twice that, and so on. The
        server handles it once, as long as it remembers its key: for a minute, unless very many others come.

        Args:
            request: An instance of a subclass of `Request`; with its name at most 65,450 bytes in MessagePack.
            timeout: Seconds until it is given up. The first repetition comes after ``timeout / (2**(retries+1) - 1)``:
                with the defaults after 67 ms, the others 200 and 467 ms after the beginning.
            retries: How often it is sent again.

        Raises:
            TimedOut: No answer came. Whether the request was handled is not known.
            RemoteError: The handler raised.
            MessageError: The request, or its reply, does not fit its type.
            DatagramTooLong: The request, or its answer, does not fit into one datagram.
            TransportError: The client was closed.
        """
        if retries < 0 or timeout <= 0:
            raise ValueError(f"timeout is {timeout!r} and retries {retries!r}: a time above 0, and a number from 0 on")
        outgoing = self._prepare(request)
        if outgoing.replies is None:
            raise TypeError(f"{outgoing.name} is a one-way message: send it, or make it a tomada.Request")
        parcel = self._parcel(DatagramKind.ASK, request, outgoing)
        asking = _Asking(parcel, outgoing, self._transport.loop.create_future())
        self._asking[parcel.number] = asking
        pause = timeout / (2 ** (retries + 1) - 1)
        try:
            for _ in range(retries + 1):
                self._post(asking.parcel)
                await asyncio.wait([asking.answer], timeout=pause)
                if asking.answer.done():
                    return asking.answer.result()  # type: ignore[no-any-return] # decoded as this request's reply
                pause *= 2
        finally:
            del self._asking[parcel.number]
            asking.answer.cancel()
        refused = "; the system says that nobody receives there" if self._refusals else ""
        late("ask", timeout, self._peer)
        times = "once" if not retries else f"{retries + 1} times"
        raise TimedOut(f"no answer to {outgoing.name} from {self._peer} within {timeout:g} s, sent {times}{refused}")

    async def send(self, message: Message) -> None:
        """Send a one-way message, once. Whether it arrives nobody knows. Raises as `ask`, but for the answer."""
        outgoing = self._prepare(message)
        if outgoing.replies is not None:
            raise TypeError(f"{outgoing.name} is a request: ask it, or make it a tomada.Message")
        if self._transport.is_crowded:
            await asyncio.sleep(0)
        self._post(self._parcel(DatagramKind.SEND, message, outgoing))

    def _prepare(self, message: Message) -> _Outgoing:
        kind = message.__class__
        outgoing = self._outgoing.get(kind)
        if outgoing is None:
            outgoing = self._outgoing[kind] = _Outgoing(kind)
        return outgoing

    def _parcel(self, kind: DatagramKind, message: Message, outgoing: _Outgoing) -> Parcel:
        try:
            payload = msgspec.msgpack.encode(message)
        except Exception as error:
            raise InvalidMessage(f"{outgoing.name} cannot be encoded: {error}") from error
        self._number = self._number % _LAST_NUMBER + 1
        return Parcel(kind, self._client, self._number, outgoing.name, outgoing.digest, payload, self._token)

    def _post(self, parcel: Parcel) -> None:
        transport = self._transport
        if transport.is_closed:
            raise TransportError(f"the client of {self._peer} has been closed")
        data = encode_parcel(parcel)
        if len(data) > transport.longest:
            transport.statistics.too_long += 1
            raise too_long(data, self._peer, transport.longest)
        if transport.unsent > transport.limits.buffer_bytes:
            raise BufferFull(f"{transport.unsent:,} bytes wait to be sent to {self._peer}; send more slowly")
        transport.send(data, None)

    # The transport calls these.

    def datagrams_received(self, datagrams: Sequence[bytes], name: Any) -> None:  # noqa: ARG002 - there is one peer
        """Give each answer to who waits for it."""
        for data in datagrams:
            try:
                parcel = decode_parcel(data)
            except ProtocolError:
                self._transport.statistics.unexpected += 1
                continue
            asking = self._asking.get(parcel.number) if parcel.client == self._client else None
            if asking is None or asking.answer.done():
                is_late = parcel.client == self._client and 0 < parcel.number <= self._number
                self._count(is_late=is_late)
            else:
                self._answered(asking, parcel)

    def _count(self, *, is_late: bool) -> None:
        if is_late:
            self._transport.statistics.duplicates += 1
        else:
            self._transport.statistics.unexpected += 1

    def peer_refused(self, error: OSError) -> None:  # noqa: ARG002 - it says nothing more
        """Nobody receives there at present: the next repetition may meet somebody."""
        self._refusals += 1

    def room_again(self) -> None:
        """Nobody waits here."""

    def _answered(self, asking: _Asking, parcel: Parcel) -> None:
        match parcel.kind:
            case DatagramKind.PROVE:
                self._prove(asking, parcel.payload)
            case DatagramKind.REPLY:
                self._refusals = 0
                try:
                    asking.answer.set_result(self._value(asking.outgoing, parcel))
                except MessageError as error:
                    asking.answer.set_exception(error)
            case DatagramKind.ERROR:
                self._refusals = 0
                asking.answer.set_exception(_error(parcel))
            case _:
                self._count(is_late=False)

    def _prove(self, asking: _Asking, token: bytes) -> None:
        """Repeat the request at once, with the token that shows where this end is."""
        if asking.proofs >= _MOST_PROOFS or not 0 < len(token) <= 64:  # noqa: PLR2004 - the protocol's longest
            self._count(is_late=False)
            return
        asking.proofs += 1
        self._token = token
        asking.parcel = asking.parcel._replace(token=token)
        try:
            self._post(asking.parcel)
        except (DatagramTooLong, BufferFull, TransportError) as error:
            asking.answer.set_exception(error)

    @staticmethod
    def _value(outgoing: _Outgoing, parcel: Parcel) -> Any:
        replies = outgoing.replies
        decode: Any = None if replies is None else replies.plain
        if parcel.name and replies is not None:
            kind = next((kind for kind in replies.decoders if type_name(kind) == parcel.name), None)
            if kind is None:
                raise TypeMismatch(f"{outgoing.name} was answered with {parcel.name}, not with {replies.text}")
            if parcel.digest not in (UNTOLD, catalogue_of(kind).by_name[parcel.name].digest):
                raise TypeMismatch(f"{parcel.name} has other fields here than at the peer")
            decode = replies.decoders[kind]
        elif decode is None:
            raise TypeMismatch(f"{outgoing.name} was answered with a plain value")
        try:
            return decode(parcel.payload)
        except Exception as error:
            text = validation.explain(decode.__self__.type, error)
            raise InvalidMessage(f"the reply to {outgoing.name} does not fit: {text}") from error

    # What it is.

    @property
    def address(self) -> Address:
        """Where this end is."""
        return self._transport.address

    @property
    def peer(self) -> Address:
        """Where the server is."""
        return self._peer

    @property
    def statistics(self) -> DatagramStatistics:
        """The counts of this moment."""
        return self._transport.counted()

    def close(self) -> None:
        """Close. Who waits for an answer gets `TransportError`. To call it again does nothing."""
        self._transport.close()
        for asking in self._asking.values():
            if not asking.answer.done():
                asking.answer.set_exception(TransportError(f"the client of {self._peer} has been closed"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DatagramClient of {self._peer}>"


def _error(parcel: Parcel) -> Exception:
    if parcel.name:
        entry = TypeEntry(parcel.name, TypeKind.ERROR, digest=parcel.digest)
        return read_error(entry, parcel.payload, {parcel.name: entry})
    error = read_error(None, parcel.payload, {})
    if isinstance(error, RemoteError) and error.name == DatagramTooLong.__name__:
        return DatagramTooLong(error.message)
    return error


def connect_datagram(
    address: str | Address, *, source: str | Address | None = None, limits: DatagramLimits | None = None
) -> Opening[DatagramClient]:
    """A client of the messages that a server takes in datagrams at `address`.

    ::

        async with tomada.connect_datagram("udp://127.0.0.1:7001") as clock:
            now = await clock.ask(Now(), timeout=1.0, retries=3)

    There is no handshake: whether somebody is there the first answer shows.

    Args:
        address: Such as ``udp://127.0.0.1:7001`` or ``unixgram:///tmp/app.sock``.
        source: Where this end is; by default a free port, or on Linux a name that the system gives.
        limits: How much may wait.

    Raises:
        AddressError: An address cannot be read (at once).
        ConnectFailed: The host is not known, no way leads there, or there is no such socket file.
        ListenFailed: The source cannot be bound.
    """
    place = Address.of(address)
    own = Address(place.scheme, port=0 if place.scheme == "udp" else None) if source is None else Address.of(source)
    options = DatagramOptions(limits=limits or DatagramLimits())

    async def opened() -> DatagramClient:
        client = DatagramClient(place, os.urandom(CLIENT_BYTES))
        try:
            client.attach(await open_datagrams(own, client, peer=place, options=options))
        except FileNotFoundError as error:
            text = "this system gives no names to sockets; give the path where answers come as source=unixgram:///…"
            raise ListenFailed(f"cannot connect to {place}: {text}") from error
        return client

    return Opening(opened)
