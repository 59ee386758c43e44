from __future__ import annotations

import itertools
import random
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.diagrams import scenes
from tests.web import chromium
from tomada.diagrams import Arrow, Lane, Sequence, Step, Tone, render
from tomada.diagrams.checking import Drawing
from tomada.diagrams.svg import sequence_svg
from tomada.diagrams.svg.palette import COLOURS, Theme

SVG = "{http://www.w3.org/2000/svg}"
NOTHING = Sequence(title="", lanes=(), steps=())
LEAST_CONTRAST = 4.5
GRAPHICAL = {"paper", "panel", "edge", "waiting", "hit", "rule"}
"""Colours in which no text is written."""


def chance(seed: int) -> Sequence:
    """Any sequence: names of all lengths, arrows from anywhere to anywhere later."""
    numbers = random.Random(seed)
    lanes = tuple(
        Lane(
            group=f"program_{lane // 2}.py",
            title="TCP " + "9" * numbers.randrange(30),
            detail="d" * numbers.randrange(30),
        )
        for lane in range(numbers.randrange(1, 8))
    )
    steps = tuple(
        Step(
            lane=numbers.randrange(len(lanes)),
            begun=begun * 0.01,
            ended=None if numbers.random() < 0.02 else begun * 0.01 + numbers.random() * 0.05,
            text="call" + "x" * numbers.randrange(30) + "()",
            result="r" * numbers.randrange(20),
            data="data" * numbers.randrange(10),
            size=numbers.randrange(2000),
            is_blocked=numbers.random() < 0.4,
            tone=numbers.choice(list(Tone)),
            state=numbers.choice(["", "", "", "connected", "a long name of a state"]),
            count=numbers.choice([1, 1, 1, 1000]),
        )
        for begun in range(60)
    )
    ends = [sorted(numbers.sample(range(60), 2)) for _ in range(25)]
    arrows = tuple(
        Arrow(source=source, target=target, text="a" * numbers.randrange(20), size=numbers.randrange(99))
        for source, target in ends
    )
    return Sequence(title=f"chance {seed}", lanes=lanes, steps=steps, arrows=arrows, notes=("A note that is said.",))


DRAWINGS: dict[str, Drawing] = {
    "echo": scenes.echo(),
    "refused": scenes.refused(),
    "forking": scenes.forking(),
    "many lanes": scenes.forking(40),
    "busy": scenes.busy(200),
    "hostile": scenes.hostile(),
    "session": scenes.session(),
    "hostile states": scenes.hostile_states(),
    "connections": scenes.connections(),
    "many connections": scenes.connections(3_000),
    "hostile timeline": scenes.hostile_timeline(),
    "long path": scenes.long_path(),
    "summaries": scenes.two_kinds(),
    **{f"chance {seed}": chance(seed) for seed in range(6)},
}


def elements(drawing: Drawing, style: str) -> list[ET.Element]:
    root = ET.fromstring(str(render(drawing, "svg")))  # noqa: S314 - it is ours
    return [each for each in root.iter() if style in each.get("class", "").split()]


def words(element: ET.Element) -> str:
    return " ".join("".join(text.itertext()) for text in element.iter(f"{SVG}text"))


@pytest.mark.parametrize("name", [*DRAWINGS, "nothing"])
def test_it_is_one_well_formed_file_that_needs_no_other(name: str) -> None:
    text = str(render({**DRAWINGS, "nothing": NOTHING}[name], "svg"))

    root = ET.fromstring(text)  # noqa: S314 - it is ours
    assert root.tag == f"{SVG}svg"
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        *("svg", "title", "desc", "style", "g", "rect", "path", "circle", "text", "tspan")
    }
    assert not [key for each in root.iter() for key in each.attrib if key.startswith("on") or "href" in key]
    assert "url(" not in text
    assert "@import" not in text
    assert root.find(f"{SVG}title") is not None


