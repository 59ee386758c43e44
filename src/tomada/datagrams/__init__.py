"""Datagrams as users see them: a socket that sends and receives them, and what handlers of them are given.

May import ``transports``, ``declaration`` and what lies below them. Read ``socket.py`` first; ``blocking.py`` is the
same without an event loop.
"""

from tomada.datagrams.binding import Binding, bind
from tomada.datagrams.declaration import DatagramHandler
from tomada.datagrams.peer import DatagramPeer
from tomada.datagrams.socket import Datagram, DatagramSocket

__all__ = ["Binding", "Datagram", "DatagramHandler", "DatagramPeer", "DatagramSocket", "bind"]
