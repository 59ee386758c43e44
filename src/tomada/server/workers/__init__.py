"""Several processes that serve one application: a supervisor, which never imports it, and its workers.

May import: what `tomada.server` may. Read ``supervisor.py`` first; ``member.py`` is the worker's end, ``messages.py``
what the two tell each other.

==================  ================================================================
``supervisor.py``   starts, watches, replaces and stops the workers
``generation.py``   the workers of one start or reload, until all of them are ready
``worker.py``       one worker, as its supervisor sees it
``backoff.py``      how long until a worker that died is replaced
``holder.py``       the sockets, which outlive the workers
``channel.py``      messages and descriptors between the two
``member.py``       the worker's end
``neighbours.py``   who keeps which session, and how a connection gets there
``mailbox.py``      connections on their way from one worker to another
``signals.py``      signals, as something to wait for
``control.py``      ``tomada reload``: the supervisor's end
``directory.py``    ``tomada reload``: which supervisors run, and how to ask them
==================  ================================================================
"""