@pytest.mark.parametrize("name", DRAWINGS)
def test_no_label_is_on_another(page: chromium.Page, tmp_path: Path, name: str) -> None:
    file = tmp_path / "picture.svg"
    file.write_text(str(render(DRAWINGS[name], "svg")))
    page.open(file.as_uri())

    overlaps = page.run(
        """
        const boxes = [...document.querySelectorAll("text")].filter((each) => each.textContent.trim())
            .map((each) => ({ text: each.textContent, box: each.getBoundingClientRect() }))
            .sort((one, other) => one.box.top - other.box.top);
        const found = [];
        boxes.forEach(({ text, box }, at) => {
            for (let next = at + 1; next < boxes.length && boxes[next].box.top < box.bottom - 1.5; next++) {
                const other = boxes[next].box;
                if (other.left < box.right - 1 && other.right > box.left + 1) found.push([text, boxes[next].text]);
            }
        });
        return found;
        """
    )

    assert overlaps == []


@pytest.mark.parametrize("name", DRAWINGS)
def test_no_label_is_on_a_bar_or_where_bytes_wait(page: chromium.Page, tmp_path: Path, name: str) -> None:
    file = tmp_path / "picture.svg"
    file.write_text(str(render(DRAWINGS[name], "svg")))
    page.open(file.as_uri())

    covered = page.run(
        """
        const around = (each) => each.getBoundingClientRect();
        const things = [...document.querySelectorAll("rect.bar, .later, .above")]
            .filter((each) => !each.closest(".legend, .notes")).map(around);
        return [...document.querySelectorAll(".label, .payload")].filter((each) => {
            const box = around(each);
            return things.some(({ left, right, top, bottom }) =>
                left < box.right - 1 && right > box.left + 1 && top < box.bottom - 3 && bottom > box.top + 3);
        }).map((each) => each.textContent);
        """
    )

    assert covered == []


@pytest.mark.parametrize("name", DRAWINGS)
def test_no_label_is_cut_by_the_edge(page: chromium.Page, tmp_path: Path, name: str) -> None:
    file = tmp_path / "picture.svg"
    file.write_text(str(render(DRAWINGS[name], "svg")))
    page.open(file.as_uri())

    outside = page.run(
        """
        const edge = document.documentElement.getBoundingClientRect();
        return [...document.querySelectorAll("text")].filter((each) => {
            const { left, right, top, bottom } = each.getBoundingClientRect();
            return left < edge.left || right > edge.right || top < edge.top || bottom > edge.bottom;
        }).map((each) => each.textContent);
        """
    )

    assert outside == []


@pytest.mark.parametrize(("kind", "dark"), [("light", False), ("dark", True)])
def test_it_is_drawn_for_the_viewers_background(page: chromium.Page, tmp_path: Path, kind: str, dark: bool) -> None:  # noqa: FBT001 - a case
    file = tmp_path / "picture.svg"
    file.write_text(str(render(scenes.echo(), "svg")))
    page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": kind}])
    page.open(file.as_uri())

    colours = page.run(
        "return ['.paper', '.h1', '.bar'].map((each) => getComputedStyle(document.querySelector(each)).fill)"
    )

    assert colours == [rgb(COLOURS[name][dark]) for name in ("paper", "ink", "waiting")]


@pytest.mark.parametrize("theme", [Theme.LIGHT, Theme.DARK])
def test_a_theme_that_is_named_needs_no_variables(theme: Theme) -> None:
    text = sequence_svg(scenes.echo(), theme=theme)

    assert "var(" not in text
    assert "@media" not in text
    assert COLOURS["paper"][theme is Theme.DARK] in text


def rgb(colour: str) -> str:
    return f"rgb({int(colour[1:3], 16)}, {int(colour[3:5], 16)}, {int(colour[5:7], 16)})"


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("name", sorted(set(COLOURS) - GRAPHICAL))
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("behind", ["paper", "panel", "hit"])
def test_text_can_be_read(name: str, dark: bool, behind: str) -> None:  # noqa: FBT001 - a case
    assert contrast(COLOURS[name][dark], COLOURS[behind][dark]) >= LEAST_CONTRAST


