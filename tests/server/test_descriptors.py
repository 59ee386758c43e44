from __future__ import annotations

import resource
from typing import Any

import pytest

from tomada.server.descriptors import SPARE, provide
from tomada.settings import Limits

NEEDED = Limits().connections + Limits().handshakes + SPARE
ENDLESS = resource.RLIM_INFINITY


class System:
    """Its limits, and what was asked of it."""

    def __init__(self, soft: int, hard: int, error: Exception | None = None) -> None:
        self.limits = soft, hard
        self.error = error

    def get(self, what: int) -> tuple[int, int]:
        assert what == resource.RLIMIT_NOFILE
        return self.limits

    def set(self, _: int, limits: tuple[int, int]) -> None:
        if self.error is not None:
            raise self.error
        self.limits = limits


@pytest.mark.parametrize(
    ("soft", "hard", "then", "told"),
    [
        (1_024, 524_288, NEEDED, ""),
        (1_024, ENDLESS, NEEDED, ""),
        (NEEDED, NEEDED, NEEDED, ""),
        (ENDLESS, ENDLESS, ENDLESS, ""),
        (65_536, 524_288, 65_536, ""),
        (1_024, 4_096, 4_096, "this process may have 4,096 files"),
        (4_096, 4_096, 4_096, "this process may have 4,096 files"),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_needed_and_possible(
    soft: int, hard: int, then: int, told: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    system = System(soft, hard)
    monkeypatch.setattr(resource, "getrlimit", system.get)
    monkeypatch.setattr(resource, "setrlimit", system.set)
    provide(Limits())
    assert system.limits == (then, hard)
    assert [record.getMessage().startswith(told) for record in caplog.records] == ([True] if told else [])


@pytest.mark.parametrize("error", [ValueError("current limit exceeds maximum limit"), PermissionError()])
def test_a_system_that_refuses_is_told_of(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    system = System(256, ENDLESS, error)
    monkeypatch.setattr(resource, "getrlimit", system.get)
    monkeypatch.setattr(resource, "setrlimit", system.set)
    provide(Limits(connections=500, handshakes=20, handshakes_early=10))
    (record,) = caplog.records
    assert record.getMessage() == (
        "this process may have 256 files and sockets open, and 500 connections with 20 handshakes need 648: raise the "
        "hard limit (ulimit -Hn, LimitNOFILE= of a systemd unit), or lower Limits.connections; callers for whom there "
        "is none are dropped"
    )


def test_where_there_is_no_such_limit_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = __import__

    def without(name: str, *rest: Any) -> Any:
        if name == "resource":
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr("builtins.__import__", without)
    provide(Limits())
