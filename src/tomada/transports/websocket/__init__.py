"""WebSocket: a layer over any transport, TLS's too. Needs the package websockets, and is imported only when used.

May import: what `tomada.transports` may, and `websockets`. Read `layer.py` first; `server.py` and `client.py` are the
two ends of its handshake, `blocking.py` is for programs without an event loop.
"""
