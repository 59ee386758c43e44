"""Wraps modules when the program imports them, not before: what it does not use costs it nothing."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Action = Callable[[ModuleType], None]


class Finder:
    """Finds modules as the others do, and does something to some of them as soon as they are loaded.

    Args:
        actions: By name, what is done to a module; once.
    """

    def __init__(self, actions: dict[str, Action]) -> None:
        self._actions = actions
        self._searching: set[str] = set()

    def install(self) -> None:
        """Do it to what is loaded already, and to what will be."""
        for name in [*self._actions]:
            if name in sys.modules:
                self._actions.pop(name)(sys.modules[name])
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """What the other finders find; who asks need not import it."""
        if name not in self._actions or name in self._searching:
            return None
        self._searching.add(name)
        try:
            spec = self._found(name, path, target)
        finally:
            self._searching.discard(name)
        if spec is not None and spec.loader is not None:
            self._hook(spec.loader, name)
        return spec

    def _found(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None

    def _hook(self, loader: Any, name: str) -> None:
        """Let `loader` act on the module that it executes, when that is done."""
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            execute(module)
            # Archives have one loader for all their modules: another one may be loaded first.
            action = self._actions.pop(name, None) if module.__name__ == name else None
            if action is not None:
                action(module)

        try:
            loader.exec_module = exec_module
        except AttributeError:  # a loader without attributes of its own: the module goes unseen, and works
            return
