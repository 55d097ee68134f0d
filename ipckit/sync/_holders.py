"""The table of who holds how much of an object: native/include/ipckit/holders.h."""

from __future__ import annotations

import errno
from typing import Any, Final, NamedTuple

from ipckit._arguments import check_int
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.errors import SyscallError, check, syscall_error

HOLDERS_MAX: Final[int] = lib.IPK_HOLDERS_MAX


class Holder(NamedTuple):
    """A handle that holds something of an object, as its process said itself."""

    pid: int
    """in its own pid namespace; 0: it has not yet said"""
    held: int
    """how many permits it has, or how often it reads"""
    lives: bool
    """whether the kernel still knows it; False: what it holds is taken off as soon as somebody waits for it"""


def holders_of(view: Any, subject: str) -> list[Holder]:
    """All that hold something now."""
    found = ffi.new("struct ipk_holder_info *")
    holders: list[Holder] = []
    index = 0
    while (rc := quick.ipk_holders_get(view, index, found)) != -errno.ENOENT:
        if check(rc, "ipk_holders_get", subject):
            holders.append(Holder(found.pid, found.count, bool(found.lives)))
        index += 1
    return holders


def check_places(value: int, name: str) -> None:
    """Refuse what is no number of entries."""
    check_int(value, name, 1, HOLDERS_MAX, "handles that take part at the same time")


def table_full(name: str, call: str, subject: str) -> SyscallError:
    """The error for a table without room; *name*: the argument of `create` that says how long it is."""
    remedy = f"as many handles take part as it was made for: create it with more {name}, or close handles"
    return syscall_error(errno.ENOSPC, call, subject, remedy=remedy)
