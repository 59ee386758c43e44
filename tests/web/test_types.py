from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import tomada

ROOT = Path(__file__).parents[2]
OPTIONS = {
    "target": "es2022",
    "lib": ["es2022", "dom", "dom.iterable"],
    "module": "esnext",
    "moduleResolution": "bundler",
    "allowJs": True,
    "strict": True,
    "noEmit": True,
    "noUnusedLocals": True,
}


def test_the_types_of_the_browser_client_hold(tmp_path: Path) -> None:
    compiler = shutil.which("tsc", path=f"{ROOT}/.venv/typescript/node_modules/.bin") or shutil.which("tsc")
    if compiler is None:
        pytest.skip("there is no TypeScript: scripts/set-up test installs it where there is npm")
    # Only the file that says @ts-check is checked: the MessagePack library is not ours.
    configuration = {"compilerOptions": OPTIONS, "files": [str(tomada.web_folder() / "tomada.js")]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(configuration))

    done = subprocess.run([compiler, "-p", str(tmp_path)], capture_output=True, text=True, check=False)

    assert done.stdout == ""
    assert done.returncode == 0
