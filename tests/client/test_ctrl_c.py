"""Ctrl-C in the moments in which it may do harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tomada
import tomada.sync
from tests.client.conftest import LONGEST, Home, together
from tests.integration.house import Echo, Hold, Push
from tomada.client.pump import Pump
from tomada.protocol import Engine


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def trip(*_: object) -> None:
    """Ctrl-C comes while a function of the engine runs."""
    inside: dict[str, Any] = {"__name__": "tomada.protocol.engine", "interrupted": interrupted}
    exec("def method():\n    interrupted()", inside)  # noqa: S102 - so it is called from there
    inside["method"]()


@pytest.mark.parametrize("where", ["cancel", "release"])
def test_in_the_middle_of_what_is_said_it_ends_the_connection(
    home: Home, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    client = tomada.sync.connect(home.address)
    client.ask(Push(1))
    calls: dict[str, Callable[[], object]] = {
        "cancel": lambda: client.ask(Hold("a"), timeout=0.05),
        "release": lambda: client.receive(timeout=LONGEST),
    }
    with monkeypatch.context() as patch:
        patch.setattr(Engine, where, trip)
        with pytest.raises(KeyboardInterrupt):
            calls[where]()
    client.close()
    assert client.end_reason == "interrupted"


def test_it_leaves_no_lock_behind(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tomada.sync.connect(home.address)

    def until(pump: Pump, *_: object) -> bool:
        """As if it came after each was taken, or before it was given back."""
        pump._sending.acquire()
        pump._reading.acquire()
        pump.state.acquire()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Pump, "until", until)
        with pytest.raises(KeyboardInterrupt):
            client.ask(Echo(b"a"))
    assert together(lambda: client.ask(Echo(b"on"), timeout=LONGEST)) == [b"on"]
    client.close()
    assert client.end_reason == "the peer said goodbye (closed)"
