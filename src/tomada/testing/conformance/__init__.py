"""The parts of `tomada.testing.transport_conformance`, one file per promise.

May import all but the command line; only `transport_conformance.py` imports it. Read `ground.py` first: how a test gets
the two ends of a stream, and what it says when something is wrong.
"""
