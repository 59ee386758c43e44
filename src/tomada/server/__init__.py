"""The accepting side.

May import: everything but `tomada.client` and `tomada.cli`. Read `serve.py` first.
"""

from tomada.server.serve import Server, Serving, serve

__all__ = ["Server", "Serving", "serve"]
