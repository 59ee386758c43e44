"""The parts of `tomada.testing.transport_conformance`, one file per promise.

May import all but the command line; of the house only `transport_conformance.py` and, for ``running.py``, the suite of
stores import it. Read ``running.py`` first, how a test runs, and then ``ground.py``: how it gets the two ends of a
stream, and what it says when something is wrong.
"""
