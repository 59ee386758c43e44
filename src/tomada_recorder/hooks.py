"""Wraps modules when the program imports them, not before: what it does not use costs it nothing."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class Finder:
    """Finds modules as the others do, and does something to some of them as soon as they are loaded."""

    def __init__(self, actions: dict[str, Callable[[ModuleType], None]], seen: dict[str, Callable[[], None]]) -> None:
        self._actions = actions
        self._seen = seen
        self._searching: set[str] = set()

    def install(self) -> None:
        """Do it to what is loaded already, and to what will be."""
        for name in [*self._actions]:
            if name in sys.modules:
                self._actions.pop(name)(sys.modules[name])
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """What the other finders find."""
        if name in self._seen:
            self._seen.pop(name)()
        if name not in self._actions or name in self._searching:
            return None
        self._searching.add(name)
        try:
            spec = _found(self, name, path, target)
        finally:
            self._searching.discard(name)
        if spec is not None and spec.loader is not None:
            _after(spec.loader, self._actions.pop(name))
        return spec


def _found(but: Finder, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if finder is not but and hasattr(finder, "find_spec"):
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


def _after(loader: Any, action: Callable[[ModuleType], None]) -> None:
    """Let `loader` do something to the module that it is about to execute, when that is done."""
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module
        execute(module)
        action(module)

    loader.exec_module = exec_module
