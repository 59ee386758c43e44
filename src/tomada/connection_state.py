"""Where in its life a connection is, in the words of its users."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from tomada.protocol import State

if TYPE_CHECKING:
    from typing import Self

    from tomada.protocol import Engine


class ConnectionState(Enum):
    """Where in its life a connection is."""

    CONNECTING = "connecting"
    OPEN = "open"
    RESUMING = "resuming"
    """The connection is lost; what is sent is stored, and the client connects again."""
    DRAINING = "draining"
    """One end has said goodbye, or is about to; what is under way goes on."""
    CLOSED = "closed"

    @classmethod
    def of(cls, engine: Engine) -> Self:
        """Where the connection of an engine is."""
        return cls(_WORDS.get(engine.state, "draining"))


_WORDS: Final = {
    State.STARTING: "connecting",
    State.GREETED: "connecting",
    State.OPEN: "open",
    State.LOST: "resuming",
    State.RESUMING: "resuming",
    State.CLOSED: "closed",
    State.FAILED: "closed",
}
