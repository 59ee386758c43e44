"""The connecting side.

May import: everything but `tomada.server` and `tomada.cli`. Read `connect.py` first; `blocking_connect.py` and
`blocking.py` are the same for programs without an event loop, over a pump: `wire.py` (the socket, shared by threads),
`keeper.py` (who connects again), `pump.py` (the messenger's driver), `calls.py`. `datagrams.py` asks in datagrams.
"""

from tomada.client.connect import connect
from tomada.client.datagrams import DatagramClient, connect_datagram
from tomada.client.stream import connect_stream

__all__ = ["DatagramClient", "connect", "connect_datagram", "connect_stream"]
