"""Takes the pictures in the documentation: ``python -m tests.dashboard.page.pictures docs/pictures``."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

import tomada
from tests.dashboard.page.conftest import Server, Viewer
from tests.web import chromium

PEOPLE = ("ana", "rui", "eva", "leo")
CLIENTS = 9
WARMING = 40_000
"""Milliseconds until the charts have something to show."""


async def work(address: str, number: int) -> None:
    """One client: mostly transfers, now and then something that fails."""
    chance = random.Random(number)
    async with await tomada.connect(address) as bank:
        types = ("OpenAccount", "Transfer", "Balance", "Statement")
        opening, transfer, balance, statement = (bank.peer_type(name) for name in types)
        for name in PEOPLE:
            with contextlib.suppress(tomada.RemoteError):
                await bank.ask(opening(name=name, cents=1_000_000))
        while True:
            source, target = chance.sample(PEOPLE, 2)
            account = "nobody" if chance.random() < 0.05 else source
            requests = (
                transfer(source=source, target=target, cents=chance.randint(1, 500)),
                balance(account=account),
                statement(account=source, lines=5),
            )
            with contextlib.suppress(tomada.RemoteError):
                await bank.ask(chance.choices(requests, (5, 4, 1))[0])
            await asyncio.sleep(chance.expovariate(20 / (1 + number)))


async def crowd(address: str) -> None:
    """Several."""
    await asyncio.gather(*(work(address, number) for number in range(CLIENTS)))


def take(browser: Browser, server: Server, folder: Path) -> None:
    """All of them."""
    wide = {"width": 1280, "height": 800}
    viewer = Viewer(browser.new_page(viewport=wide, locale="en-US"), server.url)  # type: ignore[arg-type]
    page = viewer.open()
    page.wait_for_timeout(WARMING)
    snap(page, folder / "dashboard-overview.png")
    viewer.go("connections")
    page.locator("tbody tr").nth(CLIENTS - 1).wait_for()
    page.locator("tbody a").nth(4).click()
    page.locator(".frame").nth(30).wait_for()
    snap(page, folder / "dashboard-connection.png")
    viewer.go("try/Transfer")
    page.locator(".try-form .primary").click()
    page.locator(".call-status.okay").wait_for()
    page.locator(".wire-frame > summary").nth(1).click()
    snap(page, folder / "try-it.png")
    narrow = {"width": 360, "height": 740}
    phone = Viewer(browser.new_page(viewport=narrow, color_scheme="dark", locale="pt-BR"), server.url)  # type: ignore[arg-type]
    page = phone.open("connections")
    page.locator("tbody tr").first.wait_for()
    page.wait_for_timeout(2_000)
    snap(page, folder / "dashboard-phone.png")


def snap(page: Page, file: Path) -> None:
    """One."""
    page.mouse.move(1, 1)
    page.screenshot(path=file)


def main(folder: Path) -> None:
    """A bank, its clients, a browser."""
    with tempfile.TemporaryDirectory(prefix="tomada-") as name, sync_playwright() as playwright:
        server = Server(Path(name), "--workers", "2")
        server.start()
        threading.Thread(target=lambda: asyncio.run(crowd(server.address)), daemon=True).start()
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        take(browser, server, folder)
        browser.close()
        server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
