"""Every error tomada raises.

::

    TomadaError
    ├── AddressError            an address that cannot be read (also a ValueError)
    ├── DeclarationError        a message type or handler that is written wrongly (also a TypeError)
    ├── TransportError          the operating system said no (also an OSError)
    │   ├── ConnectFailed       nobody could be reached at that address
    │   └── ListenFailed        that address cannot be listened on
    │       ├── AddressInUse    somebody else listens there
    │       └── SystemPort      a port below 1024, without the privilege it needs
    ├── ChildrenFailed          connections cannot be served in child processes
    ├── StoreFailed             the store of sessions cannot be used
    ├── RecordingError          a file that is no recording, or cannot be read (also a ValueError)
    ├── ProtocolError           the peer broke the protocol; its connection is closed
    │   └── HandshakeFailed     the two ends could not agree to talk
    ├── ConnectionLost          the connection ended while something was still expected of it
    │   │                       (also a ConnectionError)
    │   ├── SessionLost         its session cannot go on; what this is raised for has not left this end
    │   └── OutcomeUnknown      its session cannot go on, and the request may or may not have been carried out
    ├── StreamEnded             the peer ended its stream before all that was waited for had come (also an EOFError)
    ├── StreamBusy              two tasks receive from one stream at once (also a RuntimeError)
    ├── LimitExceeded           more than a limit allows, sent or received (also a ValueError)
    ├── BufferFull              so much waits to be sent that a sender would have to wait
    ├── FileChanged             a file became shorter while it was sent (also an OSError)
    ├── TimedOut                a deadline passed (also a TimeoutError)
    ├── DatagramError           a datagram that cannot be sent (also a ValueError)
    │   ├── DatagramTooLong     longer than one datagram may be
    │   └── UnverifiedPeer      an answer too long for a source that may be forged
    ├── MessageError            a message that does not fit its type (also a ValueError)
    │   ├── InvalidMessage      a field is missing or has a wrong value
    │   ├── UnknownType         the receiver has no such type, or no handler for it
    │   └── TypeMismatch        both ends have the type, with fields that do not fit each other
    └── RemoteError             a handler at the other end raised; subclass it for errors with fields
        └── InternalError       the handler's own fault, told without details

Each message says what is wrong, with the value, and what to do next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, dataclass_transform, get_origin, get_type_hints

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder of msgspec raises where bytes from anywhere are not what they should be."""


class TomadaError(Exception):
    """The root: ``except tomada.TomadaError`` catches all that tomada raises."""


class AddressError(TomadaError, ValueError):
    """An address that cannot be read. The text shows it, marks what is wrong and gives a right one."""


class DeclarationError(TomadaError, TypeError):
    """A message type or a handler that is written wrongly. The text names it and says what to write."""


class TransportError(TomadaError, OSError):
    """The operating system refused something; its own error is the ``__cause__``."""


class ConnectFailed(TransportError):
    """Nobody could be reached at the address that the text names, or only somebody who went away without a word."""


class ListenFailed(TransportError):
    """The address that the text names cannot be listened on."""


class AddressInUse(ListenFailed):
    """Somebody listens there already; the text names the process where the system tells."""


class SystemPort(ListenFailed):
    """A port below 1024 was asked for without the privilege that it needs."""


class ChildrenFailed(TomadaError):
    """Connections cannot be served in child processes, or not any more; the text says why, and what to do."""


class StoreFailed(TomadaError):
    """The store of sessions cannot be used, or not just now; the text names it, says why, and what to do."""


class RecordingError(TomadaError, ValueError):
    """A file that is no recording, or cannot be read as one; the text names it and says why."""


class ProtocolError(TomadaError):
    """The peer sent what the protocol does not allow. The connection it came over is closed."""


class HandshakeFailed(ProtocolError):
    """The two ends could not agree to talk: no tomada peer, another version, or refused."""


class ConnectionLost(TomadaError, ConnectionError):
    """The connection ended, and with it every call that waited for an answer.

    Whether the other end has executed the request is not known.
    """


class SessionLost(ConnectionLost):
    """The session cannot go on: it has ended, or the server does not know it any more.

    What this is raised for has not reached the other end.
    """


class OutcomeUnknown(ConnectionLost):
    """The session cannot go on, and the request had been sent: it may or may not have been carried out.

    Where its handler heeds `Request.key`, it can be asked again with the same key.
    """


class StreamEnded(TomadaError, EOFError):
    """The peer ended its stream before all that was waited for had come.

    Attributes:
        received: What had come, and stays to be received.
    """

    def __init__(self, message: str = "", received: bytes = b"") -> None:
        super().__init__(message, received)
        self.received = received

    def __str__(self) -> str:
        return str(self.args[0])


class StreamBusy(TomadaError, RuntimeError):
    """Another task receives from the stream just now: bytes for two would go to either by chance."""


