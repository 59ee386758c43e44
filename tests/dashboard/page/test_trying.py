""" "Try it", with an application that has every type there is."""

from __future__ import annotations

import json

from playwright.sync_api import Page, expect

from tests.dashboard.page.conftest import Look

GIVEN = {
    "big": "9223372036854775808",
    "ratio": 2.5,
    "data": "aGVsbG8=",
    "at": "2026-03-04T05:06:07.089Z",
    "day": "2026-05-06",
    "price": "12.50",
    "key": "00000000-0000-0000-0000-00000000002a",
    "colour": "blue",
    "points": [{"x": 1, "y": 2}],
    "shape": {"side": 2.5, "type": "Square"},
    "counts": {"7": "seven"},
    "names": {"a": [1, "b"]},
    "word": "it's",
    "flags": [3],
}


def ask(page: Page, name: str = "Ask") -> None:
    page.get_by_role("button", name=name).click()


def open_(look: Look, url: str, name: str) -> Page:
    page = look(url).open(f"try/{name}")
    expect(page.locator(".try-form")).to_be_visible()
    return page


def test_every_field_has_an_input_whose_example_is_taken(scenery: str, look: Look) -> None:
    page = open_(look, scenery, "Mirror")
    left_out = page.locator(".left-out")
    expect(left_out).to_have_count(len(GIVEN))
    while left_out.count():
        left_out.first.click()
    ask(page)
    expect(page.locator(".result .call-status")).to_have_text("answered")
    outcome = page.locator(".result .outcome")
    for text in ('colour"red"', 'word"so"', "big1", "ratio0.5", '"hello"', "radius", 'price"1.50"'):
        expect(outcome).to_contain_text(text)


def test_inputs_give_values_of_their_types(scenery: str, look: Look) -> None:
    page = open_(look, scenery, "Mirror")
    for _ in range(len(GIVEN)):
        page.locator(".left-out").first.click()
    page.get_by_label("everything.big", exact=True).fill("18446744073709551615")
    page.get_by_label("everything.colour", exact=True).select_option(label='BLUE · "blue"')
    page.get_by_label("everything.at", exact=True).fill("2026-03-04T05:06:07.089")
    page.get_by_role("group", name="everything.points").get_by_role("button", name="Add").click()
    page.get_by_label("everything.points[1].x", exact=True).fill("77")
    page.get_by_label("Kind of everything.shape").select_option("Square")
    page.get_by_label("everything.data: written as").select_option("hex")
    page.get_by_label("everything.data", exact=True).fill("de ad be ef 00")
    ask(page)
    outcome = page.locator(".result .outcome")
    values = ("big18446744073709551615", 'colour"blue"', "2026-03-04T05:06:07.089Z", "de ad be ef 00", "x77", "side1.5")
    for text in values:
        expect(outcome).to_contain_text(text)


def test_json_says_the_same_as_the_form(scenery: str, look: Look) -> None:
    page = open_(look, scenery, "Mirror")
    page.get_by_role("button", name="JSON", exact=True).click()
    page.get_by_label("JSON").fill(json.dumps({"everything": GIVEN}))
    ask(page)
    outcome = page.locator(".result .outcome")
    for text in ("big9223372036854775808", "side2.5", '7"seven"', 'key"00000000-0000-0000-0000-00000000002a"'):
        expect(outcome).to_contain_text(text)
    page.get_by_role("button", name="Form", exact=True).click()
    expect(page.locator("input[type=date]")).to_have_value("2026-05-06")
    expect(page.locator(".same code")).to_contain_text('tomada ask :4477 Mirror \'everything={"big"')

    page.get_by_role("button", name="JSON", exact=True).click()
    page.get_by_label("JSON").fill('{"everything": {"word": "no", "points": [{"y": 1}]}}')
    ask(page)
    expect(page.locator(".try-form > .error-text")).to_contain_text("(2 fields are not right)")
    page.get_by_label("JSON").fill("{")
    expect(page.locator(".try-form > .error-text")).to_contain_text("JSON:")


