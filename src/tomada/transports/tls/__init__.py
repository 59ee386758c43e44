"""TLS: a layer over any transport, and what it is spoken with.

May import: what `tomada.transports` may. Read `layer.py` first; `certificates.py` makes contexts of files, `errors.py`
has the words for what fails, `blocking.py` is for programs without an event loop.
"""
