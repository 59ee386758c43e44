from __future__ import annotations

import os
import signal
import socket
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomada.protocol import HEADER_BYTES, Kind
from tomada.protocol.frames import HEADER
from tomada.protocol.handshake import GoodbyeCode, decode_goodbye
from tomada.server.children.channel import (
    LONGEST,
    Channel,
    ChannelBroken,
    Exited,
    Ping,
    Ready,
    Serve,
    decode_from_child,
    decode_from_template,
    decode_to_child,
    pair,
)
from tomada.server.children.last_words import OVER_MEMORY, cause, goodbye
from tomada.server.children.pages import MIDST, OPEN, PAGE, Pages, own_page
from tomada.settings import Children

DECODERS: tuple[Any, ...] = (decode_from_child, decode_to_child, decode_from_template)
PLAIN = Children()
BOUND = Children(memory_bytes=256 << 20, processor_seconds=10)


@pytest.mark.parametrize(
    ("status", "children", "expected"),
    [
        (9, PLAIN, "was killed by signal 9 (SIGKILL)"),
        (139, PLAIN, "was killed by signal 11 (SIGSEGV)"),  # and it left a core
        (int(signal.SIGXCPU), PLAIN, "was killed by signal 24 (SIGXCPU)"),
        (int(signal.SIGXCPU), BOUND, "used more than its 10 s of processor time"),
        (OVER_MEMORY << 8, BOUND, "used more than its 256 MiB of memory"),
        (OVER_MEMORY << 8, PLAIN, "used more memory than there is"),
        (3 << 8, BOUND, "ended with exit status 3"),
        (0, BOUND, "ended with exit status 0"),
    ],
)
def test_why_a_process_has_ended(status: int, children: Children, expected: str) -> None:
    assert cause(status, children) == expected


def frame_of(data: bytes) -> tuple[GoodbyeCode, str]:
    length, kind, *_ = HEADER.unpack_from(data)
    assert (kind, HEADER_BYTES + length) == (Kind.GOODBYE, len(data))
    said = decode_goodbye(data[HEADER_BYTES:])
    return said.code, said.reason


@pytest.mark.parametrize("reason", ["short", "long " * 50, "é" * 70])
def test_in_a_websocket_the_goodbye_is_in_a_frame_and_a_close_follows(reason: str) -> None:
    data = goodbye("ws", GoodbyeCode.FAILED, reason)

    assert data[0] == 0x82
    start, length = (2, data[1]) if data[1] < 126 else (4, int.from_bytes(data[2:4]))
    assert frame_of(data[start : start + length]) == (GoodbyeCode.FAILED, reason)
    close = data[start + length :]
    assert close[0] == 0x88
    assert close[1] == len(close) - 2 <= 125
    assert int.from_bytes(close[2:4]) == 1011
    assert reason.startswith(close[4:].decode())


def test_elsewhere_it_stands_by_itself() -> None:
    assert frame_of(goodbye("tcp", GoodbyeCode.GOING_AWAY, "bye")) == (GoodbyeCode.GOING_AWAY, "bye")


def test_a_child_has_its_own_page_and_no_other() -> None:
    pages = Pages(3)
    try:
        slots = [pages.take() for _ in range(3)]
        assert sorted(slots) == [0, 1, 2]
        mine = own_page(pages.file, slots[1])
        assert not pages.may_speak(slots[1])
        mine[OPEN] = 1
        assert [pages.may_speak(slot) for slot in slots] == [False, True, False]
        mine[MIDST] = 1
        assert not pages.may_speak(slots[1])
        pages.give_back(slots[1])
        assert pages.take() == slots[1]
        assert mine[:2] == b"\0\0"
        mine.close()
    finally:
        pages.close()


def test_nobody_can_cut_the_pages_short() -> None:
    """Who looks at a page that is not there any more is killed by SIGBUS."""
    pages = Pages(2)
    try:
        for size in (0, 100 * PAGE):
            with pytest.raises(PermissionError):
                os.ftruncate(pages.file, size)
    finally:
        pages.close()


def test_what_is_said_is_heard_with_its_descriptor() -> None:
    one, other = pair()
    with one, other, socket.socket() as passed:
        speaker, listener = Channel(one, decode_from_child), Channel(other, decode_to_child)
        assert listener.receive_with() == (None, -1)
        assert speaker.send(Serve(3), [passed.fileno()])
        message, descriptor = listener.receive_with()
        assert message == Serve(3)
        assert os.path.sameopenfile(descriptor, passed.fileno())
        os.close(descriptor)
        listener.close()
        assert listener.fileno() == -1
        with pytest.raises(ChannelBroken):
            speaker.receive()
        with pytest.raises(ChannelBroken):
            speaker.send(Ping(1))


def test_a_full_channel_makes_nobody_wait() -> None:
    one, other = pair()
    with one, other:
        speaker = Channel(one, decode_from_child)
        assert not all(speaker.send(Ping(number)) for number in range(100_000))


def heard(listener: Channel[Any]) -> str:
    try:
        listener.receive()
    except ChannelBroken as error:
        return "nonsense" if str(error) else "the end"
    return "a message"


@given(st.one_of(st.binary(max_size=64), st.binary(min_size=LONGEST - 2, max_size=LONGEST + 2)))
def test_whatever_comes_is_a_message_or_the_end(data: bytes) -> None:
    for decode in DECODERS:
        one, other = pair()
        with one, other:
            one.send(data)
            listener = Channel(other, decode)
            assert heard(listener) in ("a message", "nonsense" if data else "the end")


def test_a_descriptor_that_comes_with_nonsense_is_closed() -> None:
    one, other = pair()
    with one, other, socket.socket() as passed:
        reading, writing = os.pipe()
        socket.send_fds(one, [b"\xff"], [writing])
        os.close(writing)
        with pytest.raises(ChannelBroken):
            Channel(other, decode_to_child).receive_with()
        assert os.read(reading, 1) == b""  # nobody has the writing end any more
        os.close(reading)
        assert passed.fileno() >= 0


def test_messages_are_what_they_were() -> None:
    for message in (Ready(), Exited(1, 9, 100), Ping(7)):
        one, other = pair()
        with one, other:
            decode = msgspec.msgpack.Decoder(type(message)).decode
            assert Channel(one, decode).send(message)
            assert Channel(other, decode).receive() == message
