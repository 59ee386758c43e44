"""What runs in a browser: ``tomada.js``, and the MessagePack library that it needs, as published on npm.

May import nothing of the house. Read ``tomada.js`` first: what pages use. ``client/`` is what it is made of, in this
order: ``frames.js``, ``lanes.js`` (what waits and what is kept), ``reports.js`` (credit and acknowledgements),
``wire.js`` (one WebSocket), ``session.js`` (which outlives it), ``streams.js``, ``speech.js`` (values on the wire; with
``catalogue.js`` and ``expressions.js``), ``answers.js`` and ``traffic.js`` (what the messages mean). ``msgpack/`` is
not ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def web_folder() -> Path:
    """The folder with ``tomada.js``, its ``client/`` and ``msgpack/``, for the web server of your choice to serve.

    They must be served side by side, as JavaScript modules are by any web server.
    """
    from pathlib import Path  # noqa: PLC0415 - every start would pay for it

    return Path(__file__).parent
