"""Which store a URL means."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tomada.errors import AddressError, StoreFailed
from tomada.sessions.store import Store

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from tomada.settings import Sessions

GROUP: Final = "tomada.stores"
"""The group of entry points by which other packages add stores: the scheme is the name, and what is behind it takes
the URL and the bounds, and gives the store."""
_RIGHT: Final = 'write "memory" or "sqlite:///absolute/path", or give a Store'


def open_store(url: str | Store, bounds: Sessions) -> Store:
    """The store that a URL means; its own `Store.open` makes it ready.

    Args:
        url: ``memory``, ``sqlite:///absolute/path``, a URL of a scheme that an installed package adds (entry points
            ``tomada.stores``), or a store, which is given back as it is and has bounds of its own.
        bounds: What the store may keep.

    Raises:
        AddressError: It is none of these.
        StoreFailed: The package that adds the scheme cannot be loaded.
        TypeError: It is no URL, and not a store either.
    """
    if not isinstance(url, str):
        return _expect_store(url, repr(url))
    if url == "memory":
        from tomada.sessions.memory import MemoryStore  # noqa: PLC0415 - only where it is used

        return MemoryStore(bounds)
    scheme, separator, rest = url.partition("://")
    if scheme == "sqlite" and separator:
        return _sqlite(url, rest, bounds)
    if not separator or not scheme:
        raise AddressError(f"{url!r} is no store: {_RIGHT}")
    return _of_a_package(scheme, url, bounds)


def _sqlite(url: str, path: str, bounds: Sessions) -> Store:
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise AddressError(
            f"{url!r} names no file: write sqlite:// and its absolute path, such as sqlite:///var/lib/app"
        )
    from tomada.sessions.sqlite import SqliteStore  # noqa: PLC0415 - sqlite3 is loaded only where it is used

    return SqliteStore(path[1:] if os.name == "nt" else path, bounds)  # sqlite:///C:/app there


def _of_a_package(scheme: str, url: str, bounds: Sessions) -> Store:
    from importlib.metadata import entry_points  # noqa: PLC0415 - it loads json, and much else

    # The URL itself is not shown from here on: it may have a password in it.

    found = tuple(entry_points(group=GROUP, name=scheme))
    if not found:
        raise AddressError(f"no store is known for {scheme}://: install the package that has it, or {_RIGHT}")
    if len(found) > 1:
        names = " and ".join(sorted(point.value for point in found))
        raise StoreFailed(f"several packages have a store for {scheme}://: {names}; remove all but one")
    return _expect_store(_made(found[0], url, bounds), f"{found[0].value}, the store for {scheme}://,")


def _made(point: EntryPoint, url: str, bounds: Sessions) -> object:
    try:
        make = point.load()
    except (ImportError, AttributeError) as error:
        raise StoreFailed(
            f"the store for {point.name}:// cannot be loaded from {point.value}: {error}; mend or remove its package"
        ) from error
    made: object = make(url, bounds)
    return made


def _expect_store(thing: object, what: str) -> Store:
    if isinstance(thing, Store):
        return thing
    wanted = ("survives", "is_durable", "open", "close", "load", "commit", "statistics")
    missing = ", ".join(name for name in wanted if not hasattr(thing, name))
    raise TypeError(f"{what} is no store of sessions, it has no {missing}: {_RIGHT}")
