"""Which store a URL means."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from tests.sessions.filestore import FileStore
from tomada import AddressError, Sessions, StoreFailed
from tomada.sessions import Store, open_store
from tomada.sessions.memory import MemoryStore
from tomada.sessions.sqlite import SqliteStore

BOUNDS = Sessions(most=7)


def made_of(url: str, bounds: Sessions) -> Store:
    return FileStore(Path(url.removeprefix("file://")), bounds)


def no_store(_: str, __: Sessions) -> object:
    return object()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """What installed packages add."""
    points: list[EntryPoint] = []
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **wanted: EntryPoints(points).select(**wanted))
    return points


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{value}" if ":" not in value else value, "tomada.stores")


def test_memory() -> None:
    store = open_store("memory", BOUNDS)

    assert isinstance(store, MemoryStore)
    assert (str(store), store.survives, store.is_durable) == ("memory", "a lost connection", False)


def test_a_file_of_sqlite(tmp_path: Path) -> None:
    store = open_store(f"sqlite://{tmp_path}/sessions.db", BOUNDS)

    assert isinstance(store, SqliteStore)
    assert (str(store), store.survives) == (f"sqlite://{tmp_path}/sessions.db", "a killed server")
    assert store.is_durable
    assert not any(tmp_path.iterdir()), "it is not opened yet"


def test_a_store_stays_what_it_is(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "sessions", BOUNDS)

    assert open_store(store, Sessions()) is store


@pytest.mark.parametrize(
    "url", ["", "Memory", "memory:", "sqlite", "sqlite:/var/x", "/var/lib/sessions", "://", "://memory"]
)
def test_what_is_no_store(url: str) -> None:
    with pytest.raises(AddressError, match=r' is no store: write "memory" or "sqlite:///absolute/path"') as caught:
        open_store(url, BOUNDS)
    assert str(caught.value).startswith(repr(url))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite://sessions.db", "sqlite:///", "sqlite:///var/", "sqlite:///a\0b"])
def test_what_is_no_file(url: str) -> None:
    with pytest.raises(
        AddressError, match=r" names no file: write sqlite:// and its absolute path, such as "
    ) as caught:
        open_store(url, BOUNDS)
    assert str(caught.value).startswith(repr(url))


def test_a_package_adds_a_scheme(installed: list[EntryPoint], tmp_path: Path) -> None:
    installed += [point("other", "nobody"), point("file", "made_of"), point("sqlite", "nobody")]
    store = open_store(f"file://{tmp_path}/sessions", BOUNDS)

    assert isinstance(store, FileStore)
    assert (store.path, store.bounds) == (tmp_path / "sessions", BOUNDS)
    assert isinstance(open_store("sqlite:///own", BOUNDS), SqliteStore), "tomada's own come first"


def test_a_scheme_that_nobody_has(installed: list[EntryPoint]) -> None:
    with pytest.raises(
        AddressError, match=r"^no store is known for redis://: install the package that has it"
    ) as caught:
        open_store("redis://user:secret@host", BOUNDS)
    assert "secret" not in str(caught.value)
    assert installed == []


def test_a_scheme_that_two_have(installed: list[EntryPoint]) -> None:
    installed += [point("file", "b:made"), point("file", "a:made")]
    with pytest.raises(StoreFailed, match=r"^several packages have a store for file://: a:made and b:made; remove all"):
        open_store("file:///x", BOUNDS)


@pytest.mark.parametrize("value", ["no.such.package:made", f"{__name__}:nobody"])
def test_a_package_that_cannot_be_loaded(installed: list[EntryPoint], value: str) -> None:
    installed.append(point("file", value))
    with pytest.raises(StoreFailed, match=rf"^the store for file:// cannot be loaded from {value}: .*; mend or remove"):
        open_store("file:///x", BOUNDS)


def test_a_package_that_gives_something_else(installed: list[EntryPoint]) -> None:
    installed.append(point("file", "no_store"))
    with pytest.raises(
        TypeError, match=r"no_store, the store for file://, is no store of sessions, it has no survives, "
    ):
        open_store("file:///x", BOUNDS)


def test_what_is_neither_text_nor_a_store() -> None:
    thing: Any = 7
    with pytest.raises(
        TypeError, match=r"^7 is no store of sessions, it has no survives, is_durable, open, close, load, "
    ):
        open_store(thing, BOUNDS)


def test_sqlite_is_loaded_only_where_it_is_used() -> None:
    program = (
        "import sys, tomada, tomada.sessions as s; s.open_store('memory', tomada.Sessions());"
        "print('sqlite3' in sys.modules); s.open_store('sqlite:///x', tomada.Sessions());"
        "print('sqlite3' in sys.modules)"
    )
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=unmeasured)

    assert done.stdout.split() == ["False", "True"]
