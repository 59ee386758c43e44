"""Functions of ``os`` that take a descriptor which may be a socket's, or the recording's own."""

from __future__ import annotations

import errno
import os

from tomada_recorder.calls import failed
from tomada_recorder.recorder import Call
from tomada_recorder.standin import Standin, install
from tomada_recorder.text import data_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tomada_recorder.recorder import Recorder
    from tomada_recorder.sockets import Known


def wrap_os(recorder: Recorder) -> None:
    """Record what is done to sockets by descriptor, and keep the recording's own descriptor open."""
    _wrap_closing(recorder)
    _wrap_moving(recorder, "write", lambda args, result: (result, args[1]))
    _wrap_moving(recorder, "read", lambda _, result: (len(result), result))
    if hasattr(os, "sendfile"):
        _wrap_moving(recorder, "sendfile", lambda _, result: (result, b""))


def _wrap_closing(recorder: Recorder) -> None:
    original, closerange = os.close, os.closerange

    def close(fd: Any) -> None:
        if fd == recorder.writer.descriptor:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        known = recorder.sockets.by_descriptor(fd)
        if known is None:
            original(fd)
            return
        call = Call(recorder, "close", "", known)
        recorder.sockets.close(known, known.owner and known.owner())
        original(fd)
        call.ended(',"by":"os.close"')

    def wrapped_closerange(fd_low: int, fd_high: int, /) -> None:
        for known in recorder.sockets.between(fd_low, fd_high):
            close(known.descriptor)
        own = recorder.writer.descriptor
        if fd_low <= own < fd_high:
            closerange(fd_low, own)
            closerange(own + 1, fd_high)
        else:
            closerange(fd_low, fd_high)

    install(os, "close", Standin(close))
    install(os, "closerange", Standin(wrapped_closerange))


def _wrap_moving(recorder: Recorder, name: str, moved: Callable[[tuple[Any, ...], Any], tuple[int, Any]]) -> None:
    """One that moves bytes: recorded where the descriptor is a socket's."""
    original, find, local = getattr(os, name), recorder.sockets.by_descriptor, recorder.local
    is_sent = name != "read"

    def moving(*args: Any, **kwargs: Any) -> Any:
        known = find(args[0]) if args else None
        if known is None or local.is_within:
            return original(*args, **kwargs)
        call = Call(recorder, name, "", known)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            failed(call, known, error)
            raise
        size, content = moved(args, result)
        shown = bytes(memoryview(content).cast("B")[: min(size, recorder.data_bytes)])
        call.ended(',"size":%d%s' % (size, data_field(shown)))
        _count(known, size, is_sent=is_sent)
        return result

    install(os, name, Standin(moving))


def _count(known: Known, size: int, *, is_sent: bool) -> None:
    if is_sent:
        known.sent += size
    else:
        known.received += size
