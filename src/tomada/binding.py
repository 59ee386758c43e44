"""What an application's functions are given: their connection, and what the ``on_start`` functions returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tomada.app import App


class Binding:
    """The states of one run of an application.

    Args:
        app: The application.
        states: What its ``on_start`` functions returned.
        connection_type: The class that functions name when they ask for their connection.

    Raises:
        DeclarationError: A function asks for what nobody gives.
    """

    __slots__ = ("_connection_type", "_states")

    def __init__(self, app: App, states: Iterable[object], connection_type: type) -> None:
        self._states = tuple(states)
        self._connection_type = connection_type
        app.check(connection_type, self._states)

    def bind(self, function: Callable[..., Any], asks_for: Sequence[tuple[str, type]]) -> Callable[[Any, Any], Any]:
        """`function`, whose first parameter is a message, as a function of message and connection."""
        here = self._connection_type
        given = self._given(asks_for)
        if not given:
            return lambda message, _: function(message)
        if len(given) == 1 and given[0] is here:
            return function
        return lambda message, connection: function(
            message, *[connection if value is here else value for value in given]
        )

    def bind_parts(
        self, function: Callable[..., Any], asks_for: Sequence[tuple[str, type]], place: int
    ) -> Callable[[Any, Any, Any], Any]:
        """`function` as one of message, connection and parts; it takes the parts at `place` among what it asks for."""
        here = self._connection_type
        given = self._given(asks_for)
        before, after = given[:place], given[place:]
        if not given:
            return lambda message, _, parts: function(message, parts)
        return lambda message, connection, parts: function(
            message,
            *[connection if value is here else value for value in before],
            parts,
            *[connection if value is here else value for value in after],
        )

    def arguments(self, asks_for: Sequence[tuple[str, type]], connection: object) -> list[Any]:
        """What a hook is called with; `connection` is None before and after all connections."""
        return [connection if value is self._connection_type else value for value in self._given(asks_for)]

    def _given(self, asks_for: Sequence[tuple[str, type]]) -> list[Any]:
        """One value for each parameter; the connection's class holds the place of the connection."""
        given: list[Any] = []
        for _, kind in asks_for:
            if kind is self._connection_type:
                given.append(kind)
            else:
                given.append(next(state for state in self._states if isinstance(state, kind)))
        return given
