"""The files that objects of synchronisation live in, and our membership in each: native/include/ipckit/home.h.

A member is what others ask the kernel about when they want to know whether an owner lives. Handles of objects in the
same memory share one, so a thousand mutexes in one mapping take two descriptors, not two thousand.
"""

from __future__ import annotations

import mmap
import os
import weakref
from typing import Any

from ipckit._handle import Handle
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.errors import check

_homes: weakref.WeakSet[Home] = weakref.WeakSet()
_of_files: weakref.WeakValueDictionary[tuple[int, int], Home] = weakref.WeakValueDictionary()
_of_memory: weakref.WeakKeyDictionary[mmap.mmap, Home] = weakref.WeakKeyDictionary()


class Home:
    """A file of shared memory and our membership in it; it ends with the last that keeps it."""

    __slots__ = ("__weakref__", "member", "pointer")

    def __init__(self, pointer: Any) -> None:
        self.pointer = ffi.gc(pointer, quick.ipk_home_close)
        self.member = quick.ipk_home_member(pointer)
        _homes.add(self)

    def fileno(self) -> int:
        """The descriptor of the file."""
        fd: int = quick.ipk_home_fd(self.pointer)
        return fd


def home_of(within: Any) -> Home:
    """The home of objects in memory of the user's.

    Args:
        within: a handle with memory and a descriptor, or an mmap.mmap of no file. Of that, the home is a file of
            ours, which forked children inherit: make the first object in it before you fork.
    """
    if isinstance(within, mmap.mmap):
        home = _of_memory.get(within)
        if home is None:
            home = _of_memory[within] = _adopt(os.memfd_create("ipckit-home", os.MFD_CLOEXEC))
        return home
    if not isinstance(within, Handle) or not hasattr(within, "buf") or not hasattr(within, "fileno"):
        raise TypeError(
            "within must be memory with a descriptor (Mapping, Memfd's mapping, posix.SharedMemory) or an mmap.mmap "
            f"of no file, not {type(within).__name__}: the file tells whether an owner lives"
        )
    found = os.fstat(within.fileno())
    home = _of_files.get((found.st_dev, found.st_ino))
    if home is None:
        home = _of_files[found.st_dev, found.st_ino] = _adopt(os.dup(within.fileno()))
    return home


def _adopt(fd: int) -> Home:
    pointer = ffi.new("struct ipk_home *")
    check(lib.ipk_home_adopt(pointer, fd), "ipk_home_adopt", fd)
    return Home(pointer)


def _after_fork_in_child() -> None:
    for home in list(_homes):
        quick.ipk_member_forked(home.member)


os.register_at_fork(after_in_child=_after_fork_in_child)
