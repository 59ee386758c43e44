"""Several processes that keep sessions at one address: how a registry asks where one of them belongs."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tomada.protocol import Hello
    from tomada.survival import Survival


class Fate(Enum):
    """What becomes of a caller whose session is not alive in this process."""

    OURS = "it belongs here: it is in the store, or nowhere"
    PASSED = "another process has the connection now"
    LATER = "the process that keeps it cannot take this connection: the next one may reach it, or be handed over"


class Elsewhere(Protocol):
    """The other processes."""

    def identity(self, length: int, /) -> bytes:
        """A new id for a session that is kept here."""

    def pass_on(self, caller: Survival, hello: Hello, /) -> Fate:
        """Hand over a caller whose session is not alive in this process, if it belongs to another."""
