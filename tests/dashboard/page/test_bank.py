"""The page of a real server, the bank."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

import tomada
import tomada.sync
from tests.dashboard.page.conftest import Look, Server


def test_connections_appear_and_vanish(bank: Server, look: Look) -> None:
    page = look(bank.url).open("connections")
    expect(page.get_by_text("No connection yet")).to_be_visible()
    expect(page.locator(".command code")).to_have_text(f"tomada types :{bank.address.rpartition(':')[2]}")

    with tomada.sync.connect(bank.address, sessions=False):
        row = page.locator("tbody tr")
        expect(row).to_have_count(1)
        expect(row).to_contain_text("tcp://127.0.0.1:")
        expect(row).to_contain_text("tomada (Python)")
        expect(row).to_contain_text("open")

    expect(page.get_by_text("No connection yet")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(0)


def test_a_connection_is_closed_after_a_question(bank: Server, look: Look) -> None:
    page = look(bank.url).open("connections")
    with tomada.sync.connect(bank.address, sessions=False) as client:
        page.get_by_role("button", name="Close this connection").click()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("tbody tr")).to_have_count(1)

        page.get_by_role("button", name="Close this connection").click()
        page.locator("dialog").get_by_role("button", name="Close this connection").click()

        expect(page.get_by_role("status").get_by_text("is closed")).to_be_visible()
        expect(page.locator("tbody tr")).to_have_count(0)
        with pytest.raises(tomada.ConnectionLost):
            client.ping()


def test_without_the_token_nothing_can_be_done(bank: Server, look: Look) -> None:
    page = look(bank.url).open("connections", token="")
    with tomada.sync.connect(bank.address, sessions=False):
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator(".read-only")).to_be_visible()
        expect(page.get_by_role("button", name="Close this connection")).to_have_count(0)


def test_a_wrong_token_is_asked_for_again(bank: Server, look: Look) -> None:
    viewer = look(bank.url)
    page = viewer.page
    page.goto(f"{bank.url}#token=notTheRightTokenAtAll")
    expect(page.get_by_text("The token is not right.")).to_be_visible()
    assert "token" not in page.url

    page.get_by_label("Token").fill("abcdefghijklmnop")
    page.get_by_role("button", name="Open").click()

    expect(page.locator(".live-state")).to_have_text("Live")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert [line for line in viewer.said if "403" not in line] == []
    viewer.said.clear()  # the browser tells each answer with 403


def test_a_token_that_the_tab_remembers_from_before_is_forgotten(bank: Server, look: Look) -> None:
    viewer = look(bank.url)
    page = viewer.open()
    page.evaluate("sessionStorage.setItem('tomada.token', 'thatOfAServerThatIsGone')")
    page.reload()
    expect(page.locator(".live-state.live")).to_be_visible()
    expect(page.locator(".read-only")).to_be_visible()
    assert [line for line in viewer.said if "403" not in line] == []
    viewer.said.clear()  # the browser tells each answer with 403


def test_it_goes_on_after_the_server_was_started_anew(own_bank: Server, look: Look) -> None:
    viewer = look(own_bank.url)
    page = viewer.open("connections")
    own_bank.stop()
    expect(page.locator(".live-state")).to_have_text("Connection lost")
    expect(page.get_by_role("button", name="Try now")).to_be_visible()
    expect(page.locator(".banner").first).to_contain_text("Trying again")

    own_bank.start()
    with tomada.sync.connect(own_bank.address, sessions=False):
        expect(page.locator(".live-state")).to_have_text("Live")
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.get_by_role("button", name="Try now")).to_be_hidden()
    assert [line for line in viewer.said if "ERR_CONNECTION" not in line and "WebSocket" not in line] == []
    viewer.said.clear()  # the browser tells each attempt that fails


def test_the_form_makes_a_transfer_and_the_balance_changes(bank: Server, look: Look) -> None:
    page = look(bank.url).open("try/OpenAccount")
    for name, cents in (("ana", "1000"), ("rui", "50")):
        page.get_by_label("name").fill(name)
        page.get_by_label("cents").fill(cents)
        page.get_by_role("button", name="Ask").click()
        expect(page.locator(".result .outcome")).to_contain_text(f"balance{cents}")

    page.get_by_role("link", name="Transfer").click()
    expect(page.get_by_label("source")).to_have_value("ana")  # the examples fit each other
    expect(page.get_by_label("target")).to_have_value("rui")
    expect(page.locator(".same code")).to_have_text(
        f"tomada ask :{bank.address.rpartition(':')[2]} Transfer source=ana target=rui cents=500"
    )
    page.get_by_label("cents").fill("300")
    page.get_by_label("cents").press("Control+Enter")
    expect(page.locator(".result .call-status")).to_have_text("answered")
    expect(page.locator(".result .outcome")).to_contain_text("balance700")
    expect(page.locator(".result .call-time")).to_contain_text("s")

    page.get_by_role("link", name="Balance").click()
    page.get_by_label("account").fill("rui")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".result .outcome")).to_have_text("350")


def test_the_frames_of_a_call_are_shown_and_decoded(bank: Server, look: Look) -> None:
    page = look(bank.url).open("try/Balance")
    page.get_by_label("account").fill("nobody")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".result .failure")).to_contain_text("UnknownAccount")
    frames = page.locator(".result .wire-frame")
    ask = frames.filter(has_text="ask").first
    expect(ask).to_contain_text("Balance")
    ask.locator("summary").click()
    expect(ask.locator(".json-value")).to_contain_text('account"nobody"')
    expect(ask.locator(".hex pre")).to_contain_text("0000  00 00 00")
    error = frames.filter(has_text="error").first
    error.locator("summary").click()
    expect(error.locator(".json-value")).to_contain_text('account"nobody"')


def test_what_is_not_right_is_told_beside_the_field_and_not_sent(bank: Server, look: Look) -> None:
    page = look(bank.url).open("try/Transfer")
    page.get_by_label("cents").fill("five")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".field.wrong")).to_contain_text("a whole number")
    expect(page.locator(".result .call")).to_have_count(0)

    page.get_by_role("button", name="JSON").click()
    page.get_by_label("JSON").fill('{"source": "ana", "cents": 5, "tip": 1}')
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".try-form > .error-text")).to_contain_text("tip: not a field of Transfer (2 fields")


def test_the_form_follows_a_server_that_was_started_anew(own_bank: Server, look: Look) -> None:
    viewer = look(own_bank.url)
    page = viewer.open("try/Balance")
    page.get_by_label("account").fill("eva")
    own_bank.stop()
    expect(page.locator(".try-main .banner")).to_be_visible()
    own_bank.start()
    expect(page.locator(".try-main .banner")).to_be_hidden()
    expect(page.get_by_label("account")).to_have_value("eva")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".result .failure")).to_contain_text("UnknownAccount")
    viewer.said.clear()


def test_a_connections_own_page_shows_its_frames_live(bank: Server, look: Look) -> None:
    viewer = look(bank.url)
    page = viewer.open("connections")
    with tomada.sync.connect(bank.address, sessions=False) as client:
        page.locator("tbody a").first.click()
        expect(page.locator(".connection-name")).to_contain_text("tcp://127.0.0.1:")
        expect(page.locator(".live-state")).to_have_text("Live")
        until = page.locator(".frame", has_text="Balance")
        ask = client.peer_type("Balance")
        for _ in range(100):
            with pytest.raises(tomada.RemoteError):
                client.ask(ask(account="nobody"))
            if until.count():
                break
            page.wait_for_timeout(100)
        expect(until.first).to_have_class(re.compile("to-server"))
        expect(page.locator(".frame", has_text="UnknownAccount").first).to_contain_text("after")
