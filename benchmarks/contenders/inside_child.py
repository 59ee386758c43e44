"""Requests to one child process, over one connection."""

from benchmarks.contenders.children_tomada import serve
from benchmarks.contenders.tomada_async import measure

__all__ = ["measure", "serve"]
