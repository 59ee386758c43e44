"""tomada for programs without an event loop: `connect`, `connect_stream` and `bind`, whose calls block.

Servers are run by ``tomada.serve(…).run()``.
"""

from tomada.client.blocking import Connection
from tomada.client.blocking_connect import connect
from tomada.client.blocking_items import ItemStream
from tomada.client.blocking_stream import connect_stream
from tomada.datagrams.blocking import DatagramSocket, bind
from tomada.streams.blocking import Frames, Stream

__all__ = ["Connection", "DatagramSocket", "Frames", "ItemStream", "Stream", "bind", "connect", "connect_stream"]
