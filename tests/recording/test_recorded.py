"""What is in the file of a recording of real connections, and what is not."""

from __future__ import annotations

import json
import re
from binascii import a2b_base64
from pathlib import Path

import pytest

import tomada
from tests.integration.conftest import Run, _loops_have_what_they_keep, folder, run
from tests.integration.house import turns_until, wire
from tests.recording.bank import (
    Bank,
    Freeze,
    Transfer,
    arrows,
    bank,
    read,
    step,
    texts,
)
from tomada.diagrams import Tone
from tomada.recording.shortening import Shortener
from tomada.testing import FaultProxy

__all__ = ["_loops_have_what_they_keep", "folder", "run"]
HERE = "tcp://127.0.0.1:0"


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


def test_what_begins_after_the_recording_is_not_in_it(run: Run, file: Path) -> None:
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


def test_a_recorder_that_fails_does_not_cost_the_connection(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object, __: bytes) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        with tomada.record(file):
            async with tomada.serve(bank(Bank()), HERE) as server, tomada.connect(server.addresses[0]) as client:
                await client.ask(Transfer("ana", "rui", 5))
                monkeypatch.setattr(Shortener, "shorten", fail)
                await client.ask(Transfer("ana", "rui", 6))
                assert client._link.tap is None
                await client.ask(Transfer("ana", "rui", 7))

    run(main())
    assert caplog.text.count("is recorded no more") == 2
    assert "ask Transfer #1" in texts(read(file).sequence())
