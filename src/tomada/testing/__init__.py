"""What users test with.

May import all but the command line; nothing of the house imports it. Read `pieces.py` first.
"""

from tomada.testing.pieces import in_pieces
from tomada.testing.proxy import FaultProxy, Faults, ProxiedConnection, ProxyStatistics

__all__ = ["FaultProxy", "Faults", "ProxiedConnection", "ProxyStatistics", "in_pieces"]
