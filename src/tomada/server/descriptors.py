"""How many files and sockets this process may have open, before it serves: as many as its limits promise.

Done by `Serving.run` and the command line, whose process is the server's own. A program that serves beside other things
is left as it is: the limit is its own business, and the programs that it starts inherit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tomada.endpoint import log

if TYPE_CHECKING:
    from tomada.settings import Limits

SPARE: Final = 128
"""For what is open beside connections: listening sockets, the log, the loop's own, the application's files."""


def provide(limits: Limits) -> None:
    """Raise the soft limit as far as `limits` need, up to the hard one; where that is not enough the log is told."""
    try:
        import resource  # noqa: PLC0415 - Windows has none, and no such limit
    except ImportError:
        return
    needed = limits.connections + limits.handshakes + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, soft), hard))
    except (ValueError, OSError):  # the system has a limit of its own below: macOS
        wanted = soft
    if wanted < needed:
        log.warning(
            "this process may have %s files and sockets open, and %s connections with %s handshakes need %s: raise the "
            "hard limit (ulimit -Hn, LimitNOFILE= of a systemd unit), or lower Limits.connections; callers for whom "
            "there is none are dropped",
            *(f"{number:,}" for number in (wanted, limits.connections, limits.handshakes, needed)),
        )
