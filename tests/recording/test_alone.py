"""The recorder runs in interpreters that know nothing of tomada, and may be older than tomada's own."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import tomada_recorder

FOLDER = Path(tomada_recorder.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))
LIGHT = {
    "__future__", "_json", "_thread", "atexit", "errno", "fcntl", "itertools", "os", "select", "sys", "time", "weakref",
}  # fmt: skip
"""What is imported when a program starts: nothing that takes time, and nothing that a program would notice."""
LATER = {"json", "socket", "sitecustomize"}
"""What the program has imported itself by then, and where there is no _json."""


def imported(tree: ast.AST) -> set[str]:
    """The modules that a file imports when it runs, by their first names."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
        else:
            found |= imported(node)
    return found


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(FOLDER)) for file in FILES])
def test_it_imports_little_and_nothing_of_others(file: Path) -> None:
    names = imported(ast.parse(file.read_text()))

    assert names <= LIGHT | LATER | {"tomada_recorder"}
    assert names <= set(sys.stdlib_module_names) | {"tomada_recorder", "sitecustomize"}


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(FOLDER)) for file in FILES])
def test_it_is_written_for_python_3_9(file: Path) -> None:
    assert isinstance(ast.parse(file.read_text(), feature_version=(3, 9)), ast.Module)
