"""Options that belong together: declared as a table, given to a command as one structure.

A command writes ``limits: Annotated[Limits, LIMITS]`` and gets a `Limits`; its users see one option for each field.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Final, NamedTuple, get_args, get_origin

import typer

_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
Read = Callable[[str], Any]


class Choice(NamedTuple):
    """One option."""

    name: str
    """As ``--idle-timeout``."""
    help: str
    read: Read | None = None
    """Makes the value of what was written; by default the annotation says how."""
    metavar: str | None = None
    annotation: Any = str
    shown: str = ""
    """The default, in words."""


class Group(NamedTuple):
    """The options of one structure.

    Attributes:
        panel: The heading above them in the help.
        make: Called with the values of the options that were given, by name; what it returns is the command's argument.
        choices: By the name of the field, or of whatever `make` calls it.
    """

    panel: str
    make: Callable[..., Any]
    choices: dict[str, Choice]

    def parameters(self, prefix: str) -> list[inspect.Parameter]:
        """The options as parameters of a command; each is None where it is not given."""
        return [self._parameter(f"{prefix}_{name}", choice) for name, choice in self.choices.items()]

    def _parameter(self, name: str, choice: Choice) -> inspect.Parameter:
        option = typer.Option(
            *choice.name.split(),
            help=f"{choice.help} Default: {choice.shown}." if choice.shown else choice.help,
            parser=choice.read,
            metavar=choice.metavar,
            rich_help_panel=self.panel,
            show_default=False,  # it is that of another class, and told in the help
        )
        kind: Any = list[str] if choice.annotation is list else choice.annotation
        annotation = Annotated[kind | None, option]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)

    def build(self, prefix: str, values: dict[str, Any]) -> Any:
        """Take the group's options out of `values` and make its structure of them."""
        named = {name: values.pop(f"{prefix}_{name}") for name in self.choices}
        try:
            return self.make(**{name: value for name, value in named.items() if value is not None})
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """`command`, with the options of each `Group` among its parameters in place of the structure."""
    groups: dict[str, Group] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
        marks = get_args(parameter.annotation) if get_origin(parameter.annotation) is Annotated else ()
        group = next((mark for mark in marks if isinstance(mark, Group)), None)
        if group is None:
            parameters.append(parameter)
        else:
            groups[name] = group
            parameters += group.parameters(name)

    @wraps(command)
    def run(**values: Any) -> None:
        built = {name: group.build(name, values) for name, group in groups.items()}
        command(**values, **built)

    del run.__wrapped__  # it has other parameters
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what typer reads
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def seconds(text: str) -> float:
    """Of a deadline: a number, or ``off``."""
    if text.lower() == "off":
        return math.inf
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        raise typer.BadParameter(f"{text!r} is no time: write seconds, as 2.5, or off")
    return value


def size(text: str) -> int:
    """Of memory: bytes, or with K, M, G or T behind the number, which is 1,024 times the one before."""
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if not (number.isascii() and number.isdigit()) or unit not in _UNITS or not int(number):
        raise typer.BadParameter(f"{text!r} is no size: write bytes, as 65536, or 64K, 16M, 1G")
    return int(number) * _UNITS[unit]


def count(text: str) -> int:
    """Of things: a whole number above 0."""
    if not (text.isascii() and text.isdigit()) or not int(text):
        raise typer.BadParameter(f"{text!r} cannot be: write a whole number above 0")
    return int(text)
