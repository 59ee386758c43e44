"""Starts recording, as the environment says.

``TOMADA_TRACE`` is the recording's file, ``TOMADA_TRACE_MOST`` its bound in bytes, ``TOMADA_TRACE_DATA`` how many of
the first bytes of each message are recorded.
"""

from __future__ import annotations

import os
import select

from tomada_recorder import descriptors, hooks, processes, waits
from tomada_recorder.calls import methods, wrap
from tomada_recorder.lifecycle import wrap_beginning, wrap_end, wrap_functions, wrap_pair, wrap_question
from tomada_recorder.outcomes import Outcomes
from tomada_recorder.recorder import Recorder
from tomada_recorder.writer import MOST_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

DATA_BYTES = 128
_NAMES = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo", "getfqdn")
UNSEEN = {
    "uvloop": "uvloop makes its calls in C, past Python's sockets: what its transports send and receive is not seen",
    "gevent": "gevent has sockets of its own: what goes through them is not seen",
    "grpc": "grpc makes its calls in C++, past Python's sockets: they are not seen",
    "zmq": "ZeroMQ makes its calls in C++, past Python's sockets: they are not seen",
    "pycurl": "libcurl makes its calls in C, past Python's sockets: they are not seen",
    "psycopg2": "libpq makes its calls in C, past Python's sockets: they are not seen",
}
"""Packages that go past what is wrapped, and what a recording says of each that is imported."""


def start() -> None:
    """Record this process; whatever fails, the program runs."""
    path = os.environ["TOMADA_TRACE"]
    recorder = Recorder(path, _number("TOMADA_TRACE_MOST", MOST_BYTES), _number("TOMADA_TRACE_DATA", DATA_BYTES))
    if recorder.writer.failure:
        return
    descriptors.wrap_os(recorder)
    processes.watch(recorder)
    waits.wrap_select(recorder, select)
    hooks.Finder(
        {
            "socket": lambda module: wrap_socket(recorder, module),
            "selectors": lambda module: waits.wrap_selectors(recorder, module),
            "ssl": lambda module: _wrap_ssl(recorder, module),
            **{name: lambda module: recorder.note(UNSEEN[module.__name__]) for name in UNSEEN},
        }
    ).install()


def wrap_socket(recorder: Recorder, module: ModuleType) -> None:
    """Record the methods and functions of the module `socket`."""
    outcomes = Outcomes(recorder, module)
    for method in methods():
        wrap(recorder, module.socket, method, outcomes)
    wrap_beginning(recorder, module.socket)
    wrap_end(recorder, module.socket)
    wrap_question(recorder, module.socket, outcomes)
    wrap_pair(recorder, module)
    wrap_functions(recorder, module, _NAMES)


def _wrap_ssl(recorder: Recorder, module: ModuleType) -> None:
    from tomada_recorder import tls

    tls.wrap_ssl(recorder, module)


def _number(name: str, default: int) -> int:
    try:
        return int(os.environ[name])
    except (KeyError, ValueError):
        return default
