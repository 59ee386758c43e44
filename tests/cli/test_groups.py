from collections.abc import Callable

import msgspec
import pytest
import typer
from typer.testing import CliRunner, Result

from tomada import Children, Deadlines, Limits
from tomada.cli.groups import count, grouped, seconds, size
from tomada.cli.serve_options import (
    ACCESS,
    CHILDREN,
    DEADLINES,
    LIMITS,
    Access,
    DeadlineOptions,
    LimitOptions,
    WorkerOptions,
    Workers,
)

CLIENTS_ONLY = {"connect"}


class Got(Exception):
    """What the command was given."""


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("COLUMNS", "200")

    @grouped
    def command(name: str, *, workers: WorkerOptions, deadlines: DeadlineOptions, limits: LimitOptions) -> None:
        raise Got(name, workers, deadlines, limits)

    app = typer.Typer()
    app.command()(command)
    return lambda *words: CliRunner().invoke(app, list(words))


def given(result: Result) -> tuple[str, Workers, Deadlines, Limits]:
    assert isinstance(result.exception, Got), result.output
    name, workers, deadlines, limits = result.exception.args
    return name, workers, deadlines, limits


def test_without_options_all_is_as_it_is_by_default(parsed: Callable[..., Result]) -> None:
    assert given(parsed("bank")) == ("bank", Workers(), Deadlines(), Limits())


def test_each_option_is_one_field(parsed: Callable[..., Result]) -> None:
    words = "--workers 4 --placement shared --idle-timeout off --drain 2.5 --message-bytes 64M --handshakes 10:20 bank"
    _, workers, deadlines, limits = given(parsed(*words.split()))
    assert (workers.workers, workers.placement.value) == (4, "shared")
    assert deadlines == Deadlines(idle=float("inf"), drain=2.5)
    assert limits == Limits(message_bytes=64 << 20, handshakes_early=10, handshakes=20)


def test_there_is_an_option_for_each_limit_and_deadline() -> None:
    assert set(DEADLINES.choices) == set(Deadlines.__struct_fields__) - CLIENTS_ONLY
    assert set(LIMITS.choices) | {"handshakes_early"} == set(Limits.__struct_fields__)


def test_the_help_tells_the_defaults(parsed: Callable[..., Result]) -> None:
    out = parsed("--help").output
    for text in ("Deadlines (seconds, or off)", "Limits (of each process)", "Default: 16M.", "Default: 512:1024."):
        assert text in out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--drain", "soon"), "'soon' is no time: write seconds, as 2.5, or off"),
        (("--drain", "0"), "'0' is no time"),
        (("--message-bytes", "1X"), "'1X' is no size: write bytes, as 65536, or 64K, 16M, 1G"),
        (("--message-bytes", "10"), "message_bytes is 10"),
        (("--workers", "0"), "'0' cannot be: write a whole number above 0"),
        (("--handshakes", "5"), "has no two numbers: write START:FULL"),
        (("--handshakes", "9:5"), "START must not be above FULL"),
        (("--worker-timeout", "5"), "add --workers, and how many"),
        (("--placement", "random"), "'random' is not one of 'spread', 'shared'"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(parsed: Callable[..., Result], words: tuple[str, ...], text: str) -> None:
    result = parsed(*words, "bank")
    assert result.exit_code == 2
    assert text in result.output


def test_who_may_connect() -> None:
    values = {"a_unix_mode": 0o660, "a_allow_users": ["ana", "rui"], "a_proxied_by": None, "a_unix_owner": ":bank"}
    assert ACCESS.build("a", values) == Access(unix_mode=0o660, allow_users=("ana", "rui"), unix_owner=":bank")
    with pytest.raises(typer.BadParameter, match="is no mode of a file"):
        ACCESS.choices["unix_mode"].read("rw")  # type: ignore[misc] # it has one


def test_children_have_their_options() -> None:
    assert CHILDREN.build("c", {f"c_{name}": None for name in CHILDREN.choices}) is None
    assert set(CHILDREN.choices) == set(Children.__struct_fields__)
    values = {**{f"c_{name}": None for name in CHILDREN.choices}, "c_memory_bytes": 1 << 28, "c_sandbox": True}
    assert CHILDREN.build("c", values) == Children(memory_bytes=1 << 28, sandbox=True)


def test_values_are_read() -> None:
    assert [size("1"), size("2k"), size("3M"), size("1G")] == [1, 2048, 3 << 20, 1 << 30]
    assert (seconds("OFF"), seconds("0.5"), count("7")) == (float("inf"), 0.5, 7)
    sent = msgspec.msgpack.encode(Deadlines(idle=seconds("off")))
    assert msgspec.msgpack.decode(sent, type=Deadlines).idle == float("inf")
