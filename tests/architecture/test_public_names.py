from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import tomada
import tomada.diagrams
import tomada.sessions
import tomada.sync
import tomada.telemetry
import tomada.testing
from tomada import errors

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"
NO_NAMES = {"sync", "telemetry", "emit", "late"}
"""Modules, and what tells events, which is the house's own."""
NAMES = [
    (module, name)
    for module in (tomada, tomada.diagrams, tomada.sessions, tomada.sync, tomada.telemetry, tomada.testing)
    for name in module.__all__
    if name not in NO_NAMES
]
IDS = [f"{module.__name__}.{name}" for module, name in NAMES]


def functions(thing: Any) -> Iterator[tuple[str, FunctionType]]:
    """A function, or the public methods and properties of a class and those that it has from classes of the house."""
    if isinstance(thing, FunctionType):
        yield thing.__name__, thing
        return
    if not isinstance(thing, type):  # a constant
        return
    for owner in inspect.getmro(thing):
        if owner.__module__.startswith("tomada"):
            for name, value in vars(owner).items():
                function = (
                    value.fget if isinstance(value, property) else inspect.unwrap(getattr(value, "__func__", value))
                )
                if getattr(function, "__module__", "") == "typing":
                    continue  # what makes a Protocol one
                if isinstance(function, FunctionType) and (not name.startswith("_") or name == "__init__"):
                    yield f"{owner.__name__}.{name}", function


@pytest.mark.parametrize(("module", "name"), NAMES, ids=IDS)
def test_it_exists_and_is_described(module: ModuleType, name: str) -> None:
    thing = getattr(module, name)

    assert thing.__doc__, "its own, not its base's"


@pytest.mark.parametrize(("module", "name"), NAMES, ids=IDS)
def test_its_methods_are_described_and_annotated(module: ModuleType, name: str) -> None:
    for where, function in functions(getattr(module, name)):
        if not where.endswith(".__init__"):
            assert function.__doc__, f"{where} has no docstring"
        parameters = [*inspect.signature(function).parameters.values()][where.count(".") :]
        bare = [parameter.name for parameter in parameters if parameter.annotation is parameter.empty]
        assert not bare, f"{where}: {bare}"
        assert "return" in function.__annotations__, f"{where} does not say what it returns"


@pytest.mark.parametrize(("module", "name"), NAMES, ids=IDS)
def test_it_is_in_the_reference(module: ModuleType, name: str) -> None:
    text = REFERENCE.read_text()
    covered = re.search(rf"\.\. automodule:: {re.escape(module.__name__)}\n(   :.*\n)*   :members:", text)

    assert covered or re.search(rf"\b{re.escape(module.__name__)}\.{name}\b", text)


@pytest.mark.parametrize("module", [tomada, tomada.diagrams, tomada.sessions, tomada.sync, tomada.testing])
def test_all_is_sorted_and_is_what_is_imported(module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text())
    imported = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]

    assert sorted(module.__all__) == sorted(set(imported) - {"annotations"})
    assert len(module.__all__) == len(set(module.__all__))


def test_every_error_is_public() -> None:
    kinds = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.TomadaError)
    }

    assert kinds <= set(tomada.__all__)
