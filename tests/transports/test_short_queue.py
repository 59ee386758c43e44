"""A short queue in the kernel."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tomada.transports.short_queue import shorten, shorten_queue

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="this system has no such option")
LARGE = 4_194_304


def taken(*, short: bool) -> int:
    """How much the kernel takes for a peer that reads nothing."""
    with socket.socket() as listening, socket.socket() as own:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGE)
        own.connect(listening.getsockname())
        if short:
            shorten(own)
        own.setblocking(False)
        count = 0
        try:
            while True:
                count += own.send(bytes(16_384))
        except BlockingIOError:
            return count


def test_the_kernel_takes_little_for_a_peer_that_does_not_read() -> None:
    assert taken(short=True) < 262_144
    assert taken(short=False) > 1_048_576


def test_a_transport_over_tcp_is_set() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        shorten_queue(transport)
        set_to: int = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
        transport.close()
        server.close()
        await server.wait_closed()
        return set_to

    assert asyncio.run(main()) == 131_072


def test_where_there_is_no_tcp_nothing_is_done() -> None:
    shorten(None)
    one, other = socket.socketpair()
    shorten(one)
    one.close()
    other.close()


def test_a_socket_that_is_gone_is_let_go() -> None:
    gone = socket.socket()
    gone.close()
    shorten(gone)
