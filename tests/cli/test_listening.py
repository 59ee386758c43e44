import shlex
from enum import Enum
from types import new_class
from typing import Annotated, Literal
from uuid import UUID

import msgspec
import pytest

from tests.cli.conftest import SHOP
from tomada import Address, Message, Request, StreamRequest, UploadRequest
from tomada.cli.examples import BLANK, MOST, Example, examples
from tomada.cli.listening import About, elsewhere, reachable, tell_listening


@pytest.mark.parametrize(
    ("listens", "try_this"),
    [
        ("tls://0.0.0.0:4477", "tls://127.0.0.1:4477"),
        ("ws://[::]:4477/bank", "ws://[::1]:4477/bank"),
        ("unix:///tmp/bank.sock", "unix:///tmp/bank.sock"),
    ],
)
def test_what_to_try_can_be_reached(listens: str, try_this: str) -> None:
    assert reachable(Address.parse(listens)) == try_this


@pytest.mark.parametrize(
    ("listens", "others"),
    [
        ("tcp://127.0.0.1:4477", []),
        ("tcp://192.0.2.7:4477", ["tcp://192.0.2.7:4477"]),
        ("ws://0.0.0.0:4477/bank", ["ws://192.0.2.7:4477/bank"]),
        ("tcp://[::]:4477", ["tcp://[2001:db8::7]:4477"]),
        ("unix:///tmp/bank.sock", []),
    ],
)
def test_others_reach_it_by_the_machines_own_addresses(listens: str, others: list[str]) -> None:
    assert elsewhere(Address.parse(listens), ["192.0.2.7", "2001:db8::7", "fe80::1%eth0"]) == others


def test_the_machine_knows_its_own_addresses() -> None:
    assert all("127.0.0.1" not in other for other in elsewhere(Address.parse("tcp://0.0.0.0:4477")))


class Colour(Enum):
    RED = "red"


class Part(Message):
    name: str
    count: int = 1


class All(Request[None]):
    text: str
    long: Annotated[str, msgspec.Meta(min_length=6)]
    number: Annotated[int, msgspec.Meta(ge=18, multiple_of=5)]
    below: Annotated[float, msgspec.Meta(le=0.5)]
    colour: Colour
    size: Literal["s", "m"]
    parts: list[Part]
    best: Part | None
    pair: tuple[int, str]
    stock: dict[str, int]
    blob: bytes
    uid: UUID
    code: Annotated[str, msgspec.Meta(pattern="^[0-9]{9}$")]
    optional: int = 0


def test_each_field_that_must_be_given_has_a_value_that_fits() -> None:
    (example,) = examples([All])
    assert (example.verb, example.name) == ("ask", "All")
    values = {name: shlex.split(value)[0] for name, value in example.fields}
    assert "optional" not in values
    assert values == {
        "text": "text",
        "long": "texttt",
        "number": "20",
        "below": BLANK,
        "colour": "red",
        "size": "m",
        "parts": '[{"name":"text"}]',
        "best": values["best"],
        "pair": '[1,"text"]',
        "stock": "{}",
        "blob": "aGVsbG8=",
        "uid": values["uid"],
        "code": BLANK,
    }


def test_without_values_the_fields_are_blank() -> None:
    (example,) = examples([Part])
    assert example.command(":1", values=False) == "tomada send :1 Part name=…"
    assert example.command(":1", values=True) == "tomada send :1 Part name=text"


def test_what_no_command_can_say_is_no_example() -> None:
    streams = [new_class("Watch", (StreamRequest[int],)), new_class("Store", (UploadRequest[bytes, int],))]

    assert [example.name for example in examples([*streams, Part])] == ["Part"]


def test_requests_come_first_and_not_all_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [Part, *[new_class(f"Ask{number}", (Request[None],)) for number in range(6)]]
    shown = examples(kinds)
    assert [(example.verb, example.name) for example in shown] == [("ask", f"Ask{number}") for number in range(MOST)]
    tell_listening("shop", ["tcp://0.0.0.0:4477"], About(shown, len(kinds)), develops=True)
    out = capsys.readouterr().out
    assert "from here       tcp://127.0.0.1:4477" in out
    assert "and 2 more: tomada types tcp://127.0.0.1:4477" in out


def test_the_lines_work_as_they_are(tomada: object, shop: str) -> None:
    from tests.cli.shop import app  # noqa: PLC0415 - the fixture has the name of the module

    for example in examples(app.handlers):
        if example.name in ("Sleep", "Fail", "Refuse"):
            continue
        words = shlex.split(example.command(shop, values=True))[1:]
        result = tomada(*words)  # type: ignore[operator] # the command
        assert result.exit_code in (0, 1), (words, result.output, result.stderr)
    assert SHOP.is_file()


def test_an_application_of_streams_alone_has_nothing_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    tell_listening("echo", ["tcp://127.0.0.1:1"], About((), 0), develops=True)
    assert "try" not in capsys.readouterr().out
    assert Example("ask", "A", ()).command(":1", values=True) == "tomada ask :1 A"
