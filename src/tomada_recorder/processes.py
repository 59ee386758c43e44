"""How the process begins others, and ends."""

from __future__ import annotations

import atexit
import os

from tomada_recorder.standin import Standin, install

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from tomada_recorder.recorder import Recorder


def watch(recorder: Recorder) -> None:
    """Go on recording in forked children, and tell where the process ends by itself."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=recorder.about_to_fork, after_in_child=recorder.forked)
    atexit.register(recorder.ends, "")
    leave = os._exit

    def _exit(status: int) -> NoReturn:
        recorder.ends("os._exit(%r)" % (status,))
        leave(status)

    install(os, "_exit", Standin(_exit))
