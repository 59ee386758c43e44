from __future__ import annotations

import re
from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


def check(path: Path, cache: Path) -> str:
    """What ``mypy --strict`` says of a file, under the project's settings."""
    options = ["--strict", f"--config-file={ROOT / 'pyproject.toml'}", f"--cache-dir={cache}", "--no-error-summary"]
    out, err, _ = api.run([*options, str(path)])
    assert not err
    return out


@pytest.mark.timeout(180)
def test_right_uses_are_understood(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    assert check(HERE / "sample.py", cache) == ""


@pytest.mark.timeout(180)
def test_wrong_uses_are_refused(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    sample = tmp_path / "wrong_sample.py"
    text = (HERE / "wrong_sample.py").read_text().replace("# mypy: ignore-errors", "")
    sample.write_text(text)
    expected = {
        number: match[1]
        for number, line in enumerate(text.splitlines(), 1)
        if (match := re.search(r"# \[([\w-]+)\]$", line))
    }

    said = re.findall(r"wrong_sample\.py:(\d+): error: .*\[([\w-]+)\]$", check(sample, cache), re.MULTILINE)

    assert {int(number): code for number, code in said} == expected
