"""Each page, of a server that is made up: 15,000 connections, and names that are markup."""

# ruff: noqa: RUF001 - what the page says has dashes, and signs of multiplication

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.page.conftest import Look
from tests.dashboard.page.painted import HOSTILE

PAGES = {
    "": "Messages per second",
    "connections": "15,000 connections",
    "connections/100-7": "tcp://10.0.0.7:40007",
    "types": "Transfer",
    "workers": "Worker 2",
    "limits": "buffer_bytes",
    "log": "tcp://127.0.0.1:4477: line",
    "try/Mirror": "Example values",
}


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_on_a_phone_no_page_is_wider_than_it(scenery: str, look: Look) -> None:
    viewer = look(scenery, viewport={"width": 360, "height": 740}, color_scheme="dark")
    page = viewer.open()
    for path, text in PAGES.items():
        viewer.go(path or "overview")
        expect(page.locator("main").get_by_text(text).first).to_be_visible()
        assert overflow(page) == 0, path
    while page.locator(".left-out").count():
        page.locator(".left-out").first.click()
    assert overflow(page) == 0


def test_on_a_laptop_words_are_whole_and_buttons_in_sight(scenery: str, look: Look) -> None:
    viewer = look(scenery, viewport={"width": 1280, "height": 800}, locale="pt-BR")
    page = viewer.open("connections")
    close = page.locator("tbody .act button").first
    expect(close).to_be_in_viewport()
    close.click(trial=True)
    viewer.go("try/Mirror")
    switches = page.locator(".segments")
    expect(switches).to_be_visible()
    assert float(switches.evaluate("(element) => element.offsetHeight")) < 40


def test_names_that_are_markup_are_text_on_every_page(scenery: str, look: Look) -> None:
    viewer = look(scenery)
    page = viewer.open()
    for path in (*PAGES, "connections/100-3"):
        viewer.go(path or "overview")
        if not path.startswith("try"):
            expect(page.get_by_text("document.title", exact=False).first).to_be_visible()
        assert page.locator("main script, main img, header img").count() == 0
    assert "owned" not in page.title().replace(HOSTILE, "")


def test_the_server_searches_sorts_and_gives_one_page(scenery: str, look: Look) -> None:
    page = look(scenery).open("connections")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    expect(page.locator(".where")).to_have_text("1–50 of 15,000")

    page.get_by_role("button", name="Age", exact=True).click()
    age = page.locator("th").filter(has=page.get_by_role("button", name="Age", exact=True))
    expect(age).to_have_attribute("aria-sort", "descending")
    expect(rows.first).to_contain_text("10.0.59.249")
    page.get_by_role("button", name="Age", exact=True).click()
    expect(rows.first).to_contain_text("10.0.0.0:")

    page.get_by_role("button", name="Last page").click()
    expect(page.locator(".where")).to_have_text("14,951–15,000 of 15,000")
    expect(rows.last).to_contain_text("10.0.59.249")

    page.get_by_label("Search peer").fill("10.0.59.24")
    expect(rows).to_have_count(11)
    expect(page.locator(".count")).to_have_text("11 of 15,000 connections")

    page.get_by_label("Search peer").fill("nobody at all")
    page.get_by_role("button", name="Clear the search").click()
    expect(rows).to_have_count(50)


def test_what_is_held_by_its_viewer_stays_while_rows_change(scenery: str, look: Look) -> None:
    page = look(scenery).open("connections")
    page.get_by_label("Search peer").fill("10.0.1.4")
    expect(page.locator("tbody tr")).to_have_count(11)
    link = page.locator("tbody tr").nth(5).locator("a")
    link.focus()
    page.evaluate("""() => {
        const link = document.activeElement;
        getSelection().selectAllChildren(link);
        globalThis.held = link;
    }""")
    moment = page.locator(".uptime").text_content() or ""
    expect(page.locator(".uptime")).not_to_have_text(moment)
    assert page.evaluate("document.activeElement === held")
    assert page.evaluate("getSelection().anchorNode === held && !getSelection().isCollapsed")

    page.get_by_role("button", name="Age", exact=True).evaluate("(button) => button.click()")
    expect(page.locator("tbody tr").first).to_contain_text("10.0.1.49")
    assert page.evaluate("document.activeElement === held")


def test_frames_are_drawn_as_they_go(scenery: str, look: Look) -> None:
    page = look(scenery).open("connections/100-7")
    frames = page.locator(".frame")
    answer = frames.filter(has_text="Receipt").first
    expect(answer).to_contain_text("after 4 ms")
    expect(answer).to_have_class(re.compile("to-peer"))
    expect(frames.filter(has_text="× 240").first).to_contain_text("Tick")
    expect(frames.filter(has_text="sent again").first).to_have_class(re.compile("repeated"))
    expect(frames.filter(has_text="UnknownAccount").first).to_have_class(re.compile("urgent is-error"))
    expect(page.get_by_text("quiet").first).to_be_visible()
    expect(page.get_by_text("3 frames not shown").first).to_be_visible()

    page.locator(".panel.wide").get_by_role("button", name="Pause").click()
    before = frames.count()
    news = page.locator(".news")
    expect(news).to_contain_text("new frames")
    assert frames.count() == before
    news.click()
    expect(news).to_be_hidden()
    assert frames.count() > before


