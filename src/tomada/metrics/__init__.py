"""What a server counts, for Prometheus: read when somebody asks, and not counted a second time.

May import the server's own rooms; is imported by the command line, and by programs that want `Metrics` in a registry of
their own, or a `MetricsPage`. Needs ``tomada[metrics]``. Read ``families.py`` first, the table of all that is told.

====================  ===============================================================================================
``families.py``       names, labels and help; readings of several processes as one
``noted.py``          counts what is told as events
``traffic.py``        sums up what all connections of a server have moved and hold, a few hundred at a time
``reader.py``         reads one server
``exposition.py``     `Metrics`, for registries; a reading as text
``page.py``           the page that Prometheus scrapes, in a thread of its own
``own.py``            the page of one server
``beside.py``         lets a worker be read, through a Unix socket, and leaves its last reading behind
``crew.py``           reads all workers, those that are gone included: what is counted never goes back
====================  ===============================================================================================
"""

from __future__ import annotations

try:
    import prometheus_client as _  # noqa: F401 - only whether it is there
except ModuleNotFoundError as error:
    missing = f"tomada.metrics needs {error.name}, which is not installed: pip install 'tomada[metrics]'"
    raise ModuleNotFoundError(missing, name=error.name) from None

from tomada.metrics.exposition import Metrics
from tomada.metrics.own import MetricsPage

__all__ = ["Metrics", "MetricsPage"]