def test_what_cannot_be_read_is_told_and_not_sent(scenery: str, look: Look) -> None:
    page = open_(look, scenery, "Mirror")
    for _ in range(len(GIVEN)):
        page.locator(".left-out").first.click()
    encoding = page.get_by_label("everything.data: written as")
    encoding.select_option("hex")
    data = page.get_by_label("everything.data", exact=True)
    data.fill("abc")  # as base64 it would be two bytes
    ask(page)
    problem = page.locator(".try-form > .error-text")
    expect(problem).to_have_text("everything.data: bytes in hexadecimal digits")
    encoding.select_option("text")  # what is shown is what counts
    expect(problem).to_be_hidden()
    expect(data).to_have_value("hello")

    page.get_by_role("button", name="JSON", exact=True).click()
    for text, wrong in (
        ("{", "JSON: "),
        ("null", "an object"),
        ('{"everything": {"big": 9007199254740993}}', "too large to be exact here"),
    ):
        page.get_by_label("JSON").fill(text)
        ask(page)
        expect(problem).to_contain_text(wrong)
    expect(page.locator(".result .call")).to_have_count(0)
    page.get_by_label("JSON").fill("{}")
    page.get_by_label("JSON").fill("7")
    page.get_by_role("button", name="Form", exact=True).click()
    expect(page.locator(".left-out")).to_contain_text("is missing")
    page.locator(".left-out").click()
    expect(page.locator(".field .field")).to_have_count(len(GIVEN))


def choose(page: Page, name: str, size: int) -> None:
    """A file that is made where it is chosen: to bring it there takes long."""
    page.locator("input[type=file]").evaluate(
        """(input, [name, size]) => {
            const chosen = new DataTransfer();
            chosen.items.add(new File([new Uint8Array(size)], name));
            input.files = chosen.files;
            input.dispatchEvent(new Event("change"));
        }""",
        [name, size],
    )


def test_files_may_be_large_but_not_too_large(scenery: str, look: Look) -> None:
    page = open_(look, scenery, "Mirror")
    page.locator(".left-out", has_text='""').click()
    choose(page, "disk.img", 12_000_001)
    expect(page.locator(".notice")).to_contain_text("disk.img has 11.4 MiB")
    choose(page, "picture.png", 2_097_152)
    expect(page.get_by_label("everything.data", exact=True)).to_have_attribute("placeholder", "2 MiB")
    expect(page.get_by_text("longer than a command may be")).to_be_visible()
    ask(page)
    expect(page.locator(".result .outcome")).to_contain_text("… 2 MiB")


def test_items_come_one_by_one_and_can_be_stopped(scenery: str, look: Look) -> None:
    page = open_(look, scenery, "Ticks")
    page.locator(".left-out", has_text="0").last.click()
    page.get_by_label("pause", exact=True).fill("0.05")
    ask(page, "Stream")
    expect(page.locator(".stream-items > li").nth(3)).to_contain_text("number3")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".result .call-status")).to_have_text("stopped")
    expect(page.locator(".wire-frame", has_text="cancel")).to_be_visible()


def test_a_stream_that_fails_shows_its_items_and_its_error(scenery: str, look: Look) -> None:
    page = open_(look, scenery, "Names")
    ask(page, "Stream")
    expect(page.locator(".result .failure")).to_contain_text("InsufficientFunds")
    expect(page.locator(".stream-items > li")).to_have_count(2)


def test_parts_are_sent_with_a_request_that_takes_them(scenery: str, look: Look) -> None:
    page = open_(look, scenery, "Double")
    page.get_by_label("Parts").fill("1\n2\n21")
    ask(page, "Stream")
    expect(page.locator(".stream-items > li").last).to_contain_text("42")
    expect(page.get_by_text("No command sends parts")).to_be_visible()


def test_a_message_is_sent_and_what_the_server_sends_is_shown(scenery: str, look: Look) -> None:
    viewer = look(scenery)
    page = viewer.open("try/Note")
    page.get_by_label("text").fill("see you at five")
    ask(page, "Send")
    expect(page.locator(".result .call-status")).to_have_text("sent")
    expect(page.locator(".same code")).to_have_text("tomada send :4477 Note 'text=see you at five'")

    viewer.go("try/Watch")
    page.get_by_label("count").fill("2")
    ask(page)
    expect(page.locator(".unasked .json-value")).to_have_count(2)


def test_a_call_is_given_up_after_its_time(scenery: str, look: Look) -> None:
    page = open_(look, scenery, "Hold")
    page.get_by_label("seconds", exact=True).fill("30")
    page.get_by_text("Options").click()
    page.get_by_label("Time-out").fill("0.2")
    ask(page)
    expect(page.locator(".result .failure")).to_contain_text("TimedOut")
    expect(page.locator(".same code")).to_contain_text("--timeout 0.2")
