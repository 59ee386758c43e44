from __future__ import annotations

import json
import math
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import tomada.diagrams
from tests.diagrams import scenes
from tomada.diagrams import (
    FORMS,
    Arrow,
    DrawingError,
    Lane,
    MissingLibrary,
    Place,
    Sequence,
    Span,
    StateDiagram,
    Step,
    Timeline,
    Transition,
    form_of,
    render,
    write,
)
from tomada.diagrams.checking import Drawing
from tomada.diagrams.model import Mark, Row

DRAWINGS: dict[str, Drawing] = {
    "sequence": scenes.echo(),
    "states": scenes.session(),
    "timeline": scenes.connections(),
    "hostile sequence": scenes.hostile(),
    "hostile states": scenes.hostile_states(),
    "hostile timeline": scenes.hostile_timeline(),
}
PNG = b"\x89PNG\r\n\x1a\n"
LANE = Lane(group="g", title="l")
STEP = Step(lane=0, begun=0, ended=1, text="t")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", DRAWINGS)
def test_each_kind_has_each_form(tmp_path: Path, name: str, form: str) -> None:
    file = tmp_path / f"picture.{form.upper()}"

    write(DRAWINGS[name], file)

    rendered = render(DRAWINGS[name], form)
    content = file.read_bytes()
    assert content.startswith(PNG) if isinstance(rendered, bytes) else content.decode() == rendered
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_a_png_has_two_pixels_for_each_of_the_svg_and_a_huge_one_fewer() -> None:
    svg = str(render(scenes.echo(), "svg"))
    width, height = (float(each) for each in svg.split('viewBox="0 0 ')[1].split('"', maxsplit=1)[0].split())

    wide, high = struct.unpack(">II", bytes(render(scenes.echo(), "png"))[16:24])  # type: ignore[arg-type]

    assert (wide, high) == (pytest.approx(2 * width, abs=2), pytest.approx(2 * height, abs=2))
    large = Sequence(
        title="t",
        lanes=(LANE,) * 10,
        steps=tuple(Step(lane=at % 10, begun=at, ended=at, text=chr(65 + at * at % 23)) for at in range(600)),
    )
    wide, high = struct.unpack(">II", bytes(render(large, "png"))[16:24])  # type: ignore[arg-type]
    assert wide * high <= 25_000_000


def test_without_the_library_png_says_what_to_install() -> None:
    program = """
import sys
sys.modules["resvg_py"] = None
from tests.diagrams import scenes
from tomada.diagrams import MissingLibrary, render
try:
    render(scenes.echo(), "png")
except MissingLibrary as error:
    print(error)
"""

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert done.stdout == "PNG needs one more library: pip install 'tomada[diagrams]'\n"


