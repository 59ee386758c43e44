"""What users test with.

May import all but the command line; nothing of the house imports it. Read `pieces.py` first.
"""

from tomada.testing.pieces import in_pieces

__all__ = ["in_pieces"]
