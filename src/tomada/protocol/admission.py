"""Whether there is room for one more connection: asked of the driver when the peer's hello has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tomada.protocol.handshake import GoodbyeCode, Session


class Admission(Protocol):
    """What says whether there is room for one more connection."""

    def admit(self) -> tuple[GoodbyeCode, str] | None:
        """Why there is none, to be told to the peer; ``None`` where there is."""
        ...

    def session(self) -> Session | None:
        """A session for the connection, whose peer wants one; ``None`` where there is none to be had."""
        ...
