from __future__ import annotations

import json
import re
import shutil
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.diagrams import scenes
from tests.diagrams.conftest import ROOT
from tests.web import chromium
from tomada.diagrams import Lane, Sequence, StateDiagram, Step, Timeline, render
from tomada.diagrams.checking import Drawing
from tomada.diagrams.mermaid import LONGEST, MOST_CHARACTERS, label

LIBRARY = ROOT / ".venv/mermaid/mermaid.min.js"
DRAWINGS: dict[str, Drawing] = {
    "echo": scenes.echo(),
    "refused": scenes.refused(),
    "forking": scenes.forking(),
    "busy": scenes.busy(500),
    "hostile": scenes.hostile(),
    "session": scenes.session(),
    "hostile states": scenes.hostile_states(),
    "connections": scenes.connections(),
    "hostile timeline": scenes.hostile_timeline(),
    "nothing": Sequence(title="", lanes=(), steps=()),
    "no rows": Timeline(title="", ended=0, rows=()),
    "words of the language": scenes.rows_called(
        ("click here", "title x", "section y", "dateFormat z", "excludes", "includes", "todayMarker off", "vert", "%%")
    ),
    "rows of long words": scenes.rows_called(tuple(f"{number}{'名' * 60}" for number in range(60)), spans=8),
}


@pytest.fixture(scope="module")
def mermaid(page: chromium.Page, tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Page]:
    """A page with the real library."""
    if not LIBRARY.exists():
        pytest.skip("there is no Mermaid: scripts/set-up test installs it where there is npm")
    folder = tmp_path_factory.mktemp("mermaid")
    shutil.copy(LIBRARY, folder / "mermaid.js")
    Path(folder / "index.html").write_text("<!DOCTYPE html><meta charset=utf-8><script src=mermaid.js></script>")
    with chromium.web_server(folder) as origin:
        page.open(f"{origin}/index.html")
        page.run("mermaid.initialize({startOnLoad: false, suppressErrorRendering: true})")
        yield page


@pytest.mark.parametrize("name", DRAWINGS)
def test_mermaid_itself_draws_it(mermaid: chromium.Page, name: str) -> None:
    text = render(DRAWINGS[name], "mmd")

    drawn = mermaid.run(f"return (await mermaid.render('picture', {json.dumps(text)})).svg")

    assert drawn.startswith("<svg")
    assert "alert(1)</script>" not in drawn


def test_mermaid_itself_shows_labels_as_they_were(mermaid: chromium.Page) -> None:
    said = 'a;b#c "d" <b>e</b> & f: {g} |h| %% i --> j end'
    lane = scenes.echo().lanes[0]
    step = scenes.echo().steps[0]
    drawing = Sequence(title="t", lanes=(lane,), steps=(scenes.replaced(step, text=said),))

    shown = mermaid.run(
        f"document.body.innerHTML = (await mermaid.render('one', {json.dumps(render(drawing, 'mmd'))})).svg;"
        "return [...document.querySelectorAll('.noteText')].map((each) => each.textContent)"
    )

    assert shown == [f"0 µs {said}"]


def test_mermaid_itself_shows_states_as_they_were(mermaid: chromium.Page) -> None:
    text = json.dumps(render(scenes.hostile_states(), "mmd"))

    shown = mermaid.run(
        f"document.body.innerHTML = (await mermaid.render('two', {text})).svg;"
        "return [...document.querySelectorAll('.nodeLabel')].map((each) => each.textContent)"
    )

    assert "<script>alert(1)</script>" in shown
    assert "]]>&amp;\"'`" in shown


def test_mermaid_itself_shows_the_notes_of_a_timeline(mermaid: chromium.Page) -> None:
    text = json.dumps(render(scenes.rows_called(("click here",), notes=("What is not seen.",)), "mmd"))

    shown = mermaid.run(
        f"document.body.innerHTML = (await mermaid.render('three', {text})).svg;"
        "return [...document.querySelectorAll('text')].map((each) => each.textContent.trim())"
    )

    assert {"click here open", "What is not seen.", "Notes"} <= set(shown)
    assert {"0 s", "60 s", "90 s"} <= set(shown), "seconds since the begin, not since the last full minute"


def test_a_broken_one_would_be_seen(mermaid: chromium.Page) -> None:
    with pytest.raises(chromium.PageError):
        mermaid.run("await mermaid.render('broken', 'sequenceDiagram\\n  a ->> ;')")


@pytest.mark.parametrize("text", scenes.HOSTILE)
def test_nothing_in_a_label_means_anything(text: str) -> None:
    said = label(text)

    assert "\n" not in said
    assert not re.sub(r"#\d+;", "", said).strip(f"{string.ascii_letters}{string.digits} _.,()[]=*+/?!'…")
    assert len(re.sub(r"#\d+;", "", said)) <= LONGEST


@pytest.mark.parametrize("name", DRAWINGS)
def test_it_is_never_more_than_mermaid_takes(name: str) -> None:
    assert len(render(DRAWINGS[name], "mmd")) <= MOST_CHARACTERS


def test_a_timeline_says_what_mermaid_has_no_room_for() -> None:
    text = str(render(DRAWINGS["rows of long words"], "mmd"))

    assert re.search(r"#\d+;?\d* lines left out#58; Mermaid takes no longer text", text)


def test_a_timeline_says_that_mermaid_has_no_marks() -> None:
    assert "0 marks on the rows left out" in str(render(scenes.hostile_timeline(), "mmd"))


def test_a_title_may_have_letters_of_any_writing() -> None:
    assert 'title: "日本 é"' in str(render(Sequence(title="日本 é", lanes=(), steps=()), "mmd"))


def test_labels_that_are_all_escapes_leave_fewer_steps() -> None:
    lanes = tuple(Lane(group="g", title=str(number)) for number in range(2))
    steps = tuple(Step(lane=at % 2, begun=at, ended=at, text=chr(0x4E00 + at) * 60) for at in range(400))

    text = str(render(Sequence(title="t", lanes=lanes, steps=steps), "mmd"))

    assert len(text) <= MOST_CHARACTERS
    assert re.search(r"In the middle [0-9,]+ steps", text)
    assert text.count("left out") >= 2


def test_arrows_and_waits_are_there_in_order() -> None:
    text = str(render(scenes.echo(), "mmd"))

    arrows = re.findall(r"^    (L\d->>L\d)", text, re.MULTILINE)
    assert arrows == ["L2->>L0", "L2->>L1", "L1->>L2", "L2->>L1"]
    assert re.findall(r"^    ((?:de)?activate L\d)", text, re.MULTILINE)[:2] == ["activate L0", "deactivate L0"]
    assert text.count("    activate") == text.count("deactivate")


def test_what_is_left_out_is_said() -> None:
    text = str(render(scenes.forking(150), "mmd"))

    assert "left out" in text or "did the same as others" in text


def test_the_path_through_the_states_is_numbered() -> None:
    drawing = scenes.session()
    assert isinstance(drawing, StateDiagram)

    text = str(render(drawing, "mmd"))

    assert "s0 --> s1: 1. send hello" in text
    assert "class s0 visited" in text
