"""What the dashboard's process is told by who starts it: one line of JSON, then a line for each line of the log."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The first line.

    Attributes:
        folder: Where the processes that serve have their socket files.
        host: What it listens on, as it was asked for; empty: all interfaces.
        token: Who knows it may act; empty: nobody may.
        is_remote: Whether other machines reach it: then nobody may watch without the token.
        control: The supervisor's socket file, where there is a supervisor that takes requests.
    """

    folder: str
    host: str = "127.0.0.1"
    token: str = ""
    is_remote: bool = False
    control: str = ""


class Line(msgspec.Struct, frozen=True):
    """A line of the log of who started it."""

    time: float
    level: str
    text: str


def is_token(text: str) -> bool:
    """Whether a text can be a token: long enough not to be guessed, and nothing in it is escaped in a URL."""
    return _TOKEN.fullmatch(text) is not None
