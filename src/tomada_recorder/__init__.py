"""Records the socket calls of the Python program that it is started in: all of the house that runs inside another one.

Stands beside `tomada`, not inside: it is loaded by interpreters that know nothing of tomada, at their start, so it uses
the standard library only, of Python 3.9 or newer, and imports little of that: ``socket``, ``ssl`` and ``selectors`` are
wrapped when the program itself imports them. May import nothing of tomada. Read ``start.py`` first, then
``recorder.py``, through which all records go, and ``calls.py``, the methods of sockets.
"""
