"""Functions of Python's in the place of functions of C's."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Standin:
    """Calls a function, and looks like the one it stands in for.

    Like that one it does not become a method where a class keeps it, as `selectors.SelectSelector` keeps
    ``select.select``.
    """

    def __init__(self, original: Any, function: Callable[..., Any]) -> None:
        self.__name__ = self.__qualname__ = original.__name__
        self.__doc__ = original.__doc__
        self.__wrapped__ = original
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function does."""
        return self._function(*args, **kwargs)
