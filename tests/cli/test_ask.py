import json
import re
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from typer.testing import Result

from tomada import Deadlines, sync

Tomada = Callable[..., Result]

VALUES = [
    ("number=-5", "number", "-5"),
    ("ratio=2.5", "ratio", "2.5"),
    ("flag=true", "flag", "True"),
    ("text=see you = there", "text", "'see you = there'"),
    ("text=5", "text", "'5'"),
    ("blob=aGk=", "blob", "b'hi'"),
    ("day=2026-11-21", "day", "datetime.date(2026, 11, 21)"),
    ("moment=null", "moment", "None"),
    ("moment=2026-11-21T10:00:00", "moment", "datetime.datetime(2026, 11, 21, 10, 0)"),
    ("span=PT2S", "span", "datetime.timedelta(seconds=2)"),
    ("uid=00000000-0000-0000-0000-000000000007", "uid", "UUID('00000000-0000-0000-0000-000000000007')"),
    ("price=9.90", "price", "Decimal('9.90')"),
    ("colour=blue", "colour", "<Colour.BLUE: 'blue'>"),
    ("size=m", "size", "'m'"),
    ('lines=[{"article": "pen"}, ["ink", 3]]', "lines", "[Line(article='pen', count=1), Line(article='ink', count=3)]"),
    ('stock={"a": {"article": "pen", "count": 2}}', "stock", "{'a': Line(article='pen', count=2)}"),
    ('best={"article": "pen"}', "best", "Line(article='pen', count=1)"),
]


@pytest.mark.parametrize(("word", "field", "expected"), VALUES)
def test_values_are_read_by_the_types_of_the_catalogue(
    tomada: Tomada, shop: str, word: str, field: str, expected: str
) -> None:
    result = tomada("ask", shop, "Everything", word, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[field] == expected


def test_a_structure_is_printed_by_the_names_of_its_fields(tomada: Tomada, shop: str) -> None:
    words = ("ask", shop, "PlaceOrder", 'lines=[{"article": "pen", "count": 2}]')
    assert tomada(*words).stdout == "Order\n  number = 7\n  lines = [{'article': 'pen', 'count': 2}]\n"
    assert json.loads(tomada(*words, "--json").stdout) == {"number": 7, "lines": [{"article": "pen", "count": 2}]}


def test_a_plain_reply_is_printed_as_it_is(tomada: Tomada, shop: str) -> None:
    assert tomada("ask", shop, "Nothing").stdout == "None\n"
    assert json.loads(tomada("ask", shop, "Nothing", "--json").stdout) == {"reply": None}


def refused_port() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{unused.getsockname()[1]}"


MISTAKES: list[tuple[list[str], int, str]] = [
    (["PlaceOrder", "lines=[]", "colour=red"], 2, "PlaceOrder has no field colour: it has lines"),
    (["PlaceOrder", "line=[]"], 2, "PlaceOrder has no field line (did you mean lines?): it has lines"),
    (["PlaceOrder"], 2, "PlaceOrder also needs lines: add lines=LIST[LINE]"),
    (["PlaceOrder", "lines=5"], 2, "lines=5: PlaceOrder.lines is list[Line]: expected `array`, got `int`"),
    (["PlaceOrder", "lines=["], 2, "lines=[: PlaceOrder.lines is list[Line]: expected `array`, got `str`"),
    (["PlaceOrder", "lines"], 2, "'lines' is no field: write name=value, as in lines=…"),
    (["Nothing", "x"], 2, "'x' is no field: write name=value, as in name=…"),
    (["Nothing", "x=1"], 2, "Nothing has no field x: it has none"),
    (["PlaceOrdr"], 2, "the server knows no message PlaceOrdr (did you mean PlaceOrder?): it understands Everything, "),
    (["Line", "article=x"], 2, "Line is a one-way message, nobody answers it: use `tomada send`"),
    (["Colour"], 2, "the server knows no message Colour: it understands"),
    (["PlaceOrder", 'lines=[["pen", 10]]'], 1, "SoldOut: article='pen'"),
    (["Sleep", "seconds=60", "--timeout", "0.05"], 4, "no reply to Sleep from tcp://127.0.0.1:"),
]


@pytest.mark.parametrize(("words", "code", "text"), MISTAKES)
def test_mistakes_are_told_with_their_exit_code(
    tomada: Tomada, shop: str, words: list[str], code: int, text: str
) -> None:
    result = tomada("ask", shop, *words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(f"error: {text}")
    told: dict[str, Any] = json.loads(tomada("ask", shop, *words, "--json").stdout)
    assert set(told) == {"error", "message"}


def test_nobody_there(tomada: Tomada) -> None:
    address = refused_port()
    result = tomada("types", address)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        f"error: cannot connect to {address}: nothing listens there; start the server, or check host and port\n"
    )


def test_a_malformed_address(tomada: Tomada) -> None:
    result = tomada("types", "tcp://localhost:99999")
    assert result.exit_code == 2
    assert "^^^^^" in result.stderr


def test_send_waits_until_the_server_has_taken_the_message(tomada: Tomada, shop: str) -> None:
    assert tomada("send", shop, "Note", "text=hi").output == ""
    assert json.loads(tomada("send", shop, "Note", "text=hi", "--json").stdout) == {"sent": "Note"}


def test_send_tells_that_nobody_handles_the_message(tomada: Tomada, shop: str) -> None:
    result = tomada("send", shop, "Line", "article=pen")
    assert result.exit_code == 1
    assert "nobody handles Line here" in result.stderr


def test_send_is_not_for_requests(tomada: Tomada, shop: str) -> None:
    result = tomada("send", shop, "Nothing")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: Nothing is a request, it has an answer: use `tomada ask`\n",
    )


