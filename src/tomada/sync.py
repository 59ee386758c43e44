"""tomada for programs without an event loop: `connect` and `bind`, and what they give, with calls that block.

Servers are run by ``tomada.serve(…).run()``.
"""

from tomada.client.blocking import Connection, connect
from tomada.datagrams.blocking import DatagramSocket, bind

__all__ = ["Connection", "DatagramSocket", "bind", "connect"]
