"""Raw blocking sockets, one request at a time: the least that Python can do for a request and its reply.

One ``sendall`` and, unless the kernel splits a frame, one ``recv`` per message; TCP_NODELAY at both ends.
"""

import socket
from collections.abc import Callable

from benchmarks.load import Plan, rate_of_calls
from benchmarks.payload import HEADER, TEXT, Ping, Pong, answer, decode_ping, decode_pong, frame


def _receive(connection: socket.socket) -> tuple[int, bytes] | None:
    """The id and the payload of the next frame, or None when the peer has closed between two frames."""
    data = connection.recv(65536)
    while data:
        if len(data) >= HEADER.size:
            length, _, _, _, identifier, _ = HEADER.unpack_from(data)
            if len(data) == HEADER.size + length:
                return identifier, data[HEADER.size :]
        more = connection.recv(65536)
        if not more:
            raise ConnectionError(f"the peer closed the connection after {len(data)} bytes of a frame")
        data += more
    return None


def _answer_all(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while received := _receive(connection):
        identifier, payload = received
        connection.sendall(frame(identifier, answer(decode_ping(payload))))


def serve(announce: Callable[[int], None]) -> None:
    """Answer one connection after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        announce(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            with connection:
                _answer_all(connection)


def measure(port: int, plan: Plan) -> float:
    """Ping-pong; ``plan.load`` can only be 1."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask(number: int) -> Pong:
            connection.sendall(frame(number, Ping(number, TEXT)))
            received = _receive(connection)
            if received is None:
                raise ConnectionError("the server closed the connection instead of answering")
            return decode_pong(received[1])

        return rate_of_calls(ask, plan)