class LimitExceeded(TomadaError, ValueError):
    """More than a limit allows, to be sent or received; the text names the limit."""


class BufferFull(TomadaError):
    """So much waits to be sent that there is no room: ``await send()`` waits for it, ``send_nowait()`` raises this."""


class FileChanged(TomadaError, OSError):
    """A file became shorter while it was sent: the peer has got fewer bytes than it may have been told."""


class TimedOut(TomadaError, TimeoutError):
    """A deadline passed before the answer came."""


class DatagramError(TomadaError, ValueError):
    """A datagram that cannot be sent: nowhere to, or not as it is."""


class DatagramTooLong(DatagramError):
    """A datagram is longer than the system carries in one piece; the text names both lengths."""


class UnverifiedPeer(DatagramError):
    """An answer of more than three times what its receiver has sent, who may not be who it says: RFC 9000, 8.1."""


class MessageError(TomadaError, ValueError):
    """A message that does not fit its type. The connection it came over goes on."""


class InvalidMessage(MessageError):
    """A field is missing or has a wrong value; the text names type, field and reason."""


class UnknownType(MessageError):
    """The receiver does not know the type, or has no handler for it."""


class TypeMismatch(MessageError):
    """Both ends have a type of this name, but their fields do not fit; the text names the field."""


@dataclass_transform()
class RemoteError(TomadaError):
    """A handler at the other end raised.

    Subclass it to send errors with fields, which arrive as the same class::

        class InsufficientFunds(tomada.RemoteError):
            balance: int


        raise InsufficientFunds(balance=12)

    Attributes:
        name: The name of the exception's class at the other end.
        message: Its text.
    """

    payload_type: ClassVar[type[msgspec.Struct] | None] = None
    """The fields of a subclass as a message, built when first used."""
    _has_fields: ClassVar[bool] = False

    # Without a name it is the class's, which is how type checkers understand a subclass without fields.
    def __init__(self, name: str = "", message: str = "") -> None:
        super().__init__(name, message)
        self.name = name or type(self).__name__
        self.message = message

    def __init_subclass__(cls, *, fields: bool = True) -> None:
        super().__init_subclass__()
        cls._has_fields = fields
        if not fields:
            return
        if "__init__" in vars(cls):
            raise DeclarationError(
                f"{cls.__name__} has an __init__ of its own, which cannot travel: declare what it takes as fields"
            )
        cls.payload_type = None
        cls.__init__ = _init_from_fields  # type: ignore[method-assign] # as a dataclass's is made

    def __repr__(self) -> str:
        arguments = self.message if self.payload_type is not None else f"{self.name!r}, {self.message!r}"
        return f"{type(self).__name__}({arguments})"

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name

    def __reduce__(self) -> str | tuple[Any, ...]:
        if self.payload_type is None:
            return super().__reduce__()
        return type(self), msgspec.structs.astuple(self.payload()), self.__dict__

    @classmethod
    def payload_class(cls) -> type[msgspec.Struct]:
        """The message type that carries this class's fields; the error's annotations, in order.

        Raises:
            DeclarationError: They cannot be fields; the text says why.
        """
        if not cls._has_fields:
            raise DeclarationError(f"{cls.__name__} travels by name and text, it has no fields")
        if cls.payload_type is None:
            try:
                fields: Any = list(_fields(cls))
                cls.payload_type = msgspec.defstruct(cls.__name__, fields, module=cls.__module__, array_like=True)
            except (NameError, TypeError) as error:
                raise DeclarationError(f"the fields of {cls.__name__} cannot travel: {error}") from error
        return cls.payload_type

    def payload(self) -> msgspec.Struct:
        """The values of this error's fields, as `payload_class` holds them."""
        kind = self.payload_class()
        return kind(*[getattr(self, name) for name in kind.__struct_fields__])


_NOT_FOR_FIELDS: Final = frozenset({*dir(RemoteError), "name", "message"})


def _fields(kind: type[RemoteError]) -> Iterator[tuple[Any, ...]]:
    """Name, type and, where there is one, default of each field."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if get_origin(hint) is ClassVar:
            continue
        if name in _NOT_FOR_FIELDS:
            raise TypeError(f"every error has a {name} of another meaning, call the field otherwise")
        yield (name, hint, getattr(kind, name)) if hasattr(kind, name) else (name, hint)


def _init_from_fields(self: RemoteError, *args: object, **kwargs: object) -> None:
    values = self.payload_class()(*args, **kwargs)
    fields = msgspec.structs.asdict(values)
    RemoteError.__init__(self, type(self).__name__, ", ".join(f"{name}={value!r}" for name, value in fields.items()))
    self.__dict__.update(fields)


class InternalError(RemoteError, fields=False):
    """The other end's own fault, told without details: those are in its log."""
