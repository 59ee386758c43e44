"""Functions in the place of other ones, which look like those: to who prints, pickles, copies or inspects them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Standin:
    """Calls a function of Python's in the place of one of C's.

    Like that one it does not become a method where a class keeps it, as `selectors.SelectSelector` keeps
    ``select.select``.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function does."""
        return self._function(*args, **kwargs)

    def __reduce__(self) -> str:
        """Pickled and copied as functions are: by name."""
        name: str = vars(self)["__qualname__"]
        return name


def install(place: Any, name: str, function: Any) -> None:
    """Put a function in the place of the one of that name in a module or a class, looking like it."""
    original = getattr(place, name)
    is_of_class = isinstance(place, type)
    function.__name__ = name
    function.__qualname__ = f"{place.__qualname__}.{name}" if is_of_class else name
    function.__module__ = place.__module__ if is_of_class else place.__name__
    function.__doc__ = original.__doc__
    function.__wrapped__ = original
    setattr(place, name, function)
