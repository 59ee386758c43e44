"""What was recorded of real connections, and how it is drawn."""

from __future__ import annotations

import asyncio
import json
import re
from binascii import a2b_base64
from pathlib import Path

import pytest

import tomada
from tests.integration.conftest import Run, _loops_have_what_they_keep, run
from tests.integration.house import turns_until, wire
from tests.recording.bank import (
    Bank,
    Freeze,
    InsufficientFunds,
    Note,
    Slow,
    Transfer,
    Watch,
    arrows,
    bank,
    read,
    step,
    texts,
)
from tomada.diagrams import Tone
from tomada.errors import RecordingError
from tomada.testing import FaultProxy

__all__ = ["_loops_have_what_they_keep", "run"]
HERE = "tcp://127.0.0.1:0"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bank.recording"


def test_both_ends_of_a_connection_are_drawn_with_an_arrow_for_each_message(run: Run, file: Path) -> None:
    async def main() -> None:
        with tomada.record(file):
            async with tomada.serve(bank(Bank()), HERE) as server, tomada.connect(server.addresses[0]) as client:
                await client.ask(Transfer("ana", "rui", 5))
                with pytest.raises(InsufficientFunds):
                    await client.ask(Transfer("ana", "rui", 2_000_000))
                await client.send(Note("rent"))
                await client.ask(Freeze("rui"), urgent=True)
                assert len([item async for item in client.stream(Watch("ana"))]) == 3

    run(main())
    sequence = read(file).sequence()
    connecting, accepting = (
        place
        for kind in ("connecting", "accepting")
        for place, lane in enumerate(sequence.lanes)
        if kind in lane.detail
    )
    assert len(sequence.lanes) == 2
    assert len({lane.group for lane in sequence.lanes}) == 1, "one process"
    assert texts(sequence, lane=connecting) == [
        "ask Transfer #1",
        "received reply Receipt #1",
        "ask Transfer #3",
        "received error InsufficientFunds #3",
        "ask Freeze #5 (urgent)",  # it has overtaken the note, which was to go in the same turn of the loop
        "send Note",
        "received reply #5 (urgent)",
        "ask Watch #7",
        *["received item Receipt #7"] * 3,
        "received end #7",
    ]
    assert texts(sequence, lane=accepting) == [
        text.removeprefix("received ") if text.startswith("received") else f"received {text}"
        for text in texts(sequence, lane=connecting)
    ]
    joined = arrows(sequence)
    for text in ("ask Transfer #1", "reply Receipt #1", "send Note", "error InsufficientFunds #3", "hello", "welcome"):
        assert (text, f"received {text}") in joined
    assert len(joined) == sum(not one.text.startswith(("received", "connection")) for one in sequence.steps)
    asked = step(sequence, "ask Transfer #1")
    answered = step(sequence, "received reply Receipt #1")
    assert (asked.result, asked.is_blocked, asked.ended) == ("Receipt", True, answered.begun)
    assert asked.data == "source='ana' target='rui' cents=5"
    handled = step(sequence, "received ask Transfer #1")
    assert asked.begun <= handled.begun <= (handled.ended or 0) <= answered.begun
    assert (asked.size, handled.size) == (asked.size, asked.size)
    assert asked.size > 0
    assert answered.data == "number=1 balance=95"
    assert step(sequence, "error InsufficientFunds #3").tone is Tone.FAILED
    assert step(sequence, "ask Freeze #5 (urgent)").tone is Tone.URGENT
    assert not any("missing" in note or "sense" in note for note in sequence.notes), sequence.notes


def test_the_life_of_each_end_follows_the_protocols_table(run: Run, file: Path) -> None:
    async def main() -> None:
        with tomada.record(file):
            async with tomada.serve(bank(Bank()), HERE) as server, tomada.connect(server.addresses[0]) as client:
                await client.ask(Freeze("x"))

    run(main())
    messages = read(file)
    lives = {end.role.value: [step.value for _, step, _ in end.path] for end in messages.ends}
    assert lives == {
        "connecting": ["send hello", "receive welcome", "send goodbye", "receive goodbye"],
        "accepting": ["receive hello", "send welcome", "receive goodbye", "send goodbye"],
    }
    diagram = messages.states(next(end.number for end in messages.ends if end.role.value == "accepting"))
    taken = {one.order: (one.source, one.text, one.target) for one in diagram.transitions if one.taken}
    assert taken[1] == ("starting", "receive hello", "greeted")
    assert taken[4] == ("left", "send goodbye", "closed")
    assert diagram.current == "closed"
    assert any(not one.taken for one in diagram.transitions), "and what may happen besides"
    rows = messages.timeline().rows
    assert len(rows) == 2
    assert [span.text for span in rows[0].spans][:3] == ["starting", "greeted", "open"]
    assert (rows[0].sent, rows[0].received) == (rows[1].received, rows[1].sent)
    assert min(rows[0].sent, rows[0].received) > 50
    with pytest.raises(RecordingError, match="no connection 7"):
        messages.states(7)


