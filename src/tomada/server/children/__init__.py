"""A process for each connection: forked ahead, given an accepted socket, gone with its connection.

May import: everything but `tomada.client` and `tomada.cli`. Read ``pool.py`` first.

Three kinds of processes take part. The *server* accepts, and gives each socket to a child that waits for one
(``pool.py``, ``process.py``). The *template* has the application loaded, and neither an event loop nor threads; it
forks the children and tells how each ended (``template.py``; ``origin.py`` makes it). A *child* serves one connection
after the other, usually just one (``child.py``), within bounds (``limits.py``, ``sandbox.py``). What they tell each
other is in ``channel.py``; what is told of a child's end in ``last_words.py``.
"""
