"""What is shown of the arguments and of the outcome of a call."""

from __future__ import annotations

import errno

from tomada_recorder.text import Constants, address_text, data_field, shortened, text_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

    from tomada_recorder.recorder import Recorder
    from tomada_recorder.sockets import Known


class Outcomes:
    """What is shown of calls: what `methods` is made of."""

    def __init__(self, recorder: Recorder, module: ModuleType) -> None:
        self.recorder = recorder
        self.most = recorder.data_bytes
        self.constants = Constants(module)

    # What is shown of arguments.

    def plain(self, args: tuple[Any, ...]) -> str:
        """Each as Python writes it."""
        return ", ".join(map(shortened, args))

    def address(self, args: tuple[Any, ...]) -> str:
        """The one argument is an address."""
        return address_text(args[0])

    def way(self, args: tuple[Any, ...]) -> str:
        """Which direction is shut down."""
        return self.constants.way(args[0])

    def option(self, args: tuple[Any, ...]) -> str:
        """An option of the socket, and its value."""
        rest = [shortened(value) for value in args[2:]]
        return ", ".join([self.constants.option(args[0], args[1]), *rest])

    def size_and_flags(self, args: tuple[Any, ...]) -> str:
        """As of ``recv(1024, MSG_PEEK)``."""
        if len(args) != 2:  # noqa: PLR2004 - size and flags
            return self.plain(args)
        return "%s, %s" % (args[0], self.constants.flags(args[1])) if args[1] else str(args[0])

    def buffer_and_flags(self, args: tuple[Any, ...]) -> str:
        """As of ``recv_into(4096 bytes)``."""
        flags = args[2] if len(args) > 2 else 0  # noqa: PLR2004 - buffer, size, flags
        words = ["%d bytes" % ((args[1] if len(args) > 1 else 0) or length(args[0]))]
        return ", ".join([*words, self.constants.flags(flags)] if flags else words)

    def buffers(self, args: tuple[Any, ...]) -> str:
        """As of ``recvmsg_into``."""
        return ", ".join("%d bytes" % length(buffer) for buffer in args[0])

    def outgoing(self, args: tuple[Any, ...]) -> str:
        """The length of what is to be sent."""
        words = ["%d bytes" % length(args[0])]
        if len(args) > 1 and isinstance(args[1], int) and args[1]:
            words.append(self.constants.flags(args[1]))
        if len(args) > 1 and not isinstance(args[-1], int):
            words.append(address_text(args[-1]))
        return ", ".join(words)

    def message(self, args: tuple[Any, ...]) -> str:
        """As of ``sendmsg``."""
        words = ["%d bytes" % sum(length(buffer) for buffer in args[0])]
        if len(args) > 1 and args[1]:
            words.append("%d control messages" % len(args[1]))
        if len(args) > 3 and args[3]:  # noqa: PLR2004 - buffers, control messages, flags, address
            words.append(address_text(args[3]))
        return ", ".join(words)

    # What is shown of results.

    def nothing(self, _known: Known, _socket: Any, _args: tuple[Any, ...], _result: Any) -> str:
        """There is nothing to say."""
        return ""

    def code(self, known: Known, socket: Any, args: tuple[Any, ...], result: Any) -> str:
        """What ``connect_ex`` and SO_ERROR give: the number of an error, or 0."""
        if not result:
            return self.moved(known, socket, args, result)
        return text_field("error", "OSError") + text_field("message", errno.errorcode.get(result, str(result)))

    def moved(self, known: Known, socket: Any, _args: tuple[Any, ...], _result: Any) -> str:
        """The socket has got an address, or a peer."""
        before = known.local, known.peer
        self.recorder.sockets.look(known, socket)
        fields = text_field("local", known.local) if known.local != before[0] else ""
        return fields + (text_field("peer", known.peer) if known.peer != before[1] else "")

    def accepted(self, _known: Known, _socket: Any, _args: tuple[Any, ...], result: Any) -> str:
        """Which socket, whose."""
        made = self.recorder.sockets.find(result[0])
        return ',"new":%d%s' % (made.number if made else 0, text_field("address", address_text(result[1])))

    def duplicated(self, _known: Known, _socket: Any, _args: tuple[Any, ...], result: Any) -> str:
        """Which socket."""
        made = self.recorder.sockets.find(result)
        return ',"new":%d' % (made.number if made else 0)

    def sent(self, known: Known, socket: Any, args: tuple[Any, ...], result: Any) -> str:
        """How much went, and the first of it."""
        size = length(args[0]) if result is None else result
        known.unsaid_sent += size
        fields = ',"size":%d' % size
        if self.most and size:
            fields += data_field(_first(args[0], min(size, self.most)))
        if known.is_datagram:
            fields += self._to(known, socket, args[-1] if len(args) > 1 else None)
        return fields

    def sent_message(self, known: Known, socket: Any, args: tuple[Any, ...], result: Any) -> str:
        """The same of ``sendmsg``."""
        known.unsaid_sent += result
        fields = ',"size":%d' % result
        if self.most and result:
            fields += data_field(_joined(args[0], min(result, self.most)))
        return fields + self._to(known, socket, args[3] if len(args) > 3 else None)  # noqa: PLR2004 - as in message()

    def sent_file(self, known: Known, _socket: Any, _args: tuple[Any, ...], result: Any) -> str:
        """How much of a file went."""
        known.unsaid_sent += result
        return ',"size":%d' % result

    def received(self, known: Known, _socket: Any, args: tuple[Any, ...], result: Any) -> str:
        """What came."""
        return self._came(known, len(result), result, args[1] if len(args) > 1 else 0)

    def received_into(self, known: Known, _socket: Any, args: tuple[Any, ...], result: Any) -> str:
        """What came, into a buffer of the program's."""
        return self._came(known, result, args[0], args[2] if len(args) > 2 else 0)  # noqa: PLR2004 - buffer, size, flags

    def received_from(self, known: Known, _socket: Any, args: tuple[Any, ...], result: Any) -> str:
        """What came, and from whom."""
        came = self._came(known, len(result[0]), result[0], args[1] if len(args) > 1 else 0)
        return came + text_field("address", address_text(result[1]))

    def received_from_into(self, known: Known, _socket: Any, args: tuple[Any, ...], result: Any) -> str:
        """The same, into a buffer."""
        came = self._came(known, result[0], args[0], args[2] if len(args) > 2 else 0)  # noqa: PLR2004 - as above
        return came + text_field("address", address_text(result[1]))

    def received_message(self, known: Known, _socket: Any, args: tuple[Any, ...], result: Any) -> str:
        """What came by ``recvmsg`` or ``recvmsg_into``."""
        first, control, _flags, address = result
        size = first if isinstance(first, int) else len(first)
        content = _joined(args[0], min(size, self.most)) if isinstance(first, int) else first
        flags = args[2] if len(args) > 2 else 0  # noqa: PLR2004 - size or buffers, size of control messages, flags
        fields = self._came(known, size, content, flags) + text_field("address", address_text(address))
        return fields + (',"control":%d' % len(control) if control else "")

    def _came(self, known: Known, size: int, content: Any, flags: Any) -> str:
        fields = ',"size":%d' % size
        if flags & self.constants.peek:
            fields += ',"peek":true'
        else:
            known.unsaid_received += size
        return fields + (data_field(_first(content, min(size, self.most))) if self.most and size else "")

    def _to(self, known: Known, socket: Any, address: Any) -> str:
        fields = "" if address is None or isinstance(address, int) else text_field("address", address_text(address))
        return fields if known.local else fields + self.moved(known, socket, (), None)


def length(content: Any) -> int:
    """Of what is to be sent, in bytes."""
    return len(content) if isinstance(content, (bytes, bytearray)) else memoryview(content).nbytes


def _first(content: Any, size: int) -> bytes:
    if isinstance(content, bytes):
        return content[:size]
    return memoryview(content).cast("B")[:size].tobytes()


def _joined(buffers: Sequence[Any], size: int) -> bytes:
    found = b""
    for buffer in buffers:
        if len(found) >= size:
            break
        found += _first(buffer, size - len(found))
    return found
