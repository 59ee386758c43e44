"""Imports point down. The table is the one place that says what is below what."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tomada"
DESIGN = SOURCE.parents[1] / "docs" / "explanation" / "design.md"

FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "errors",
        "settings",
        "diagrams",
        "driven",
        "eager",
        "event_loop",
        "opening",
        "sweep",
        "telemetry",
        "threads",
        "validation",
        "web",
    ),
    ("address", "capacity", "message", "expression", "protocol", "tracing", "watchdog"),
    ("transports", "catalogue", "connection_state", "declaration", "sessions"),
    ("datagrams", "recording", "streams"),
    ("app", "compatibility", "generation", "repertoire"),
    ("binding", "failure"),
    ("vocabulary",),
    ("messenger",),
    ("endpoint", "items"),
    ("handling",),
    ("lifetime",),
    ("survival",),
    ("link",),
    ("asking", "durable"),
    ("connection",),
    ("client", "server"),
    ("sync",),
    ("",),  # the package itself: what users import
    ("feed", "metrics"),
    ("dashboard",),
    ("cli", "testing"),
    ("__main__",),
)
"""From the ground. A module may import what is on a floor below its own; within a folder, what it likes."""

ONLY = {
    "protocol": {"tomada.errors", "tomada.protocol", "msgspec"},
    "transports": {
        "tomada.address",
        "tomada.errors",
        "tomada.settings",
        "tomada.sweep",
        "tomada.telemetry",
        "tomada.transports",
        "msgspec",
        "psutil",
        "websockets",
    },
}
"""All of the house, and of what is installed, that these folders may import."""

NEVER = {"protocol": {"asyncio", "socket", "ssl", "time", "random", "logging", "threading", "os", "select"}}

NO_ROOMS = {"utils", "util", "common", "misc", "helpers", "helper", "tools", "shared"}


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def room_of(module: str) -> str:
    """``tomada.client.pump`` stands in the room ``client``."""
    return module.split(".")[1] if "." in module else ""


def module_of(path: Path) -> str:
    return ".".join(["tomada", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")


def is_module(name: str) -> bool:
    path = SOURCE.parent / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(tree: ast.AST) -> Iterator[str]:
    """The modules that are imported when the program runs, wherever in the file."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, "the house imports by full names"
            assert not node.level, "the house imports by full names"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if is_module(name) else node.module
        else:
            yield from imports(node)


MODULES = {module_of(path): path for path in sorted(SOURCE.rglob("*.py"))}
IMPORTS = {module: sorted(set(imports(ast.parse(path.read_text())))) for module, path in MODULES.items()}


def upward(module: str, imported: str) -> bool:
    here, there = room_of(module), room_of(imported)
    return here != there and floor_of(there) >= floor_of(here)


def test_every_room_has_its_floor_and_every_floor_its_rooms() -> None:
    assert sorted({room_of(module) for module in MODULES}) == sorted(room for rooms in FLOORS for room in rooms)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    house = [name for name in IMPORTS[module] if name.split(".")[0] == "tomada"]

    assert not [name for name in house if upward(module, name)]


def test_the_documents_show_the_same_floors() -> None:
    shown: list[set[str]] = [set() for _ in FLOORS]
    for number, rooms in re.findall(r"^\| (\d+) \| (`.*?) \|", DESIGN.read_text(), re.MULTILINE):
        shown[int(number)] |= {room.removesuffix(".py").rstrip("/") for room in re.findall(r"`(.+?)`", rooms)}

    assert shown == [{room or "tomada" for room in rooms} for rooms in FLOORS]


def test_an_import_that_points_up_would_be_seen() -> None:
    assert upward("tomada.protocol.engine", "tomada.messenger")
    assert upward("tomada.client.connect", "tomada.server.serve")
    assert upward("tomada.link", "tomada")
    assert not upward("tomada.client.pump", "tomada.client.calls")
    source = "if TYPE_CHECKING:\n    import x\ndef f():\n    from tomada import app, protocol, connect"
    assert list(imports(ast.parse(source))) == ["tomada.app", "tomada.protocol", "tomada"]


def test_nobody_imports_the_command_line() -> None:
    users = {module for module, names in IMPORTS.items() if any(room_of(name) == "cli" for name in names)}

    assert {room_of(module) for module in users} == {"cli", "__main__"}


@pytest.mark.parametrize("room", ONLY)
def test_what_a_folder_may_import(room: str) -> None:
    for module in (module for module in MODULES if room_of(module) == room):
        for name in IMPORTS[module]:
            if name.split(".")[0] in sys.stdlib_module_names:
                assert name.split(".")[0] not in NEVER.get(room, ()), f"{module} imports {name}"
            else:
                assert any(f"{name}.".startswith(f"{allowed}.") for allowed in ONLY[room]), f"{module} imports {name}"


FOLDERS = [module for module, path in MODULES.items() if path.name == "__init__.py" and module != "tomada"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_says_what_it_may_import_and_what_to_read_first(folder: str) -> None:
    text = ast.get_docstring(ast.parse(MODULES[folder].read_text())) or ""

    assert "May import" in text
    assert "first" in text


def test_no_room_is_for_whatever_fits_nowhere() -> None:
    assert not [module for module in MODULES if NO_ROOMS & set(module.split("."))]


@pytest.mark.parametrize("module", MODULES)
def test_every_file_says_what_it_is_and_is_not_too_long(module: str) -> None:
    text = MODULES[module].read_text()

    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 400


HEAVY = (
    "typer",
    "rich",
    "click",
    "uvloop",
    "winloop",
    "sqlite3",
    "opentelemetry",
    "prometheus_client",
    "hypothesis",
    "concurrent.futures.thread",
    "json",
    "tomada.cli",
    "websockets",
)


def test_import_is_light() -> None:
    program = f"import sys, tomada; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=unmeasured)

    assert done.stdout.split() == []
