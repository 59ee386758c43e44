from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import tomada
from tests.web.test_types import OPTIONS, ROOT

STATIC = ROOT / "src" / "tomada" / "dashboard" / "static"


def test_the_types_of_the_page_hold(tmp_path: Path) -> None:
    compiler = shutil.which("tsc", path=f"{ROOT}/.venv/typescript/node_modules/.bin") or shutil.which("tsc")
    if compiler is None:
        pytest.skip("there is no TypeScript: scripts/set-up test installs it where there is npm")
    # The dashboard serves the browser's client beside the page, as the folder tomada.
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "tomada").symlink_to(tomada.web_folder())
    options = {**OPTIONS, "rootDirs": [str(STATIC), str(beside)], "preserveSymlinks": True}
    configuration = {"compilerOptions": options, "files": [str(STATIC / "main.js")]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(configuration))

    done = subprocess.run([compiler, "-p", str(tmp_path)], capture_output=True, text=True, check=False)

    assert done.stdout == ""
    assert done.returncode == 0


def test_every_module_of_the_page_is_checked() -> None:
    unchecked = [str(file) for file in STATIC.rglob("*.js") if "// @ts-check" not in file.read_text()]
    assert unchecked == []


def test_all_modules_are_asked_for_at_once() -> None:
    index = (STATIC / "index.html").read_text()
    # main.js is asked for by itself; view.js has types only, and nobody asks for it.
    own = {str(file.relative_to(STATIC)) for file in STATIC.rglob("*.js")} - {"main.js", "views/view.js"}
    client = {f"tomada/client/{file.name}" for file in (tomada.web_folder() / "client").glob("*.js")}
    assert set(re.findall(r'"modulepreload" href="([^"]+)"', index)) == own | client | {"tomada/tomada.js"}


def test_nothing_of_the_page_takes_text_for_markup() -> None:
    markup = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", 'setAttribute("style"')
    for file in STATIC.rglob("*.js"):
        text = file.read_text()
        assert [word for word in markup if word in text] == [], file


def test_the_page_names_nothing_elsewhere() -> None:
    """It works offline: no address of another host, but for examples and namespaces."""
    for file in (*STATIC.rglob("*.js"), *STATIC.rglob("*.css"), *STATIC.rglob("*.html")):
        text = file.read_text().replace("http://www.w3.org/2000/svg", "").replace("https://example.org/", "")
        assert "http://" not in text, file
        assert "https://" not in text, file


def _luminance(colour: str) -> float:
    """As WCAG 2 has it."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_all_that_is_written_can_be_read(scheme: int) -> None:
    css = (STATIC / "styles" / "base.css").read_text()
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", css)
    colours = {name: _luminance(both[scheme]) for name, *both in found}
    pairs = [
        (ink, ground)
        for ink in ("text", "muted", "faint", "accent", "in", "out", "good", "warn", "bad")
        for ground in ("page", "panel", "sunken", "raised", "hover", "accent-soft", f"{ink}-soft")
        if ground in colours
    ]
    contrasts = {
        pair: (max(one, other) + 0.05) / (min(one, other) + 0.05)
        for pair in pairs
        for one, other in [(colours[pair[0]], colours[pair[1]])]
    }
    assert {pair: round(ratio, 2) for pair, ratio in contrasts.items() if ratio < 4.5} == {}
