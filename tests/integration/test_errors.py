from __future__ import annotations

import logging

import pytest

import tomada
from tests.integration.conftest import Run
from tests.integration.house import (
    Broke,
    Echo,
    Fail,
    Note,
    serving,
)


def records(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "tomada" and record.levelno >= level]


@pytest.mark.parametrize("when", ["", "later "])
def test_errors_arrive_as_what_they_are(run: Run, caplog: pytest.LogCaptureFixture, when: str) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            with pytest.raises(Broke) as typed:
                await client.ask(Fail(f"{when}typed"))
            assert typed.value.cents == 12
            with pytest.raises(tomada.RemoteError) as named:
                await client.ask(Fail(f"{when}remote"))
            assert (named.value.name, named.value.message) == ("Sour", "lemon")
            assert records(caplog) == []

    run(main())


@pytest.mark.parametrize("when", ["", "later "])
def test_a_handler_that_raises_is_told_without_its_traceback_and_logged_once_with_it(
    run: Run, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            with pytest.raises(tomada.RemoteError) as raised:
                await client.ask(Fail(f"{when}sour"))
            assert (raised.value.name, raised.value.message) == ("ValueError", "it was sour")
            (record,) = records(caplog)
            assert "failing() (" in record.getMessage()
            assert str(record.exc_info and record.exc_info[1]) == "it was sour"
            assert await client.ask(Echo(b"on")) == b"on"

    run(main())


@pytest.mark.parametrize("when", ["", "later "])
def test_a_wrong_reply_is_told_as_an_internal_error_and_logged_with_handler_and_type(
    run: Run, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            with pytest.raises(tomada.InternalError, match="does not fit its type"):
                await client.ask(Fail(f"{when}wrong"))
            (record,) = records(caplog)
            assert "failing() (" in record.getMessage()
            assert "expected `int`, got `str`" in record.getMessage()
            assert await client.ask(Echo(b"on")) == b"on"

    run(main())


@pytest.mark.parametrize("when", ["", "later "])
def test_an_error_that_cannot_even_be_printed_is_answered(
    run: Run, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            with pytest.raises(tomada.RemoteError):
                await client.ask(Fail(f"{when}unspeakable"))
            assert "Unspeakable" in caplog.text
            assert await client.ask(Echo(b"on")) == b"on"

    run(main())


@pytest.mark.parametrize("how", ["sour", "typed"])
def test_a_one_way_handler_that_raises_is_always_logged(run: Run, caplog: pytest.LogCaptureFixture, how: str) -> None:
    async def main() -> None:
        async with serving() as (server, stage), tomada.connect(server.addresses[0]) as client:
            await client.send(Note(f"fail {how}"))
            await stage.until(f"note fail {how}")
            await client.ping()
            (record,) = records(caplog)
            assert record.exc_info

    run(main())
