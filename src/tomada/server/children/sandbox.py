"""What a child gives up before it gets its connection: to open files and sockets, to start programs, to reach others.

A filter in the kernel (seccomp) refuses the system calls for it with EPERM, so that a handler sees `PermissionError`
and goes on. What is open stays open: the connection, and the files that ``on_start`` has opened. Nobody can take the
filter away again. Linux only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from typing import TYPE_CHECKING, Final

from tomada.errors import ChildrenFailed
from tomada.server.children.system_calls import LAST, PROCESSORS

if TYPE_CHECKING:
    from tomada.server.children.system_calls import Processor

_NO_NEW_PRIVILEGES: Final = 38  # linux/prctl.h
_FILTER_MODE: Final = 1  # linux/seccomp.h
_ALL_THREADS: Final = 1
_ACTION_AVAILABLE: Final = 2

_ALLOW: Final = 0x7FFF_0000
_REFUSE: Final = 0x0005_0000 | errno.EPERM
_ABSENT: Final = 0x0005_0000 | errno.ENOSYS
"""The C library then does without, or does it the old way, which can be looked into."""

_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16  # offsets in struct seccomp_data
_THREAD: Final = 0x0001_0000  # CLONE_THREAD

# Of classic BPF, linux/bpf_common.h: load a word, jump if equal, if greater or equal, if a bit is set, return.
_LOAD, _EQUAL, _AT_LEAST, _HAS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_Instruction = tuple[int, int, int, int]


def check() -> None:
    """Raise `ChildrenFailed` where there can be no sandbox."""
    processor()
    what = ctypes.c_uint32(_REFUSE & 0xFFFF_0000)
    if _seccomp(_ACTION_AVAILABLE, 0, ctypes.byref(what)) != 0:
        raise ChildrenFailed(f"this kernel has no seccomp filters ({os.strerror(ctypes.get_errno())}); {_WITHOUT}")


_WITHOUT: Final = "serve without the sandbox"


def processor() -> Processor:
    """What this machine is. Raises `ChildrenFailed` where its system calls are not known."""
    machine = os.uname().machine
    if sys.platform != "linux" or machine not in PROCESSORS or ctypes.sizeof(ctypes.c_void_p) != 8:  # noqa: PLR2004 - bytes
        known = " and ".join(PROCESSORS)
        raise ChildrenFailed(
            f"the sandbox is for Linux on {known}, and this is {sys.platform} on {machine}; {_WITHOUT}"
        )
    return PROCESSORS[machine]


def enter() -> None:
    """Give the rights up, for good, in all threads of this process.

    Raises:
        ChildrenFailed: The kernel does not do it.
    """
    program = _program(processor(), os.getpid())
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("@HP", len(program), ctypes.addressof(buffer))  # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    if not done or _seccomp(_FILTER_MODE, _ALL_THREADS, ctypes.create_string_buffer(described)) != 0:
        raise ChildrenFailed(f"the kernel refused the sandbox ({os.strerror(ctypes.get_errno())}); {_WITHOUT}")


def _seccomp(operation: int, flags: int, argument: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(processor().seccomp, operation, flags, argument))


def _program(processor: Processor, own: int) -> list[_Instruction]:
    """The filter: it looks at the number of a call, and of a few at the first argument."""
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, processor.architecture),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if processor.foreign:
        program += _unless_below(processor.foreign, _REFUSE)
    program += _unless_below(LAST + 1, _ABSENT)
    program += [*_if_equal(processor.clone3, _ABSENT)]
    for number in processor.denied:
        program += _if_equal(number, _REFUSE)
    # A thread of its own is allowed, a process is not.
    program += [
        (_EQUAL, 0, 4, processor.clone),
        (_LOAD, 0, 0, _FIRST),
        (_HAS, 1, 0, _THREAD),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    for number in processor.own_only:
        program += [
            (_EQUAL, 0, 5, number),
            (_LOAD, 0, 0, _FIRST),
            (_EQUAL, 2, 0, own),
            (_EQUAL, 1, 0, 0 if number in processor.own_only[-1:] else own),  # prlimit64: 0 is the caller
            (_RETURN, 0, 0, _REFUSE),
            (_RETURN, 0, 0, _ALLOW),
        ]
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _if_equal(number: int, outcome: int) -> list[_Instruction]:
    return [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, outcome)]


def _unless_below(number: int, outcome: int) -> list[_Instruction]:
    return [(_AT_LEAST, 0, 1, number), (_RETURN, 0, 0, outcome)]
