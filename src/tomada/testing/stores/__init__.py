"""The parts of `tomada.testing.store_conformance`, one file per promise.

May import all but the command line; only ``store_conformance.py`` imports it. Read ``ground.py`` first: how a test gets
the store under test, and how time passes for it.
"""
