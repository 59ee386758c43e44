"""Keeps as much as possible of a template's memory one with its children's.

A forked process shares all memory with its parent until one of them writes to it; then a page is copied, which takes
some two microseconds, and a child of CPython would write to a thousand pages before it has said its first word. Most of
those writes are counts of references: to look at a class is to write to it. CPython has objects whose references nobody
counts, the immortal ones (PEP 683, from version 3.12 on), and says that a server which forks is what they are for; but
it has no function yet that makes an object one. So that is done here, by writing into an object's count what the count
of `None` says, and only to what a program is made of: classes, functions, their code and constants, modules. Those live
as long as their process does, in a template as in its children; files, locks and connections of the application are
left alone. Where the interpreter is another one nothing is done, and children cost a little more.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import types
from contextlib import suppress
from typing import Final

_KINDS: Final[frozenset[type]] = frozenset(
    {
        types.FunctionType,
        types.CodeType,
        types.CellType,
        types.BuiltinFunctionType,
        types.MethodDescriptorType,
        types.WrapperDescriptorType,
        types.GetSetDescriptorType,
        types.MemberDescriptorType,
        types.ClassMethodDescriptorType,
        types.ModuleType,
        classmethod,
        staticmethod,
        property,
        str,
        bytes,
        int,
        float,
        tuple,
        frozenset,
    }
)
_COUNTED: Final = 1 << 30
"""No object has so many references; the count of an immortal one says that it has."""
_count: Final = ctypes.c_uint32.from_address


def settle() -> None:
    """Prepare the memory of this process for being forked. From now on its program is not unloaded."""
    gc.collect()
    _trim()
    if _has_immortals():
        _immortalise()
    gc.freeze()  # so that no child's collector writes to what it shares with the others


def _trim() -> None:
    """Give back what is free: a child that gets it anew gets zeros, and copies nothing."""
    with suppress(AttributeError, OSError):  # not every C library has it
        ctypes.CDLL(None).malloc_trim(0)


def _has_immortals() -> bool:
    """Whether objects of this interpreter begin with their count, and some are not counted."""
    if sys.implementation.name != "cpython" or sys.hexversion < 0x030C0000 or ctypes.sizeof(ctypes.c_void_p) != 8:  # noqa: PLR2004 - bytes
        return False
    if not getattr(sys, "_is_gil_enabled", lambda: True)() or hasattr(sys, "gettotalrefcount"):
        return False  # built without the lock, or to be debugged: objects look different
    counts = [_count(id(one)).value for one in [object() for _ in range(3)]]  # the list's, and the loop's own
    return counts == [2, 2, 2] and _count(id(None)).value > _COUNTED


def _immortalise() -> None:
    value = _count(id(None)).value
    for one in _reachable():
        if type(one) in _KINDS or isinstance(one, type):
            count = _count(id(one))
            if 0 < count.value < _COUNTED:
                count.value = value


def _reachable() -> list[object]:
    """All that the collector knows, and what that refers to: strings and code it does not know by itself."""
    found = gc.get_objects()
    known = set(map(id, found))
    for one in found:  # which grows meanwhile
        for other in gc.get_referents(one):
            if id(other) not in known:
                known.add(id(other))
                found.append(other)
    return found
