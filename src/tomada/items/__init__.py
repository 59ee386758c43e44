"""Streams of items: what is sent and taken about a request beside its one reply.

May import: all that a `Messenger` stands on, and that. Read `carrying.py` first (what one connection keeps of its
streams), then `pouring.py` (items out), `arrivals.py` and `decoding.py` (items in), and `stream.py`, which is
what callers see.
"""
