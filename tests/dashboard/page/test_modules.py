"""The page's modules for themselves, in the browser."""

# ruff: noqa: RUF001 - what the page says has dashes

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.dashboard.page.conftest import Look


@pytest.fixture
def page(scenery: str, look: Look) -> Page:
    page = look(scenery).page
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page.goto(f"{scenery}icon.svg")  # of the same origin, and nothing goes on there
    return page


def run(page: Page, module: str, body: str) -> Any:
    return page.evaluate(f"async () => {{ const m = await import('/{module}'); {body} }}")


def test_as_few_children_as_possible_are_moved(page: Page) -> None:
    told = run(
        page,
        "app/dom.js",
        """
        const parent = document.createElementNS("http://www.w3.org/1999/xhtml", "div");
        document.documentElement.append(parent);
        const made = [..."abcdef"].map((id) => m.h("i", { id }));
        parent.append(...made);
        const moved = [];
        const note = ({ addedNodes }) => moved.push(...[...addedNodes].map(({ id }) => id));
        new MutationObserver((records) => records.forEach(note)).observe(parent, { childList: true });
        const [a, b, c, d, e, f] = made;
        const wanted = [f, a, b, m.h("i", { id: "new" }), d, c, e];
        m.arrange(parent, wanted);
        await new Promise((resolve) => setTimeout(resolve, 0));
        return [[...parent.children].map(({ id }) => id).join(" "), moved.sort()];
        """,
    )
    assert told[0] == "f a b new d c e"
    assert len(told[1]) == 3
    assert {"f", "new"} < set(told[1])


def test_charts_forget_what_is_older_than_they_reach(page: Page) -> None:
    told = run(
        page,
        "app/history.js",
        """
        const series = new m.Series();
        for (let second = 0; second < 1000; second++) series.add(second, second);
        const count = series.points.length;
        series.add(500, 1);
        const older = series.points.length;
        series.add(3, 1);
        return [count, series.points[0].time, older, m.SPAN];
        """,
    )
    assert told == [181, 3, 1, 180]


def test_a_line_of_the_log_is_shown_once_and_gaps_are_told(page: Page) -> None:
    told = run(
        page,
        "app/history.js",
        """
        const lines = new m.Lines();
        const line = (number, time = number) => ({ number, time, level: "INFO", text: `line ${time}`, worker: 1 });
        lines.add([line(1), line(2), line(5)], true);
        lines.add([line(6)], false);
        lines.add([line(1, 5), line(2, 6), line(3, 4)], true);
        return lines.kept.map(({ text, missing }) => [text, missing]);
        """,
    )
    assert told == [["line 1", 0], ["line 2", 0], ["line 4", 0], ["line 5", 2], ["line 6", 0]]


def test_the_command_is_quoted_for_a_shell(page: Page) -> None:
    told = run(
        page,
        "trying/command.js",
        """
        const fields = ["a", "b", "c", "d"].map((name) => ({ name }));
        const entry = { kind: "request", name: "Ask", items: null, fields };
        const draft = { a: "it's", b: [1, { x: "y" }], c: "plain" };
        return m.commandOf(["wss://h/", "tcp://127.0.0.1:4477"], entry, draft, { key: "k 1", timeout: "2" });
        """,
    )
    assert told == """tomada ask :4477 Ask 'a=it'\\''s' 'b=[1,{"x":"y"}]' c=plain --key 'k 1' --timeout 2"""


def test_the_command_has_no_option_that_there_is_not(page: Page) -> None:
    told = run(
        page,
        "trying/command.js",
        """
        const entry = (kind, items) => ({ kind, items, name: "Name", fields: [] });
        const all = [entry("request", null), entry("message", null), entry("request", {})];
        return all.map((one) => m.commandOf([":4477"], one, {}, { key: "k", timeout: "2" }));
        """,
    )
    assert told == ["tomada ask :4477 Name --key k --timeout 2", "tomada send :4477 Name", "tomada ask :4477 Name"]


def test_what_is_copied_is_whole(page: Page) -> None:
    told = run(
        page, "trying/values.js", "return JSON.parse(m.jsonText({ data: new Uint8Array(100_000) })).data.length;"
    )
    assert told == 4 * -(-100_000 // 3)


def test_frames_that_are_not_shown_are_told(page: Page) -> None:
    told = run(
        page,
        "trying/call.js",
        """
        const list = new m.FrameList("frames");
        const seen = { at: 0, kind: "item", name: "", lane: "normal", id: 0, size: 1 };
        list.add(Array(1_001).fill(seen));
        return [list.element.querySelectorAll("details").length, list.element.querySelector("h3 span").textContent];
        """,
    )
    assert told == [300, "1,001 · only the first 300 are shown"]


def test_no_end_is_drawn_at_work_on_what_was_answered_unseen(page: Page) -> None:
    told = run(
        page,
        "parts/sequence.js",
        """
        const row = (kind, id, count = 1) => ({
          at: 0, is_received: kind === "ask", kind, name: "", id, lane: "normal", sequence: 0, size: 1, count,
        });
        const works = (...steps) => {
          const drawn = new m.Sequence(() => {});
          for (const [frames, passedOver] of steps) drawn.add(frames, passedOver);
          return drawn.element.querySelector("li:last-child").getAttribute("class").includes("server-works");
        };
        const asked = [[row("ask", 1), row("ask", 3)], 0];
        return [
          works(asked),
          works(asked, [[row("send", 0)], 0]),
          works(asked, [[row("reply", 3, 2), row("send", 0)], 0]),
          works(asked, [[row("send", 0)], 7]),
        ];
        """,
    )
    assert told == [True, True, False, False]


SHOWN = {
    "bytes(0)": "0 B",
    "bytes(999)": "999 B",
    "bytes(1500)": "1.5 KiB",
    "bytes(1048576)": "1 MiB",
    "took(0.0000042)": "4 µs",
    "took(0.0123)": "12.3 ms",
    "took(300)": "5 min",
    "took(null)": "–",
    "age(59.9)": "59 s",
    "age(3700)": "1 h 1 min",
    "briefAge(200000)": "2 d",
    "rate(0.04)": "0.0",
    "rate(123456)": "123.5K",
    "percent(0.0004)": "0.04%",
    "offset(61.5)": "1:01.500",
    "ceiling(420)": "500",
}


def test_numbers_are_short_and_have_units(page: Page) -> None:
    calls = ", ".join(f"String(m.{call})" for call in SHOWN)
    assert run(page, "app/format.js", f"return [{calls}];") == list(SHOWN.values())
