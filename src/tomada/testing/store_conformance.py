"""One suite for every store of sessions: tomada's own, and those of others.

It needs no plugin; a test module with these lines is enough, and pytest runs it::

    from tomada.testing.store_conformance import StoreConformance


    class TestMine(StoreConformance):
        def store(self, bounds, clock):
            return MyStore(bounds, clock)
"""

from __future__ import annotations

from tomada.testing.stores.bounds import Bounds
from tomada.testing.stores.crossing import Crossing
from tomada.testing.stores.keeping import Keeping

__all__ = ["StoreConformance"]


class StoreConformance(Keeping, Bounds, Crossing):
    """What a store must do, as tests: subclass it, name the subclass ``Test…`` and give it a `store`.

    What was committed is loaded; chunks in order; what is dropped, replaced or removed is gone; large values and many
    sessions; bounds of number, bytes and age, and who goes first; statistics; all of a commit or nothing, also where it
    fails, is cancelled or crosses others; and, of a durable store, what is there when it is opened again.

    Each test runs on a loop of its own, made by `new_event_loop`, within `longest` seconds, and fails with an
    `AssertionError` that says what is wrong; it fails as well where tasks are left behind, or the loop's exception
    handler was called.
    """
