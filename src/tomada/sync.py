"""tomada for programs without an event loop: what `connect` and `connect_stream` give here has calls that block.

Servers are run by ``tomada.serve(…).run()``.
"""

from tomada.client.blocking import Connection, connect
from tomada.client.blocking_stream import connect_stream
from tomada.streams.blocking import Frames, Stream

__all__ = ["Connection", "Frames", "Stream", "connect", "connect_stream"]
