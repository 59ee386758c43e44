from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.diagrams import scenes
from tests.web import chromium
from tomada.diagrams import render
from tomada.diagrams.checking import Drawing

WRONG = """
window.wrong = [];
for (const kind of ["error", "unhandledrejection", "securitypolicyviolation"])
    addEventListener(kind, (event) => {
        wrong.push(`${kind}: ${event.message ?? event.reason ?? event.violatedDirective}`);
    });
for (const kind of ["error", "warn"]) console[kind] = (...words) => wrong.push(`${kind}: ${words.join(" ")}`);
window.alert = (text) => wrong.push(`alert: ${text}`);
"""
NAMES = """
const [view, picture, side] = ["main", "main > svg", "aside"].map((each) => document.querySelector(each));
const width = picture.viewBox.baseVal.width;
"""
KEY = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: %r, bubbles: true, cancelable: true}))"


class Shown:
    """A drawing in the tab."""

    def __init__(self, page: chromium.Page) -> None:
        self.command = page.command
        self._page = page

    def run(self, body: str) -> Any:
        return self._page.run(NAMES + body)


Show = Callable[[Drawing], Shown]


@pytest.fixture(scope="module")
def watched(page: chromium.Page) -> Iterator[chromium.Page]:
    """The tab, with all that goes wrong in it written down."""
    page.command("Page.enable")
    added = page.command("Page.addScriptToEvaluateOnNewDocument", source=WRONG)
    yield page
    page.command("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])


@pytest.fixture
def show(watched: chromium.Page, tmp_path: Path) -> Iterator[Show]:
    """Open a drawing; in the end nothing must have gone wrong."""

    def opened(drawing: Drawing) -> Shown:
        file = tmp_path / "picture.html"
        file.write_text(str(render(drawing, "html")))
        watched.open(file.as_uri())
        return Shown(watched)

    yield opened
    assert watched.run("return wrong") == []


def search(page: Shown, words: str) -> Any:
    page.run(f"sought.value = {words!r}; sought.dispatchEvent(new Event('input'))")
    return page.run("return count.value")


def press(page: Shown, key: str) -> None:
    page.run(KEY % key)


@pytest.mark.parametrize(
    "drawing",
    [scenes.echo(), scenes.hostile(), scenes.session(), scenes.hostile_states(), scenes.hostile_timeline()],
    ids=["echo", "hostile", "session", "hostile states", "hostile timeline"],
)
def test_it_opens_without_a_word_of_complaint_and_runs_nothing_of_others(show: Show, drawing: Drawing) -> None:
    page = show(drawing)

    assert page.run("return document.querySelectorAll('main > svg').length") == 1
    assert page.run("return document.scripts.length") == 1
    assert page.run("return document.querySelectorAll('main *:not(svg, svg *)').length") == 0


def test_what_goes_wrong_would_be_seen(watched: chromium.Page, tmp_path: Path) -> None:
    text = str(render(scenes.echo(), "html"))
    file = tmp_path / "broken.html"
    file.write_text(text.replace("</main>", "<script>alert(1)</script><img src=x.png></main>"))
    watched.open(file.as_uri())

    wrong = watched.run("return wrong")

    assert "securitypolicyviolation: script-src-elem" in wrong
    assert "securitypolicyviolation: img-src" in wrong
    assert not [each for each in wrong if each.startswith("alert")]


def test_search_highlights_and_steps_through_the_hits(show: Show) -> None:
    page = show(scenes.echo())

    assert search(page, "recv") == "1 / 6"
    assert page.run("return document.querySelectorAll('.hit > .found').length") == 6
    press(page, "n")
    assert page.run("return count.value") == "2 / 6"
    page.run("document.querySelector('#earlier').click(); document.querySelector('#earlier').click()")
    assert page.run("return count.value") == "6 / 6"
    assert page.run("return document.querySelector('.now').dataset.step") == "10"
    assert search(page, "recv HELLO client") == "1 / 2"
    assert search(page, "nobody said this") == "none"
    assert page.run("return document.querySelectorAll('.hit, .found').length") == 0


def test_a_hit_comes_into_view(show: Show) -> None:
    page = show(scenes.busy(3))
    page.run("view.style.height = '200px'")

    search(page, "Balance")

    assert page.run(
        "const {top, bottom} = document.querySelector('.now').getBoundingClientRect();"
        "const box = view.getBoundingClientRect(); return top >= box.top && bottom <= box.bottom"
    )


def test_what_is_in_view_already_stays_where_it_is(show: Show) -> None:
    page = show(scenes.echo())
    page.run("view.scrollTo(3, 2)")

    press(page, "j")
    assert page.run("return [view.scrollLeft, view.scrollTop]") == [3, 2]


def test_a_hit_among_transitions_is_marked_at_its_label_alone(show: Show) -> None:
    page = show(scenes.long_path())

    assert search(page, "end of input") != "none"
    sizes = page.run(
        "return [...document.querySelectorAll('.transition > .found')].map((each) => each.height.baseVal.value)"
    )
    assert sizes
    assert max(sizes) < 60


def test_it_is_zoomed_by_buttons_keys_and_the_wheel(show: Show) -> None:
    page = show(scenes.echo())
    width = "return picture.getBoundingClientRect().width / width"

    page.run("document.querySelector('#nearer').click()")
    assert page.run(width) == pytest.approx(1.25, abs=0.01)
    press(page, "-")
    press(page, "-")
    assert page.run(width) == pytest.approx(0.8, abs=0.01)
    assert page.run("return percent.value") == "80 %"
    page.run("view.dispatchEvent(new WheelEvent('wheel', {ctrlKey: true, deltaY: -300, clientX: 50, clientY: 80}))")
    assert page.run(width) == pytest.approx(0.8 * 2.718, abs=0.01)
    press(page, "0")
    assert page.run(width) == pytest.approx(1, abs=0.01)
    press(page, "f")
    assert page.run("return Math.abs(picture.getBoundingClientRect().width - view.clientWidth)") < 2


def test_a_click_shows_the_details_and_leads_to_the_other_end(show: Show) -> None:
    page = show(scenes.echo())
    assert page.run("return side.hidden")

    page.run(
        "document.querySelector('.step[data-step=\"7\"] .label').dispatchEvent(new Event('click', {bubbles: true}))"
    )

    assert page.run("return side.querySelector('h2').textContent") == "sendall(5 bytes)"
    assert "5 bytes: hello" in page.run("return side.textContent")
    page.run("side.querySelector('.meets').click()")
    assert page.run("return side.querySelector('h2').textContent") == "recv(1024) → 5 bytes"
    press(page, "j")
    assert page.run("return side.querySelector('h2').textContent") == "now connected"
    press(page, "Escape")
    assert page.run("return side.hidden")
    assert page.run("return document.querySelectorAll('.chosen, .found').length") == 0


def test_details_are_text_whatever_they_say(show: Show) -> None:
    page = show(scenes.hostile())

    press(page, "j")

    assert page.run("return side.querySelector('h2').textContent").startswith("<script>alert(1)</script> → ")
    assert page.run("return side.querySelectorAll('script').length") == 0


def test_lanes_can_be_filtered_away(show: Show) -> None:
    page = show(scenes.echo())

    names = page.run("return [...document.querySelectorAll('fieldset label')].map((each) => each.textContent)")
    page.run("document.querySelector('fieldset input[value=\"0\"]').click()")

    assert names[0] == "server.py (4711) · TCP 127.0.0.1:4477"
    assert page.run("return [...document.querySelectorAll('.step.dim')].every((each) => each.dataset.lane === '0')")
    assert page.run("return document.querySelectorAll('.way.dim').length") == 1
    page.run("document.querySelector('fieldset input[value=\"0\"]').click()")
    assert page.run("return document.querySelectorAll('.dim').length") == 0


def test_on_a_phone_nothing_but_the_picture_is_wider_than_the_screen(show: Show) -> None:
    show(scenes.echo()).command(
        "Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True
    )
    page = show(scenes.echo())

    try:
        assert page.run("return document.documentElement.scrollWidth") <= 360
        press(page, "j")
        assert page.run("return side.getBoundingClientRect().width") == 360
    finally:
        page.command("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("kind", ["light", "dark"])
def test_page_and_picture_follow_the_system(show: Show, kind: str) -> None:
    page = show(scenes.echo())
    page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": kind}])

    colours = page.run(
        "return [getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('.paper')).fill]"
    )

    assert colours[0] == colours[1] == ("rgb(255, 255, 255)" if kind == "light" else "rgb(15, 20, 26)")
