"""What can leak, listed: each function gives the present state of one kind, from proc(5) and the tmpfs folders."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

from ipckit._tasks import tasks
from ipckit.testing import _mappings, _mqueues, _procfs

SHM = "/dev/shm"


class Finding(NamedTuple):
    """One thing that is there.

    Attributes:
        kind: what it is, for a person.
        key: what tells it from all others, also from later ones of the same name.
        size: bytes, where the same thing can be there several times over.
        detail: for a person.
        device: st_dev and st_ino of an object with a name; zeros for others.
        pids: processes that the kernel noted as its makers or users.
    """

    kind: str
    key: tuple[object, ...]
    detail: str
    size: int = 0
    device: tuple[int, int] = (0, 0)
    pids: tuple[int, ...] = ()


def descriptors() -> list[Finding]:
    """This process's open files."""
    singletons = _singletons("_fd", "_forkserver_alive_fd")
    own = _mqueues.folder()
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the listing's own descriptor
            continue
        fd = int(name)
        if fd not in singletons and name != (own and own.name) and "libffi" not in target:
            found.append(Finding("descriptor", (fd, target), f"{fd} -> {target}"))
    return found


def mappings() -> list[Finding]:
    """This process's shared mappings, by object."""
    found: dict[tuple[object, ...], int] = {}
    for mapping in _mappings.shared():
        # The C library shares the cache of its character sets, and libffi its trampolines, for good.
        if not mapping.path.endswith("gconv-modules.cache") and "libffi" not in mapping.path:
            key = (mapping.path, mapping.device, mapping.inode)
            found[key] = found.get(key, 0) + mapping.size
    return [
        Finding("shared mapping", key, f"of {key[0] or 'anonymous memory'}, {size} bytes", size)
        for key, size in found.items()
    ]


def children() -> list[Finding]:
    """This process's children, zombies included."""
    singletons = _singletons("_pid", "_forkserver_pid")
    return [
        Finding("child process", (pid,), f"{pid}, state {_procfs.state(pid)}: {_procfs.command(pid)}")
        for pid in _procfs.own_children()
        if pid not in singletons and _procfs.state(pid)
    ]


def threads() -> list[Finding]:
    """This process's threads, those that Python knows nothing of included."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    found = []
    for tid in tasks("self"):
        name = names.get(tid) or _procfs.read_text(f"/proc/self/task/{tid}/comm").strip()
        found.append(Finding("thread", (tid,), f"{tid} ({name})"))
    return found


def shared_memory() -> list[Finding]:
    """Files in /dev/shm: shared memory, named semaphores (sem.NAME), segments."""
    found = []
    for folder, _, names in os.walk(SHM):
        for name in names:
            path = f"{folder}/{name}"
            found += _named("file", path, path)
    return found


def message_queues() -> list[Finding]:
    """POSIX message queues, as far as they are visible."""
    folder = _mqueues.folder()
    found = []
    for name in os.listdir(folder) if folder else ():
        found += _named("POSIX message queue", f"/{name}", f"{folder}/{name}")
    return found


def system_v() -> list[Finding]:
    """System V shared memory, semaphore sets and message queues: proc_sysvipc(5)."""
    found = []
    for kind in ("shm", "sem", "msg"):
        lines = _procfs.read_text(f"/proc/sysvipc/{kind}").splitlines()
        for line in lines[1:]:
            row = dict(zip(lines[0].split(), line.split(), strict=False))
            number = int(row[f"{kind}id" if kind != "msg" else "msqid"])
            makers = tuple(int(row[name]) for name in ("cpid", "lpid", "lspid", "lrpid") if int(row.get(name, 0)))
            detail = f"{number} with key {int(row['key']) & 0xFFFFFFFF:#010x}"
            found.append(Finding(f"System V {kind}", (number,), detail, pids=makers))
    return found


def invisible() -> list[str]:
    """What can't be seen on this machine, in sentences."""
    sentences = []
    if _mqueues.folder() is None:
        sentences.append("POSIX message queues are not visible: no mqueue file system is mounted, nor may we mount it")
    if not Path("/proc/sysvipc").is_dir():
        sentences.append("System V objects are not visible: there is no /proc/sysvipc")
    return sentences


def _named(kind: str, name: str, path: str) -> list[Finding]:
    try:
        status = os.lstat(path)
    except OSError:  # unlinked meanwhile
        return []
    device = (status.st_dev, status.st_ino)
    return [Finding(kind, (name, *device), f"{name}, {status.st_size} bytes", device=device)]


def _singletons(*attributes: str) -> set[object]:
    """What multiprocessing starts once and keeps for good: its resource tracker and its fork server."""
    found: set[object] = set()
    for module, name in (("resource_tracker", "_resource_tracker"), ("forkserver", "_forkserver")):
        loaded: Any = sys.modules.get(f"multiprocessing.{module}")
        found.update(getattr(getattr(loaded, name, None), attribute, None) for attribute in attributes)
    return found - {None}
