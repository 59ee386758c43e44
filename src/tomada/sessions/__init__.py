"""Where the state of sessions lives: in memory, in a file, or where another package keeps it.

May import addresses, errors, settings, telemetry and what runs threads; nothing that knows what a session is: to a
store it is bytes. Read ``store.py`` first, the interface; ``memory.py`` is the shortest that keeps it, ``sqlite.py`` is
the thread around ``tables.py``, ``schemes.py`` says which store a URL means, and ``journal.py`` groups commits.
"""

from tomada.sessions.schemes import open_store
from tomada.sessions.store import Change, Chunk, Store, Stored, StoreStatistics

__all__ = ["Change", "Chunk", "Store", "StoreStatistics", "Stored", "open_store"]