def test_a_connection_that_is_closed_says_so_and_one_that_never_was(scenery: str, look: Look) -> None:
    viewer = look(scenery)
    page = viewer.open("connections/100-9")
    expect(page.locator(".connection-name")).to_have_text("tcp://10.0.0.9:40009")
    page.get_by_role("button", name="Close this connection").click()
    page.locator("dialog").get_by_role("button", name="Close this connection").click()
    expect(page.get_by_text("This connection has ended.")).to_be_visible()
    expect(page.locator(".connection-name")).to_have_text("tcp://10.0.0.9:40009")

    viewer.go("connections/nobody")
    expect(page.get_by_text("There is no such connection")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("tbody tr")).to_have_count(50)


def test_types_workers_and_limits(scenery: str, look: Look) -> None:
    viewer = look(scenery)
    page = viewer.open("types")
    expect(page.locator("tbody tr").first).to_contain_text("Balance")
    page.get_by_role("button", name="p99", exact=True).click()
    expect(page.locator("tbody tr").first).to_contain_text("Report")

    viewer.go("workers")
    page.locator("tr", has_text="Worker 2").get_by_role("button", name="Drain").click()
    page.locator("dialog").get_by_role("button", name="Drain").click()
    expect(page.get_by_text("Worker 2 drains.")).to_be_visible()
    expect(page.locator("tr", has_text="Worker 2")).to_contain_text("draining")

    viewer.go("limits")
    expect(page.locator("tbody tr").first).to_contain_text("1,240")
    expect(page.locator("tr", has_text="idle")).to_contain_text("off")
    expect(page.locator("tr", has_text="buffer_bytes").first).to_contain_text("1 MiB")


def test_a_worker_may_take_long_to_start_in_the_place_of_one_that_drains(scenery: str, look: Look) -> None:
    viewer = look(scenery)
    page = viewer.page
    page.clock.install()
    viewer.open("workers")
    page.get_by_role("button", name="Drain").first.click()
    page.locator("dialog").get_by_role("button", name="Drain").click()
    expect(page.locator("dialog")).to_have_count(0)  # it is asked for
    page.clock.fast_forward(8_000)
    expect(page.get_by_text("Worker 1 drains.")).to_be_visible()


def test_the_log_is_followed_filtered_and_tells_what_was_passed_over(scenery: str, look: Look) -> None:
    page = look(scenery).open("log")
    lines = page.locator(".log-line")
    expect(lines.filter(has_text="line 4")).not_to_have_count(0)
    expect(page.get_by_text("1 line was passed over").first).to_be_attached()
    page.get_by_label("Level").select_option("error")
    expect(lines.filter(has_text="line 4")).to_have_count(0)
    expect(lines.filter(has_text=HOSTILE)).not_to_have_count(0)
    page.get_by_label("Search the log").fill("nothing like it")
    expect(page.get_by_text("No line fits")).to_be_visible()


def test_the_keyboard_is_enough(scenery: str, look: Look) -> None:
    page = look(scenery).open()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.keyboard.press("2")
    expect(page.locator("tbody tr")).to_have_count(50)
    page.keyboard.press("/")
    page.keyboard.type("10.0.1.4")
    expect(page.locator("tbody tr")).to_have_count(11)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".connection-name")).to_have_text("tcp://10.0.1.41:40291")
    page.keyboard.press("Tab")  # goes on in the page, not at the list of pages
    expect(page.get_by_role("link", name="Back to the connections")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("next row")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("p")
    expect(page.locator(".live-state")).to_have_text("Paused")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_as_the_system_has_it_until_chosen(scenery: str, look: Look, scheme: str) -> None:
    page = look(scenery, color_scheme=scheme).open()
    ground = "getComputedStyle(document.body).backgroundColor"
    at_first = page.evaluate(ground)
    assert (sum(int(part) for part in re.findall(r"\d+", at_first)[:3]) > 384) == (scheme == "light")
    page.get_by_role("button", name="Light or dark").click()
    chosen = page.evaluate(ground)
    assert chosen != at_first
    page.reload()
    expect(page.locator(".live-state.live")).to_be_visible()
    assert page.evaluate(ground) == chosen


def test_portuguese_is_spoken_to_who_speaks_it_and_to_who_asks(scenery: str, look: Look) -> None:
    page = look(scenery, locale="pt-BR").open("connections")
    expect(page.get_by_role("heading", name="Conexões")).to_be_visible()
    expect(page.locator(".count")).to_contain_text("conexões")
    assert page.evaluate("document.documentElement.lang") == "pt-BR"

    page = look(scenery).open()
    page.get_by_role("button", name="Português").click()
    expect(page.get_by_role("heading", name="Visão geral")).to_be_visible()
    expect(page.get_by_role("button", name="English")).to_be_focused()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