def test_who_imports_it_loads_no_form() -> None:
    names = ["json", "resvg_py", "tomada.diagrams.page", "tomada.diagrams.svg", "tomada.diagrams.text"]
    program = f"import sys, tomada.diagrams; print([name for name in {names} if name in sys.modules])"
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COV")}

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**unmeasured, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["picture", "picture.gif", "svg", ".svg"])
def test_a_name_that_says_no_form_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DrawingError, match=r"end it with one of \.svg, \.png"):
        write(scenes.echo(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_form_there_is_not_is_refused() -> None:
    with pytest.raises(DrawingError, match="there is no form 'gif': take one of svg, png"):
        render(scenes.echo(), "gif")
    assert form_of(Path("a.b.SVG")) == "svg"


def test_a_file_is_replaced_as_a_whole_and_keeps_to_the_umask(tmp_path: Path) -> None:
    file = tmp_path / "picture.txt"
    write(scenes.echo(), file)
    before = os.open(file, os.O_RDONLY)
    try:
        write(scenes.refused(), file)

        assert os.read(before, 24) == b"server.py with client.py"
        assert file.read_text().startswith("client.py\n")
    finally:
        os.close(before)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "picture.svg").mkdir()

    with pytest.raises(OSError, match="directory"):
        write(scenes.echo(), tmp_path / "picture.svg")

    assert [each.name for each in tmp_path.iterdir()] == ["picture.svg"]


@pytest.mark.parametrize(
    ("drawing", "wrong"),
    [
        (Sequence(title="", lanes=(), steps=(STEP,)), "step 0 is on lane 0, and there are 0 lanes"),
        (Sequence(title="", lanes=(LANE,), steps=(msgspec.structs.replace(STEP, lane=-1),)), "lane -1"),
        (Sequence(title="", lanes=(LANE,), steps=(msgspec.structs.replace(STEP, begun=math.nan),)), "the time nan"),
        (Sequence(title="", lanes=(LANE,), steps=(msgspec.structs.replace(STEP, ended=math.inf),)), "the time inf"),
        (Sequence(title="", lanes=(LANE,), steps=(msgspec.structs.replace(STEP, count=0),)), "stands for 0 steps"),
        (
            Sequence(title="", lanes=(LANE,), steps=(STEP,), arrows=(Arrow(source=0, target=1),)),
            "arrow 0 goes from step 0 to step 1, and there are 1 steps",
        ),
        (
            StateDiagram(title="", start="a", places=(), transitions=()),
            "the start is at 'a', and there is no such state",
        ),
        (
            StateDiagram(title="", start="a", places=(Place(name="a"),) * 2, transitions=()),
            "two states have the same name",
        ),
        (
            StateDiagram(
                title="",
                start="a",
                places=(Place(name="a"),),
                transitions=(Transition(source="a", target="b", text="go"),),
            ),
            "the transition 'go' is at 'b'",
        ),
        (
            StateDiagram(title="", start="a", places=(Place(name="a"),), transitions=(), current="b"),
            "the current state",
        ),
        (Timeline(title="", ended=math.nan, rows=()), "the timeline has the time nan"),
        (
            Timeline(
                title="", ended=1, rows=(Row(group="", title="r", spans=(Span(begun=math.inf, ended=1, text=""),)),)
            ),
            "a span of 'r'",
        ),
        (
            Timeline(
                title="", ended=1, rows=(Row(group="", title="r", spans=(), marks=(Mark(at=math.nan, text=""),)),)
            ),
            "a mark of 'r'",
        ),
        ("text", "a str cannot be drawn"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_what_does_not_fit_together_is_refused_in_words(drawing: Drawing, wrong: str, form: str) -> None:
    with pytest.raises(DrawingError, match=wrong):
        render(drawing, form)


@pytest.mark.parametrize("name", DRAWINGS)
def test_json_lines_have_all_of_it(name: str) -> None:
    drawing = DRAWINGS[name]

    text = str(render(drawing, "jsonl"))

    assert text.isascii()
    objects = [json.loads(line) for line in text.splitlines()]
    parts: dict[str, list[object]] = {}
    for each in objects[1:]:
        each.pop("number")
        parts.setdefault(each.pop("kind"), []).append(each)
    names = {
        "lane": "lanes",
        "step": "steps",
        "arrow": "arrows",
        "place": "places",
        "transition": "transitions",
        "row": "rows",
    }
    whole = {**objects[0], **{names[kind]: each for kind, each in parts.items()}}
    assert whole.pop("kind") == name.rsplit(maxsplit=1)[-1]
    assert msgspec.convert(whole, type(drawing)) == as_characters(drawing)
    for line in text.splitlines():
        msgspec.json.decode(line)  # which takes no half of a pair of surrogates


def as_characters(drawing: Drawing) -> Drawing:
    """The drawing with U+FFFD for what is no character."""
    text = json.dumps(msgspec.to_builtins(drawing)).replace("\\ud800", "\\ufffd")
    return msgspec.convert(json.loads(text), type(drawing))


def test_the_errors_are_what_callers_catch() -> None:
    assert issubclass(DrawingError, ValueError)
    assert issubclass(MissingLibrary, ImportError)
    assert set(tomada.diagrams.__all__) <= set(dir(tomada.diagrams))
