"""The file: several writers, its bound, what is cut or hostile."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tomada.errors import RecordingError
from tomada.recording.file import Reader
from tomada_recorder import writer as writing
from tomada_recorder.writer import LEAST_BYTES, MOST_LINE, Writer, begin, older

pytestmark = pytest.mark.skipif(os.name != "posix", reason="recordings rotate on Unix")
LINE = '{"kind":"x","by":"%s","n":%d,"filling":"%s"}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording"


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    made = Writer(str(path))
    yield made
    made.close()


def line(number: int, filling: int = 50) -> bytes:
    return (LINE % ("me", number, "." * filling)).encode()


def numbers(path: Path) -> list[int]:
    with Reader(path) as reader:
        return [record["n"] for record in reader.records() if record["kind"] == "x"]


def test_what_is_written_is_read(path: Path, writer: Writer) -> None:
    for number in range(100):
        writer.write(line(number))

    assert numbers(path) == list(range(100))


def test_records_are_there_at_once(path: Path, writer: Writer) -> None:
    with Reader(path) as reader:
        assert list(reader.records()) == []
        writer.write(line(1))
        assert [record["n"] for record in reader.records()] == [1]
        writer.write(line(2))
        assert [record["n"] for record in reader.records()] == [2]


def test_a_new_recording_takes_the_place_of_the_old_one(path: Path, writer: Writer) -> None:
    writer.write(line(1))
    Path(older(str(path))).write_bytes(b"an older segment")

    begin(str(path))

    assert numbers(path) == []
    assert not Path(older(str(path))).exists()


class TestBound:
    def test_it_is_kept_and_what_was_dropped_is_counted(self, path: Path) -> None:
        writer = Writer(str(path), LEAST_BYTES)
        for number in range(20_000):
            writer.write(line(number))
        writer.close()

        files = [path, Path(older(str(path)))]
        assert sum(file.stat().st_size for file in files) <= LEAST_BYTES + 2 * (1 << 16)
        with Reader(path) as reader:
            found = [record["n"] for record in reader.records()]
            assert found == list(range(found[0], 20_000))
            assert found[0] > 0
            assert reader.lost_records >= found[0]
            assert reader.lost_bytes > found[0] * 80

    def test_a_segment_begins_with_what_must_be_known(self, path: Path) -> None:
        writer = Writer(str(path), LEAST_BYTES, lambda: [b'{"kind":"process","pid":1}\n'])
        for number in range(20_000):
            writer.write(line(number))
        writer.close()

        for file in (path, Path(older(str(path)))):
            kinds = [json.loads(text)["kind"] for text in file.read_text().splitlines()[:3]]
            assert kinds == ["recording", "process", "x"]

    @pytest.mark.parametrize("has_links", [True, False])
    def test_who_begins_while_a_segment_does_finds_the_recording(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, *, has_links: bool
    ) -> None:
        found = []

        def replace(source: str, target: str) -> None:
            Path(source).rename(target)
            found.append(path.exists())

        def link(*_: str) -> None:
            raise PermissionError

        writer = Writer(str(path), LEAST_BYTES)
        monkeypatch.setattr(os, "replace", replace)
        if not has_links:
            monkeypatch.setattr(os, "link", link)
        for number in range(5_000):
            writer.write(line(number))
        writer.close()

        assert found == [has_links, True] * (len(found) // 2)
        assert numbers(path)[-1] == 4_999
        assert sorted(file.name for file in path.parent.iterdir()) == ["recording", "recording.1"]

    def test_several_processes_lose_nothing_between_segments(self, path: Path) -> None:
        begin(str(path), 1 << 20)
        program = (
            "import sys; from tomada_recorder.writer import Writer\n"
            "writer = Writer(sys.argv[1], 1 << 20)\n"
            f"for n in range(8000): writer.write(({LINE!r} % (sys.argv[2], n, '.' * 100)).encode())\n"
        )
        processes = [subprocess.Popen([sys.executable, "-c", program, str(path), name]) for name in "abc"]
        for process in processes:
            assert process.wait(50) == 0

        with Reader(path) as reader:
            found = list(reader.records())
            assert not reader.passed_over
            lost = reader.lost_records
        assert lost > 0
        for name in "abc":
            mine = [record["n"] for record in found if record.get("by") == name]
            assert mine == list(range(8000 - len(mine), 8000)), "the newest, without a gap"

    def test_threads_lose_nothing(self, path: Path) -> None:
        writer = Writer(str(path), 1 << 22)

        def write(name: str) -> None:
            for number in range(3_000):
                writer.write((LINE % (name, number, "." * 100)).encode())

        threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.close()

        with Reader(path) as reader:
            found = list(reader.records())
        for name in "abcd":
            assert [record["n"] for record in found if record["by"] == name] == list(range(3_000))

    def test_a_reader_follows_through_segments(self, path: Path) -> None:
        writer = Writer(str(path), LEAST_BYTES)
        found = []
        with Reader(path) as reader:
            for number in range(20_000):
                writer.write(line(number))
                if not number % 100:
                    found += [record["n"] for record in reader.records()]
            found += [record["n"] for record in reader.records()]
        writer.close()

        assert found == list(range(20_000))
        assert reader.lost_records == 0

    def test_a_reader_that_is_too_slow_knows_it(self, path: Path) -> None:
        writer = Writer(str(path), LEAST_BYTES)
        with Reader(path) as reader:
            for number in range(20_000):
                writer.write(line(number))
            found = [record["n"] for record in reader.records()]
            assert reader.lost_records > 0
        writer.close()
        assert found[-1] == 19_999


class TestTrouble:
    def test_a_full_disk_ends_the_recording_and_nothing_else(self, path: Path) -> None:
        program = (
            "import resource, signal, sys; from tomada_recorder.writer import Writer\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
            "writer = Writer(sys.argv[1])\n"
            f"for n in range(1000): writer.write(({LINE!r} % ('me', n, '.')).encode())\n"
            "print(writer.failure)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True, timeout=50
        )

        assert done.stdout.strip()
        assert done.stderr.count("the recording") == 1
        found = numbers(path)
        assert found == list(range(len(found)))
        assert len(found) > 100

    def test_a_place_that_cannot_be_written(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        writer = Writer(str(tmp_path / "missing" / "recording"))
        writer.write(line(1))

        assert "No such file" in writer.failure
        assert capfd.readouterr().err.count("ends here") == 1

    def test_a_record_that_is_too_long_is_counted(self, path: Path, writer: Writer) -> None:
        writer.write(line(1, MOST_LINE))
        writer.write(line(2))

        with Reader(path) as reader:
            lost, kept = reader.records()
        assert (lost["kind"], lost["records"]) == ("lost", 1)
        assert kept["n"] == 2

    def test_the_program_closes_all_descriptors(
        self, path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        writer.write(line(1))
        os.close(writer.descriptor)
        victim = os.open(path.with_name("victim"), os.O_RDWR | os.O_CREAT)
        os.dup2(victim, writer.descriptor)
        monkeypatch.setattr(writing, "_LOOK_AFTER_NS", 0)
        writer._look_at = 0

        writer.write(line(2))

        assert numbers(path) == [1, 2]
        assert path.with_name("victim").stat().st_size == 0
        os.close(victim)

    def test_the_descriptor_is_far_from_the_small_ones(self, writer: Writer) -> None:
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 1100:
            assert writer.descriptor >= 1000

    def test_a_process_that_was_too_late_says_what_it_lost(self, path: Path, writer: Writer) -> None:
        writer._look_at = 1 << 62
        header = path.read_bytes().replace(b'"segment":1,', b'"segment":3,')
        path.unlink()
        path.write_bytes(header)
        writer.write(line(1))
        writer._look_at = 0
        writer.write(line(2))

        with Reader(path) as reader:
            lost, kept = reader.records()
        assert (lost["kind"], lost["records"]) == ("lost", 1)
        assert kept["n"] == 2

    def test_what_is_no_file_stays_what_it_is(self, path: Path) -> None:
        os.mkfifo(path)

        with pytest.raises(OSError, match="not a regular file"):
            begin(str(path))

        assert path.is_fifo()


class TestHostile:
    def test_no_such_file(self, path: Path) -> None:
        with pytest.raises(RecordingError, match="cannot be read: No such file"):
            Reader(path)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\n",
            b"hello\n",
            b"[]\n",
            b"{}\n",
            b"{" * 100_000,
            b'{"kind":"recording"}\n',
            b"\xff\n",
            b"\x00" * 10_000,
        ],
    )
    def test_no_recording(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)

        with pytest.raises(RecordingError, match="is no recording"):
            Reader(path)

    def test_one_of_the_future(self, path: Path) -> None:
        begin(str(path))
        path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":9'))

        with pytest.raises(RecordingError, match="of version 9, and this tomada reads up to 1"):
            Reader(path)

    def test_lines_that_are_no_records_are_counted(self, path: Path, writer: Writer) -> None:
        writer.write(line(1))
        writer.write(b'hello\n\xff\xfe\n[1]\n{"kind":5}\n{"n":1}\n\n' + b"[" * 10_000 + b"\n")
        writer.write(line(2))

        with Reader(path) as reader:
            assert [record["n"] for record in reader.records()] == [1, 2]
            assert reader.passed_over == 6

    def test_an_endless_line_takes_no_memory(self, path: Path, writer: Writer) -> None:
        writer.write(line(1))
        with path.open("ab") as file:
            for _ in range(30):
                file.write(b"x" * (1 << 18))
            file.write(b"\n")
        writer.write(line(2))

        with Reader(path) as reader:
            assert [record["n"] for record in reader.records()] == [1, 2]
            assert reader.passed_over == 1

    def test_a_cut_line_is_said(self, path: Path, writer: Writer) -> None:
        writer.write(line(1))
        writer.write(line(2)[:-9])

        with Reader(path) as reader:
            assert [record["n"] for record in reader.records()] == [1]
            assert reader.is_cut
            writer.write(line(2)[-9:])
            assert [record["n"] for record in reader.records()] == [2]
            assert not reader.is_cut

    def test_the_older_segment_of_another_recording_is_not_taken(self, path: Path, writer: Writer) -> None:
        writer.write(line(1))
        other = Writer(str(path.with_name("other")))
        other.write(line(7))
        other.close()
        path.with_name("other").rename(older(str(path)))

        assert numbers(path) == [1]

    @pytest.mark.parametrize("seed", range(20))
    def test_whatever_bytes(self, path: Path, writer: Writer, seed: int) -> None:
        for number in range(50):
            writer.write(line(number))
        chance = random.Random(seed)
        content = bytearray(path.read_bytes())
        start = content.index(b"\n") + 1
        for _ in range(chance.randrange(1, 40)):
            content[chance.randrange(start, len(content))] = chance.randrange(256)
        path.write_bytes(content[: chance.randrange(start, len(content))])

        with Reader(path) as reader:
            assert all(isinstance(record["kind"], str) for record in reader.records())
