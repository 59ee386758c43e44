"""Starts the recorder in each Python whose PYTHONPATH names this folder, then hands over to the real sitecustomize."""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(os.path.dirname(_HERE))


def _start_recording() -> None:
    sys.path.insert(0, _ROOT)
    try:
        from tomada_recorder import start
    finally:
        sys.path.remove(_ROOT)
    start.start()


def _hand_over() -> None:
    """Import the sitecustomize that would have been found without this one."""
    sys.path[:] = [place for place in sys.path if os.path.abspath(place or ".") != _HERE]
    mine = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # type: ignore[import-not-found] # noqa: F401 - it is there to be run
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
    if mine is not None:
        sys.modules.setdefault("sitecustomize", mine)


if os.environ.get("TOMADA_TRACE"):
    _start_recording()
_hand_over()