@pytest.mark.parametrize("dark", [False, True])
def test_lines_can_be_seen(dark: bool) -> None:  # noqa: FBT001 - a case
    assert contrast(COLOURS["rule"][dark], COLOURS["paper"][dark]) >= 3


def test_lanes_stand_below_the_processes_that_have_them() -> None:
    headings = [words(each) for each in elements(scenes.echo(), "group-name")]
    lanes = [words(each) for each in elements(scenes.echo(), "lane")]

    assert headings == ["server.py (4711)", "client.py (4712)"]
    assert lanes == [
        "TCP 127.0.0.1:4477 socket 1",
        "TCP …:4477 ← …:50312 socket 2, accepted",
        "TCP 127.0.0.1:50312 socket 1",
    ]


def test_lanes_of_one_process_stand_together_though_they_came_one_by_one() -> None:
    lanes = tuple(Lane(group=group, title=title) for group, title in ("a1", "b1", "a2"))

    shown = [words(each).strip() for each in elements(Sequence(title="t", lanes=lanes, steps=()), "lane")]

    assert shown == ["1", "2", "1"]
    assert [each.get("data-lane") for each in elements(Sequence(title="t", lanes=lanes, steps=()), "lane")] == [
        "0",
        "2",
        "1",
    ]


def test_steps_are_in_order_and_a_wait_is_two_rows_and_a_bar() -> None:
    steps = [(each.get("data-step"), each.get("class")) for each in elements(scenes.echo(), "step")]

    assert steps[3:8] == [
        ("3", "step begin tone-begin"),
        ("4", "step whole tone-begin"),
        ("5", "step whole tone-begin"),
        ("3", "step end tone-begin"),
        ("6", "step begin tone-plain"),
    ]
    assert len(elements(scenes.echo(), "bar")) == 4 + 1  # and the legend's


def test_an_arrow_leads_from_each_send_to_its_receive() -> None:
    assert [each.get("data-ends") for each in elements(scenes.echo(), "way")] == ["5-3", "7-6", "9-8", "11-10"]
    payloads = ["".join(each.itertext()) for each in elements(scenes.echo(), "payload")]
    assert payloads == ["connects", "5 B  “hello”", "5 B  “HELLO”", "end"]


def test_bytes_that_come_at_once_share_the_row_and_those_that_wait_are_led_down() -> None:
    first, second, third, last = elements(scenes.echo(), "way")

    for direct in (first, second, third):
        assert [each.get("class") for each in direct] == ["arrow tone-begin", "head tone-begin"] or len(direct) == 2
    assert "arrow later tone-end" in [each.get("class") for each in last]


def test_bytes_never_travel_back_in_time() -> None:
    unrecorded = scenes.unrecorded()

    assert [each.get("data-ends") for each in elements(unrecorded, "way")] == ["1-0", "3-2"]
    assert not elements(unrecorded, "above")
    assert [each.get("data-step") for each in elements(unrecorded, "step")] == ["1", "0", "3", "2"]


def test_a_request_leads_to_where_its_handler_begins() -> None:
    lanes = (Lane(group="server", title="s"), Lane(group="client", title="c"))
    steps = (
        Step(lane=1, begun=0, ended=0, text="ask"),
        Step(lane=0, begun=0.001, ended=3, text="handler", is_blocked=True),
        Step(lane=1, begun=1, ended=1, text="other"),
    )

    def tip(*, at_begin: bool) -> str:
        arrows = (Arrow(source=0, target=1, at_begin=at_begin),)
        (way,) = elements(Sequence(title="t", lanes=lanes, steps=steps, arrows=arrows), "way")
        return " ".join(each.get("class", "") for each in way)

    assert "later" not in tip(at_begin=True), "it stands on the row on which both ends are"
    assert "later" in tip(at_begin=False)


