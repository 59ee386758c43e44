"""tomada for programs without an event loop: `connect` gives a `Connection` whose calls block.

Servers are run by ``tomada.serve(…).run()``.
"""

from tomada.client.blocking import Connection, connect

__all__ = ["Connection", "connect"]
