"""What runs in a browser: ``tomada.js``, and the MessagePack library that it needs, as published on npm.

May import nothing of the house. Read ``tomada.js`` first; ``msgpack/`` is not ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def web_folder() -> Path:
    """The folder with ``tomada.js`` and its ``msgpack/``, for the web server of your choice to serve.

    Both must be served side by side, as JavaScript modules are by any web server.
    """
    from pathlib import Path  # noqa: PLC0415 - every start would pay for it

    return Path(__file__).parent
