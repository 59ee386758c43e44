"""A proxy that makes the network bad, for real processes' connections over real sockets.

May import all but the command line. Read `proxy.py` first: what users hold. `relay.py` knows all connections and how
bad it is just now; `pair.py` joins the two ends of one connection by two pipes, and `pipe.py` is where bytes wait, are
cut, and are lost; `door.py` listens.
"""

from tomada.testing.proxy.connection import ProxiedConnection
from tomada.testing.proxy.faults import Faults
from tomada.testing.proxy.proxy import FaultProxy
from tomada.testing.proxy.relay import ProxyStatistics

__all__ = ["FaultProxy", "Faults", "ProxiedConnection", "ProxyStatistics"]
