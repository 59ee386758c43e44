"""The connecting side.

May import: everything but `tomada.server` and `tomada.cli`. Read `connect.py` first; `blocking.py` is the face for
programs without an event loop, over `pump.py` and `calls.py`. `datagrams.py` asks in datagrams.
"""

from tomada.client.connect import Connecting, connect
from tomada.client.datagrams import DatagramClient, connect_datagram
from tomada.client.stream import connect_stream

__all__ = ["Connecting", "DatagramClient", "connect", "connect_datagram", "connect_stream"]