def test_a_lost_connection_and_its_return_are_named_and_what_came_again_is_marked(run: Run, file: Path) -> None:
    async def main() -> None:
        state = Bank()
        async with tomada.serve(bank(state), HERE) as server, FaultProxy(HERE, to=server.addresses[0]) as proxy:
            with tomada.record(file):
                async with tomada.connect(proxy.address) as client:
                    await client.ask(Freeze("x"))
                    asked = [asyncio.create_task(client.ask(Slow(number))) for number in range(3)]
                    await turns_until(lambda: state.begun == 3)
                    proxy.stall("to_client")
                    state.gate.set()  # the answers go, and do not arrive
                    await turns_until(lambda: server.connections[0].statistics().sent_messages == 4)
                    await proxy.reset()
                    proxy.go_on()
                    assert await asyncio.gather(*asked) == [0, 1, 2]

    run(main())
    messages = read(file)
    sequence = messages.sequence()
    said = [one.text for one in sequence.steps]
    assert "connection interrupted" in said
    assert "session resumed" in said
    assert said.count("connection lost") == 2, "at either end"
    again = [one for one in sequence.steps if one.tone is Tone.REPEATED]
    assert [one.text for one in again if not one.text.startswith("received")] == [
        f"reply #{number} (again)" for number in (3, 5, 7)
    ]
    firsts = [one for one in sequence.steps if one.text in {f"reply #{number}" for number in (3, 5, 7)}]
    assert [one.result for one in firsts] == ["did not arrive"] * 3
    assert len(sequence.lanes) == 2, "a session has one lane at each end, over however many connections"
    lives = {end.role.value: [step.value for _, step, _ in end.path] for end in messages.ends}
    assert lives["connecting"][:5] == [
        "send hello",
        "receive welcome",
        "connection lost",
        "send hello",
        "receive welcome",
    ]
    assert lives["accepting"][:4] == ["receive hello", "send welcome", "connection lost", "resume"]
    assert [span.text for span in messages.timeline().rows[0].spans].count("open") == 2
    assert ("hello", "received hello") in arrows(sequence)


def test_a_message_in_fragments_is_one_step(run: Run, file: Path) -> None:
    async def main() -> None:
        with tomada.record(file):
            async with tomada.serve(bank(Bank()), HERE) as server, tomada.connect(server.addresses[0]) as client:
                await client.send(Note("n" * 300_000))
                await client.ask(Freeze("x"))

    run(main())
    sequence = read(file).sequence()
    sent = step(sequence, "send Note in 5 frames")
    came = step(sequence, "received send Note in 5 frames")
    assert sent.size == came.size > 300_000
    assert sent.data.startswith("text='nnnnnnnnnn"), "its first field, as far as it was kept"
    assert sent.data.endswith("…")
    assert file.stat().st_size < 20_000, "of each frame little is kept"
    assert not any("missing" in note for note in sequence.notes)


def test_an_end_that_was_not_recorded_has_a_lane_of_its_own(run: Run, file: Path) -> None:
    async def main() -> None:
        async with tomada.serve(bank(Bank()), HERE) as server:
            with tomada.record(file):
                recorded = await tomada.connect(server.addresses[0])
            # What begins later is not recorded; what is, is only as long as the recording.
            async with tomada.connect(server.addresses[0]) as unseen:
                await unseen.ask(Freeze("unseen"))
            await recorded.close()
            await turns_until(lambda: not server.connections)

    run(main())
    assert read(file).ends, "there was a handshake"
    lines = file.read_text()
    assert "unseen" not in lines