def test_an_arrow_up_to_a_summary_is_not_said_to_be_bytes_that_wait() -> None:
    legend = [words(each) for each in elements(scenes.two_kinds(), "legend")]

    assert elements(scenes.two_kinds(), "above")
    assert "counted in what is drawn above" in legend[0]
    assert "counted in what is drawn above" not in words(elements(scenes.echo(), "legend")[0])


def test_what_is_cut_of_a_summary_is_not_how_often_it_came() -> None:
    labels = [words(each) for each in elements(scenes.two_kinds(), "step")]

    assert {label.split()[0] for label in labels} == {"×10", "×20"}, "it comes first"


def test_headings_that_are_too_long_keep_their_ends() -> None:
    lanes = tuple(
        Lane(group="g", title=f"tcp://127.0.0.1:4477 from tcp://127.0.0.1:{port}") for port in (50_001, 50_002)
    )
    steps = tuple(Step(lane=lane, begun=lane, ended=lane, text="f") for lane in (0, 1, 0))

    titles = [words(each) for each in elements(Sequence(title="t", lanes=lanes, steps=steps), "lane")]

    assert [title.strip()[-6:] for title in titles] == [":50001", ":50002"]


def test_a_state_is_shown_where_it_changes() -> None:
    shown = [(each.get("data-lane"), words(each)) for each in elements(scenes.echo(), "state")]

    assert [state for lane, state in shown if lane == "0"] == ["created", "bound", "listening", "closed"]
    assert [state for lane, state in shown if lane == "1"] == ["connected", "peer closed", "closed"]


def test_an_error_is_told_by_its_sign_and_its_words_as_well_as_by_colour() -> None:
    (failed,) = elements(scenes.refused(), "failed")
    signs = {each.get("d") for each in elements(scenes.refused(), "mark") if "tone-failed" in each.get("class", "")}
    others = {
        each.get("d") for each in elements(scenes.refused(), "mark") if "tone-failed" not in each.get("class", "")
    }

    assert "ConnectionRefusedError" in "".join(failed.itertext())
    assert len(signs) == 1
    assert not signs & others


def test_notes_are_always_there() -> None:
    (notes,) = elements(scenes.refused(), "notes")

    assert "uvloop is loaded" in words(notes)


def test_long_gaps_are_said_and_take_no_room() -> None:
    times = [words(each) for each in elements(scenes.echo(), "when")]
    rows = [float(text.get("y", "")) for each in elements(scenes.echo(), "when") for text in each[:1]]

    assert "1.7020 +1.20 s" in times
    assert max(later - earlier for earlier, later in itertools.pairwise(rows)) < 80


def test_the_headings_come_again() -> None:
    steps = tuple(Step(lane=0, begun=at, ended=at, text=f"{'x' * (at % 17)}") for at in range(55))
    drawing = Sequence(title="t", lanes=scenes.echo().lanes[:1], steps=steps)

    assert len(elements(drawing, "again")) == 1


def test_a_cut_is_seen_where_it_is() -> None:
    lanes = (Lane(group="a", title="1"), Lane(group="b", title="2"))
    steps = tuple(
        Step(lane=at % 2, begun=at, ended=at, text="ab"[at * at % 7 % 2] * (at % 11 + at % 13)) for at in range(900)
    )

    text = sequence_svg(Sequence(title="t", lanes=lanes, steps=steps), most=100)
    (cut,) = [each for each in ET.fromstring(text).iter() if each.get("class") == "cut"]  # noqa: S314 - it is ours

    assert "800 steps from 50.0 s to 14 min 9 s left out" in words(cut)
    assert "In the middle 800 steps" in text


def test_who_rests_the_pointer_on_a_step_learns_all_of_it() -> None:
    (step,) = [each for each in elements(scenes.echo(), "step") if each.get("data-step") == "9"]
    tooltip = step.find(f"{SVG}title")

    assert tooltip is not None
    assert tooltip.text == (
        "sendall(5 bytes)\nserver.py (4711) · TCP …:4477 ← …:50312\nbegan at 1.70 s, took 20 µs\n5 bytes: HELLO"
    )
