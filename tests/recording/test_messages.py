"""What was recorded of real connections, and how it is drawn."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import tomada
from tests.authority import Authority
from tests.integration.conftest import Run, _loops_have_what_they_keep, folder, run
from tests.integration.house import turns_until
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

__all__ = ["_loops_have_what_they_keep", "folder", "run"]
HERE = "tcp://127.0.0.1:0"


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


@pytest.mark.parametrize("scheme", ["memory", "unix", "ws", "tls"])
def test_over_any_transport_the_same_is_recorded(
    run: Run, file: Path, folder: Path, authority: Authority, scheme: str
) -> None:
    places = {"memory": "memory://bank", "unix": f"unix://{folder}/s.sock"}

    async def main() -> None:
        tls = scheme == "tls"
        with tomada.record(file):
            serving = tomada.serve(
                bank(Bank()), places.get(scheme, f"{scheme}://127.0.0.1:0"), tls=authority.server if tls else None
            )
            trust = authority.client if tls else None
            async with serving as server, tomada.connect(server.addresses[0], tls=trust) as client:
                await client.ask(Transfer("ana", "rui", 5))

    run(main())
    sequence = read(file).sequence()
    assert len(sequence.lanes) == 2
    assert ("ask Transfer #1", "received ask Transfer #1") in arrows(sequence)
    assert ("goodbye", "received goodbye") in arrows(sequence)
    assert step(sequence, "ask Transfer #1").data == "source='ana' target='rui' cents=5"


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
