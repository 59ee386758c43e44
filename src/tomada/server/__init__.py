"""The accepting side.

May import: everything but `tomada.client` and `tomada.cli`. Read `serve.py` first.
"""

from tomada.server.serve import Serving, serve
from tomada.server.server import Server
from tomada.server.statistics import ServerStatistics
from tomada.server.stream_listener import StreamListener, listen_stream

__all__ = ["Server", "ServerStatistics", "Serving", "StreamListener", "listen_stream", "serve"]
