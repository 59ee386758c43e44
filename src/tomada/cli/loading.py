"""Finding the application that a user names: ``bank.py``, ``bank.py:app``, ``package.module:app``."""

from __future__ import annotations

import asyncio
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tomada.app import App
from tomada.cli.output import UsageError

if TYPE_CHECKING:
    from types import ModuleType

_LONGEST_SUMMARY = 300
_LIBRARY = str(Path(asyncio.__file__).parents[1])
"""Where Python's own modules are, and, below, what is installed."""


def load_app(target: str) -> App:
    """The `App` that `target` names; without ``:name`` the one called ``app``, or the only one there is.

    Raises:
        UsageError: There is no such file, module or app; the text says what there is.
    """
    place, _, name = target.partition(":")
    module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    apps = {key: value for key, value in vars(module).items() if isinstance(value, App)}
    if not name:
        name = "app" if "app" in apps or len(apps) != 1 else next(iter(apps))
    if name not in apps:
        found = (
            f"it has {', '.join(apps)}: write {place}:{next(iter(apps))}"
            if apps
            else "it has none: write app = tomada.App()"
        )
        raise UsageError(f"{place} has no tomada.App called {name}; {found}")
    return apps[name]


def _load_file(path: Path) -> ModuleType:
    """Import a file as ``python path`` would find it: with its folder first on the path."""
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    sys.path.insert(0, str(path.resolve().parent))
    return import_module(path.stem)


def _load_module(name: str) -> ModuleType:
    sys.path.insert(0, "")
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise  # a module that the application itself misses
        raise UsageError(f"there is no module {name}; to serve a file, write its name with .py") from error


def print_own(error: Exception) -> None:
    """Print the traceback of an application's own error, from where its own code begins."""
    others = (str(Path(__file__).parents[1]), "<frozen", "uvloop/", _LIBRARY)
    at = error.__traceback__
    while at is not None:
        if not at.tb_frame.f_code.co_filename.startswith(others):
            break
        at = at.tb_next
    if at is None and not isinstance(error, SyntaxError):  # which names its place by itself
        at = error.__traceback__
    traceback.print_exception(type(error), error, at)


def summary(error: Exception) -> str:
    """An application's own error in one line."""
    said = " ".join(str(error).split())[:_LONGEST_SUMMARY]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