def test_only_one_end_is_recorded_and_the_other_is_drawn_as_it_was_seen(run: Run, file: Path, tmp_path: Path) -> None:
    async def main() -> None:
        with tomada.record(file):
            async with tomada.serve(bank(Bank()), HERE) as server, tomada.connect(server.addresses[0]) as client:
                await client.ask(Transfer("ana", "rui", 5))

    run(main())
    # As if the client had been in a process that does not record.
    half = tmp_path / "half"
    client = [json.loads(line)["wire"] for line in file.read_text().splitlines() if '"role":"connecting"' in line]
    half.write_text(
        "".join(
            line for line in file.read_text().splitlines(keepends=True) if json.loads(line).get("wire") not in client
        )
    )
    sequence = read(half).sequence()
    assert sequence.lanes[0].group == "not recorded"
    assert len(sequence.lanes) == 2
    assert ("ask Transfer #1", "received ask Transfer #1") in arrows(sequence)
    assert ("reply Receipt #1", "received reply Receipt #1") in arrows(sequence)
    assert any("not recorded" in note for note in sequence.notes)


def test_no_token_and_no_credentials_are_in_the_file(run: Run, file: Path) -> None:
    async def main() -> None:
        with tomada.record(file):
            async with tomada.serve(bank(Bank()), HERE) as server:
                async with FaultProxy(HERE, to=server.addresses[0]) as proxy, tomada.connect(proxy.address) as client:
                    await client.ask(Freeze("x"))
                    await proxy.reset()  # the hello that goes on with the session has the token, too
                    await client.ask(Freeze("y"))
                    session = client._link.engine.session
                    assert session is not None
                    tokens.append(session.token)
                async with wire(server) as peer:
                    await peer.hello(tomada.protocol.Hello(credentials=b"my secret password"))

    tokens: list[bytes] = []
    run(main())
    recorded = b"".join(
        a2b_base64(line["data"]) for line in map(json.loads, file.read_text().splitlines()) if line["kind"] == "frames"
    )
    assert b"tomada (Python)" in recorded, "the greetings are there"
    assert len(tokens[0]) == 32
    assert tokens[0] not in recorded
    assert tokens[0] not in file.read_bytes()
    assert tokens[0].hex() not in file.read_text()
    assert b"secret" not in recorded
    assert len(read(file).ends) >= 3


def test_without_data_nothing_of_the_messages_is_in_the_file(run: Run, file: Path) -> None:
    async def main() -> None:
        with tomada.record(file, data=0):
            async with tomada.serve(bank(Bank()), HERE) as server, tomada.connect(server.addresses[0]) as client:
                await client.ask(Transfer("confidential", "rui", 5))

    run(main())
    sequence = read(file).sequence()
    assert step(sequence, "ask Transfer #1").data == ""
    assert step(sequence, "ask Transfer #1").size > 15
    recorded = b"".join(
        a2b_base64(line["data"]) for line in map(json.loads, file.read_text().splitlines()) if line["kind"] == "frames"
    )
    assert b"confidential" not in recorded


def test_after_a_rotation_a_live_connection_still_has_its_name(run: Run, file: Path) -> None:
    async def main() -> None:
        with tomada.record(file, most_bytes=65_536):
            async with tomada.serve(bank(Bank()), HERE) as server, tomada.connect(server.addresses[0]) as client:
                for number in range(1_500):
                    await client.ask(Transfer("ana", "rui", number))

    run(main())
    assert file.stat().st_size + file.with_name(file.name + ".1").stat().st_size < 3 * 65_536
    messages = read(file)
    sequence = messages.sequence()
    assert len(sequence.lanes) == 2
    assert "ask Transfer #2999" in texts(sequence)
    assert {re.sub(r"#\d+", "#", text) for text in texts(sequence)} == {
        "ask Transfer #",
        "received ask Transfer #",
        "reply Receipt #",
        "received reply Receipt #",
    }
    assert step(sequence, "ask Transfer #2999").data == "source='ana' target='rui' cents=1499"
    assert ("ask Transfer #2999", "received ask Transfer #2999") in arrows(sequence)
    assert not any(one.tone is Tone.REPEATED for one in sequence.steps)
    assert {end.state.value for end in messages.ends} == {"closed"}
    # The newest part alone says as much of what is in it.
    alone = file.with_name("alone")
    alone.write_bytes(file.read_bytes())
    messages = read(alone)
    assert messages.wires.passed_over == 0
    assert len(messages.ends) == 2
    assert not any("type" in text for text in texts(messages.sequence()))
    assert step(messages.sequence(), "ask Transfer #2999").data == "source='ana' target='rui' cents=1499"


