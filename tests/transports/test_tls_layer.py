from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Iterable
from typing import Any, cast

import pytest

from tests.authority import Authority
from tests.transports.conftest import Run
from tests.transports.layered import Cut, Pair, Side, Upper, shaken
from tomada.errors import ConnectionLost, HandshakeFailed
from tomada.transports import identity, tls, tls_errors

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def byte_by_byte(data: bytes) -> Iterable[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def at_random(data: bytes) -> Iterable[bytes]:
    dice = random.Random(len(data))
    while data:
        size = dice.randint(1, 3_000)
        yield data[:size]
        data = data[size:]


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("cut", [lambda data: [data], byte_by_byte, at_random], ids=["whole", "bytes", "random"])
def test_bytes_go_both_ways_in_whatever_pieces_they_come(
    run: Run, authority: Authority, version: ssl.TLSVersion, cut: Cut
) -> None:
    async def main() -> None:
        pair = Pair(authority, version)
        pair.exchange(cut)
        there, back = random.Random(1).randbytes(40_000), random.Random(2).randbytes(50_000)
        pair.client.layer.write(there)
        pair.server.layer.writelines([back[:20], bytearray(back[20:])])
        pair.exchange(cut)
        assert pair.server.upper.data == there
        assert pair.client.upper.data == back
        assert pair.client.layer.can_write_eof() is (version is V13)

    run(main())


def test_nothing_above_hears_of_the_connection_before_the_handshake_is_complete(run: Run, authority: Authority) -> None:
    async def main() -> None:
        pair = Pair(authority)
        hello = bytes(pair.client.lower.out)
        pair.server.receive(hello[:-1])
        assert pair.server.upper.events == []
        assert not hasattr(pair.server.layer, "alpn")
        pair.server.layer.connection_lost(None)
        assert pair.server.upper.events == []
        with pytest.raises(HandshakeFailed, match="closed the connection during the handshake"):
            await pair.server.layer.opened

    run(main())


def test_many_records_are_handed_up_as_one_and_each_write_is_one_below(run: Run, authority: Authority) -> None:
    async def main() -> None:
        pair = shaken(authority)
        received: list[int] = []
        pair.server.upper.data_received = lambda data: received.append(len(data))  # type: ignore[method-assign]
        writes = pair.client.lower.writes
        pair.client.layer.write(bytes(100_000))
        assert pair.client.lower.writes == writes + 1
        pair.exchange()
        assert received == [100_000]

    run(main())


def test_what_is_long_is_encrypted_in_portions(run: Run, authority: Authority) -> None:
    async def main() -> None:
        pair = shaken(authority)
        data = random.Random(3).randbytes(1_000_000)
        pair.client.layer.write(memoryview(data))
        pair.client.layer.write(b"")
        assert pair.client.lower.writes > 3
        pair.exchange()
        assert pair.server.upper.data == data

    run(main())


@pytest.mark.parametrize("version", [V12, V13])
def test_closing_says_so_to_the_peer(run: Run, authority: Authority, version: ssl.TLSVersion) -> None:
    async def main() -> None:
        pair = shaken(authority, version)
        pair.client.layer.write(b"the last")
        pair.client.layer.close()
        pair.client.layer.close()
        pair.client.layer.write(b"too late")
        assert pair.client.layer.is_closing()
        pair.exchange()
        assert pair.server.upper.events == ["made", "data", "eof"]
        assert pair.server.upper.data == b"the last"
        assert (pair.client.lower.ends, pair.server.lower.ends) == ("closed", "closed")
        pair.lose()
        assert pair.client.upper.lost is pair.server.upper.lost is None

    run(main())


@pytest.mark.parametrize("version", [V12, V13])
def test_an_end_without_close_notify_is_no_clean_end(run: Run, authority: Authority, version: ssl.TLSVersion) -> None:
    """A truncation attack: anybody on the way can end TCP."""

    async def main() -> None:
        pair = shaken(authority, version)
        pair.client.layer.write(b"half of a mess")
        pair.client.lower.close()
        pair.exchange()
        assert pair.server.upper.events == ["made", "data"]
        pair.lose()
        assert isinstance(pair.server.upper.lost, ConnectionLost)
        assert str(pair.server.upper.lost).startswith("the peer closed without TLS close_notify: the end may have been")

    run(main())


def test_half_a_connection_is_closed_with_1_3(run: Run, authority: Authority) -> None:
    async def main() -> None:
        pair = shaken(authority, V13)
        pair.server.upper.stays = True
        assert pair.client.layer.can_write_eof()
        pair.client.layer.write(b"all I have")
        pair.client.layer.write_eof()
        pair.client.layer.write_eof()
        with pytest.raises(RuntimeError, match="sends no more"):
            pair.client.layer.write(b"more")
        pair.exchange()
        assert pair.server.upper.events == ["made", "data", "eof"]
        assert not pair.server.lower.ends
        for size in (10, 40_000):
            pair.server.layer.write(bytes(size))
            pair.exchange(at_random)
        assert len(pair.client.upper.data) == 40_010
        pair.server.layer.close()
        pair.exchange()
        assert pair.client.upper.events == ["made", "data", "eof"]
        assert (pair.client.lower.ends, pair.server.lower.ends) == ("closed", "closed")
        pair.lose()
        assert pair.client.upper.lost is pair.server.upper.lost is None

    run(main())


def test_what_is_on_its_way_when_half_is_closed_arrives(run: Run, authority: Authority) -> None:
    async def main() -> None:
        pair = shaken(authority, V13)
        pair.server.upper.stays = True
        pair.server.layer.write(bytes(50_000))
        data, pair.server.lower.out = bytes(pair.server.lower.out), bytearray()
        pair.client.receive(data[:20_003])  # in the middle of a record
        pair.client.layer.write_eof()
        pair.client.receive(data[20_003:])
        assert len(pair.client.upper.data) == 50_000

    run(main())


def test_with_1_2_the_end_of_one_direction_is_the_end_of_both(run: Run, authority: Authority) -> None:
    async def main() -> None:
        pair = shaken(authority, V12)
        pair.server.upper.stays = True
        assert not pair.client.layer.can_write_eof()
        with pytest.raises(NotImplementedError, match=r"TLS 1\.2 has no half close"):
            pair.client.layer.write_eof()
        pair.client.layer.close()
        pair.exchange()
        assert pair.server.upper.events == ["made", "eof"]
        assert pair.server.lower.ends == "closed"

    run(main())


def test_a_tcp_end_after_close_notify_is_clean(run: Run, authority: Authority) -> None:
    async def main() -> None:
        pair = shaken(authority, V13)
        pair.server.upper.stays = True
        pair.client.layer.write_eof()
        pair.exchange()
        assert pair.server.layer.eof_received(), "it has still something to say"
        pair.server.layer.close()
        assert not pair.server.layer.eof_received()
        pair.lose()
        assert pair.server.upper.lost is None

    run(main())


def test_what_comes_after_close_notify_is_passed_over(run: Run, authority: Authority) -> None:
    async def main() -> None:
        pair = shaken(authority, V13)
        pair.server.upper.stays = True
        pair.client.layer.write_eof()
        pair.exchange()
        pair.server.receive(b"\x17\x03\x03\x00\x10" + bytes(16))
        assert pair.server.upper.events == ["made", "eof"]
        assert not pair.server.lower.ends

    run(main())


def broken_record(side: Side) -> bytes:
    side.layer.write(b"sent well")
    data, side.lower.out = bytearray(side.lower.out), bytearray()
    data[-1] ^= 1
    return bytes(data)


def test_a_record_that_was_changed_on_its_way_ends_the_connection_and_both_know_why(
    run: Run, authority: Authority
) -> None:
    async def main() -> None:
        pair = shaken(authority)
        pair.server.layer.write(b"hello")
        pair.exchange()
        pair.server.receive(broken_record(pair.client))
        pair.exchange()
        pair.lose()
        assert str(pair.server.upper.lost) == "a record of the peer was changed on its way"
        assert str(pair.client.upper.lost).startswith("the peer refused: ")
        assert isinstance(pair.client.upper.lost, ConnectionLost)
        assert pair.server.upper.data == b""

    run(main())


GIANTS = {"beyond what fits": b"\x17\x03\x03\xff\xff" + bytes(1_000), "one too many": b"\x17\x03\x03\x41\x01"}


@pytest.mark.parametrize("giant", GIANTS)
def test_a_giant_record_is_refused_by_its_header(run: Run, authority: Authority, giant: str) -> None:
    async def main() -> None:
        pair = shaken(authority)
        pair.server.receive(GIANTS[giant])
        pair.lose()
        assert str(pair.server.upper.lost) == "a record is longer than TLS allows"

    run(main())


def test_who_makes_tls_answer_and_does_not_read_is_cut(run: Run, authority: Authority) -> None:
    """As by asking for new keys again and again."""

    async def main() -> None:
        pair = shaken(authority)
        pair.client.layer.write(b"x")
        pair.server.layer._outgoing.write(b"an answer")
        pair.server.lower.waiting = 2_000_000
        pair.exchange()
        assert pair.server.lower.ends == "aborted"
        pair.lose()
        assert "makes TLS answer and does not read: 2000000 bytes wait" in str(pair.server.upper.lost)

    run(main())


def test_pressure_and_other_protocols_pass_through(run: Run, authority: Authority) -> None:
    async def main() -> None:
        pair = shaken(authority)
        pair.client.layer.pause_writing()
        pair.client.layer.resume_writing()
        assert pair.client.upper.events == ["made", "pause", "resume"]
        other = Upper()
        other.events.append("put there")
        pair.client.layer.set_protocol(other)
        assert pair.client.layer.get_protocol() is other
        pair.server.layer.write(b"for the other")
        pair.exchange()
        assert other.data == b"for the other"

    run(main())


def test_what_is_known_of_the_other_end(run: Run, authority: Authority) -> None:
    async def main() -> None:
        pair = Pair(authority)
        assert pair.client.layer.get_extra_info("alpn") is None
        assert pair.server.layer.get_extra_info("ssl_object", "none yet") == "none yet"
        pair.exchange()
        layer = pair.client.layer
        assert layer.get_extra_info("scheme") == "tls"
        assert layer.get_extra_info("peername") == ("127.0.0.1", 4477)
        assert layer.get_extra_info("nothing", "default") == "default"
        who = identity(layer)
        assert who is not None
        assert who.names == ("dns:localhost", "ip:127.0.0.1", "ip:::1")
        assert who.not_after.year == 2500
        assert "authority" in who.issuer
        assert len(who.fingerprint) == 64
        assert identity(pair.server.layer) is None
        assert identity(pair.client.lower) is None

    run(main())


def test_a_peer_that_is_refused_and_goes_on_is_not_heard(run: Run, authority: Authority) -> None:
    async def main() -> None:
        pair = Pair(authority)
        pair.server.layer.data_received(b"nonsense")
        said = bytes(pair.server.lower.out)
        assert said == tls_errors.ALERT + tls_errors.UNEXPECTED_MESSAGE
        pair.server.layer.data_received(b"more nonsense")
        assert bytes(pair.server.lower.out) == said

    run(main())


def test_bytes_that_were_not_protected_stop_tls_from_being_started(run: Run, authority: Authority) -> None:
    """RFC 3207, section 6: what somebody put there would be taken for what came protected."""

    async def main() -> None:
        side = Pair(authority).server
        with pytest.raises(HandshakeFailed, match=r"^9 bytes came without protection before TLS began"):
            await tls.start_tls(cast("Any", side.lower), side.upper, 30, side.layer._terms, unread=b"RCPT TO:\n")
        assert side.lower.ends == "aborted"

    run(main())


def test_tls_is_spoken_within_tls(run: Run, authority: Authority) -> None:
    """A layer is a transport, so it carries another."""

    async def main() -> None:
        pair = shaken(authority)
        inner = [tls.start_tls(side.layer, side.upper, 30, side.layer._terms) for side in (pair.client, pair.server)]
        tasks = [asyncio.create_task(one) for one in inner]
        await asyncio.sleep(0)
        pair.exchange()
        client, server = await asyncio.gather(*tasks)
        client.write(b"twice wrapped")
        pair.exchange()
        assert pair.server.upper.data == b"twice wrapped"
        server.write(b"and back")
        pair.exchange()
        assert pair.client.upper.data == b"and back"
        assert pair.client.upper.events == ["made", "data"], "not made a second time"

    run(main())
