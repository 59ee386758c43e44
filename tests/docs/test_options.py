"""The reference names every option of the commands that serve, and what units show is understood."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from tomada.cli.main import app

ROOT = Path(__file__).parents[2]


def command(name: str) -> Any:
    group: Any = typer.main.get_command(app)
    return group.commands[name]


@pytest.mark.parametrize("name", ["serve", "dev", "reload", "trace", "diagram"])
def test_every_option_is_in_the_reference(name: str) -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text()
    options = {option for parameter in command(name).params for option in parameter.opts if option.startswith("--")}
    assert not [option for option in options if f"`{option}" not in text]


def test_the_defaults_in_the_reference_are_those_of_the_help() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text()
    told = dict(re.findall(r"^\| `(--[a-z-]+)[^`]*` \| ([^|]+) \|", text, re.MULTILINE))
    for parameter in command("serve").params:
        default = re.search(r"Default: (.*)\.$", getattr(parameter, "help", "") or "")
        if default is not None:
            assert told[parameter.opts[0]].strip("`") == default[1], parameter.opts


def test_units_start_what_the_command_understands() -> None:
    text = (ROOT / "docs" / "how-to" / "production.md").read_text()
    (line,) = re.findall(r"^ExecStart=\S*/tomada serve (.*)$", text, re.MULTILINE)
    command("serve").make_context("serve", shlex.split(line))
