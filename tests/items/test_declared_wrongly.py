"""What is written wrongly about streams, and is told where it is written."""

from __future__ import annotations

from typing import Any

import pytest

import tomada
from tests.integration.conftest import Run
from tests.items.stall import Store, served
from tomada.catalogue import catalogue_of


class Left(tomada.Message):
    number: int


class Right(tomada.Message):
    text: str


class Both(tomada.StreamRequest[Left | Right]):
    pass


class Either(tomada.Request[Left | Right]):
    pass


@pytest.mark.parametrize(("kind", "what"), [(Both, "items of Both"), (Either, "reply of Either")])
def test_messages_that_cannot_be_told_apart_are_named(kind: type, what: str) -> None:
    with pytest.raises(tomada.DeclarationError, match=rf"the {what} cannot travel: .* must be tagged"):
        catalogue_of(kind)


@pytest.mark.parametrize("part", [b"abc", "abc", bytearray(b"abc"), memoryview(b"abc")])
def test_one_part_is_no_upload(run: Run, part: Any) -> None:
    async def main() -> None:
        async with served() as (client, _, _):
            with pytest.raises(TypeError, match=r"write `upload=\[part\]`"):
                await client.ask(Store(1), upload=part)
            assert await client.ask(Store(1), upload=[b"abc"]) == 3

    run(main())