def test_what_is_no_tomada_is_counted_and_not_kept(run: Run, file: Path) -> None:
    async def main() -> None:
        with tomada.record(file):
            async with tomada.serve(bank(Bank()), HERE) as server, wire(server) as peer:
                peer.say(b"GET / HTTP/1.1\r\nAuthorization: Basic c2VjcmV0\r\n\r\n")
                await peer.until_closed()

    run(main())
    assert b"c2VjcmV0" not in file.read_bytes()
    sequence = read(file).sequence()
    assert "1 connections were not of tomada's protocol" in sequence.notes


def test_limits_and_deadlines_that_struck_are_told(run: Run, file: Path) -> None:
    async def main() -> None:
        with tomada.record(file):
            limits = tomada.Limits(connections=1)
            serving = tomada.serve(bank(Bank()), HERE, limits=limits)
            async with serving as server, tomada.connect(server.addresses[0]) as client:
                with pytest.raises(tomada.HandshakeFailed):
                    await tomada.connect(server.addresses[0])
                with pytest.raises(tomada.TimedOut):
                    await client.ask(Slow(1), timeout=0.02)

    run(main())
    sequence = read(file).sequence()
    told = [*[one.text + one.result for one in sequence.steps], *sequence.notes]
    assert any("limit struck" in text and "limit='connections'" in text for text in told), told
    assert any("deadline struck" in text and "deadline='ask'" in text for text in told), told
    assert "cancel #1" in texts(sequence)


def test_two_recordings_at_once_and_one_that_is_closed(run: Run, file: Path, tmp_path: Path) -> None:
    async def main() -> None:
        with tomada.record(file):
            async with tomada.serve(bank(Bank()), HERE) as server:
                with tomada.record(other) as second:
                    async with tomada.connect(server.addresses[0]) as client:
                        await client.ask(Freeze("a"))
                        second.close()
                        await client.ask(Freeze("b"))

    other = tmp_path / "other.recording"
    run(main())
    assert texts(read(file).sequence()).count("ask Freeze #3") == 1
    assert "ask Freeze #1" in texts(read(other).sequence())
    assert "ask Freeze #3" not in texts(read(other).sequence())


def test_what_cannot_be_recorded_to_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        tomada.record(tmp_path / "nowhere" / "file")
    with pytest.raises(ValueError, match="0 to 65,536"):
        tomada.record(tmp_path / "file", data=-1)
    with pytest.raises(ValueError, match="most_bytes"):
        tomada.record(tmp_path / "file", most_bytes=1)


def test_a_blocking_client_is_recorded_too(file: Path) -> None:
    async def serve(ready: asyncio.Future[str], over: asyncio.Event) -> None:
        async with tomada.serve(bank(Bank()), HERE) as server:
            ready.set_result(str(server.addresses[0]))
            await over.wait()

    async def main() -> None:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        over = asyncio.Event()
        serving = asyncio.create_task(serve(ready, over))
        address = await ready

        def ask() -> None:
            with tomada.sync.connect(address) as client:
                client.ask(Transfer("ana", "rui", 5))

        await asyncio.to_thread(ask)
        over.set()
        await serving

    with tomada.record(file):
        asyncio.run(main())
    sequence = read(file).sequence()
    assert len(sequence.lanes) == 2
    assert ("ask Transfer #1", "received ask Transfer #1") in arrows(sequence)
    assert {end.state.value for end in read(file).ends} == {"closed"}


def test_a_server_with_a_store_is_recorded_too(run: Run, file: Path, tmp_path: Path) -> None:
    async def main() -> None:
        serving = tomada.serve(bank(Bank()), HERE, store=f"sqlite:///{tmp_path}/sessions")
        with tomada.record(file):
            async with serving as server, tomada.connect(server.addresses[0]) as client:
                await client.ask(Transfer("ana", "rui", 5))

    run(main())
    messages = read(file)
    assert ("reply Receipt #1", "received reply Receipt #1") in arrows(messages.sequence())
    assert {end.state.value for end in messages.ends} == {"closed"}
