"""The script of the HTML page is typed, in comments; TypeScript checks it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.diagrams.conftest import ROOT
from tests.web.test_types import OPTIONS

SCRIPT = ROOT / "src" / "tomada" / "diagrams" / "page" / "page.js"


def test_the_types_of_the_script_hold(tmp_path: Path) -> None:
    compiler = shutil.which("tsc", path=f"{ROOT}/.venv/typescript/node_modules/.bin") or shutil.which("tsc")
    if compiler is None:
        pytest.skip("there is no TypeScript: scripts/set-up test installs it where there is npm")
    options = {**OPTIONS, "lib": ["es2023", "dom", "dom.iterable"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": [str(SCRIPT)]}))

    done = subprocess.run([compiler, "-p", str(tmp_path)], capture_output=True, text=True, check=False)

    assert done.stdout == ""
    assert done.returncode == 0
