"""For children that live in namespaces of their own, or as another user; and mappings without a descriptor."""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.testing import pause
from tests.contract.tools import in_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ipckit.inspect.records import Holder
    from ipckit.testing import Child, Spawn

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
MS_REC_PRIVATE = 0x4000 | 0x40000


def enter(flags: int) -> str:
    """Enter new namespaces; as a user, one of users too, as its root. Returns why that is refused, "" if it is not."""
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags if uid == 0 else flags | CLONE_NEWUSER):
        return f"unshare(2) is forbidden here: {os.strerror(ctypes.get_errno())}"
    if uid:
        for name, line in (("uid_map", f"0 {uid} 1"), ("setgroups", "deny"), ("gid_map", f"0 {gid} 1")):
            if refused := written(f"/proc/self/{name}", line):
                return refused  # AppArmor may grant a user the namespace, and nothing that is to be done in it
    return mount("none", "/", "", MS_REC_PRIVATE) if flags & CLONE_NEWNS else ""


def written(path: str, text: str) -> str:
    """Write to a file of /proc. Returns why that is refused, "" if it is not."""
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError as error:
        return str(error)
    return ""


def mount(source: str, target: str, type: str, flags: int = 0, options: str = "") -> str:
    """mount(2). Returns why it is refused, "" if it is not."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = (source.encode(), os.fsencode(target), type.encode(), flags, options.encode())
    return f"mount(2): {os.strerror(ctypes.get_errno())}" if libc.mount(*words) else ""


def in_a_world_of_its_own(function: Callable[..., Any], *arguments: Any) -> tuple[str, Any]:
    """In a child: run *function* where it sees all processes that there are, in a pid namespace of its own.

    Returns:
        Why that cannot be done, or "", and what *function* returned.
    """
    if refused := enter(CLONE_NEWPID | CLONE_NEWNS):
        return refused, None

    def inside() -> tuple[str, Any]:
        if refused := mount("proc", "/proc", "proc"):
            return refused, None
        return "", function(*arguments)

    outcome: tuple[str, Any] = in_fork(inside)
    return outcome


def may_open_what_is_mapped() -> bool:
    """It takes CAP_CHECKPOINT_RESTORE, which root may be without: proc_pid_map_files(5)."""
    try:
        os.stat(f"/proc/self/map_files/{os.listdir('/proc/self/map_files')[0]}")
    except OSError:
        return False
    return True


def tell(path: str, told: object) -> None:
    """In the child: hand *told*, or a str that says why it cannot be done, to the test, and wait till it has looked."""
    with open(path, "w") as file:
        json.dump(told, file)
    pause("told")


@contextlib.contextmanager
def told_by(spawn: Spawn, function: Any, folder: Path, *args: object) -> Iterator[tuple[Child, Any]]:
    """In the test: run *function* with a path for `tell` in a child; the child, and what it tells, while it waits.

    A str is the reason to skip the test.
    """
    path = folder / "told"
    child = spawn(function, str(path), *args)
    child.wait_reached("told")
    told = json.loads(path.read_text())
    try:
        if isinstance(told, str):
            pytest.skip(told)
        yield child, told
    finally:
        child.resume("told")
        child.result()


@contextlib.contextmanager
def mapped(fd: int, protection: int, flags: int) -> Iterator[None]:
    """Map a page of a file; the mapping keeps no descriptor, as those of Python do."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    address = libc.mmap(None, mmap.PAGESIZE, protection, flags, fd, 0)
    try:
        yield
    finally:
        assert libc.munmap(address, mmap.PAGESIZE) == 0


def by(holders: tuple[Holder, ...], pid: int) -> Holder:
    """The one of *holders* that is that process."""
    (found,) = (holder for holder in holders if holder.process.pid == pid)
    return found