@pytest.mark.parametrize("words", [("Deliver",), ("Talk",)])
def test_uploads_are_for_programs(tomada: Tomada, shop: str, words: tuple[str, ...]) -> None:
    asked, sent = tomada("ask", shop, *words), tomada("send", shop, *words)
    assert (asked.exit_code, sent.exit_code) == (2, 2)
    assert asked.stderr == f"error: {words[0]} takes a stream, which no command can: ask it in a program\n"
    assert sent.stderr == f"error: {words[0]} is a request, it has an answer: use `tomada ask`\n"


def test_the_items_of_a_stream_are_printed_as_they_come(tomada: Tomada, shop: str) -> None:
    assert (
        tomada("ask", shop, "Watch", "article=tea").stdout == "Line article='tea' count=1\nLine article='tea' count=2\n"
    )
    told = tomada("ask", shop, "Watch", "article=tea", "--json", "--limit", "1")
    assert (told.exit_code, told.stdout) == (0, '{"article":"tea","count":1}\n')


def test_a_message_that_is_not_handled_in_time_is_told(
    tomada: Tomada, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = partial(sync.connect, deadlines=Deadlines(drain=0.3))
    monkeypatch.setattr("tomada.cli.ask.sync.connect", patient)
    told = tomada("send", shop, "Note", "text=slow")
    assert told.exit_code == 4
    assert "Note was sent, and the server has not handled it in time; it may do so still" in told.stderr


def test_a_stream_that_goes_on_is_bounded_where_that_is_asked_for(tomada: Tomada, shop: str) -> None:
    told = tomada("ask", shop, "Watch", "article=slow", "--timeout", "0.3")
    assert told.exit_code == 4
    assert told.stdout == "Line article='slow' count=1\n"
    assert told.stderr == "error: the stream has not ended within 0.3 s: it gave 1 items\n"


def test_types_are_listed_for_people(tomada: Tomada, shop: str) -> None:
    lines = tomada("types", shop).stdout.splitlines()
    assert "PlaceOrder(lines: list[Line]) -> Order" in lines
    assert "Watch(article: str) -> stream of Line" in lines
    assert "Deliver() <- stream of bytes -> Order" in lines
    assert "Talk() <- stream of Line -> stream of str" in lines
    assert "    Says what it was given." in lines
    assert "message Line(article: str, count: int = 1)" in lines
    assert 'enum Colour(RED: Any = "red", BLUE: Any = "blue")' in lines
    assert lines[-1] == f"try: tomada ask {shop} Everything"


def test_types_are_listed_for_programs(tomada: Tomada, shop: str) -> None:
    entries = {entry["name"]: entry for entry in map(json.loads, tomada("types", shop, "--json").stdout.splitlines())}
    assert entries["PlaceOrder"] == {
        "name": "PlaceOrder",
        "kind": "request",
        "handled": True,
        "fields": [{"name": "lines", "type": "list[Line]", "default": None}],
        "reply": "Order",
        "items": None,
        "parts": None,
        "doc": "",
    }
    assert [entries["Talk"][key] for key in ("reply", "items", "parts")] == [None, "str", "Line"]
    assert not entries["Line"]["handled"]


def test_version_and_help(tomada: Tomada) -> None:
    assert re.fullmatch(r"tomada \d+\.\d+\.\d+\n", tomada("--version").stdout)
    for words in ([], ["ask"], ["send"], ["types"], ["serve"], ["address"], ["demo"]):
        help_text = tomada(*words, "--help").stdout
        assert "Examples:" in help_text or "Example:" in help_text or "Exit codes:" in help_text
        assert "\x1b" not in help_text


def test_a_key_of_its_own(tomada: Tomada, shop: str) -> None:
    keys = [tomada("ask", shop, "Which", *words, "--json") for words in (("--key", "rent-may"), (), ())]
    first, *others = [json.loads(result.stdout)["reply"] for result in keys]
    assert first == "rent-may"
    assert len(set(others)) == 2
