"""One look at all processes: who has which pipe, socket, memory or queue open or mapped. proc(5).

Descriptors are looked at by what their links tell. A file is asked for more only where no other machine and no process
would have to answer. Nothing is opened but files of /proc.
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from ipckit.errors import syscall_error
from ipckit.inspect._processes.glance import Glance
from ipckit.inspect._processes.mounts import Mounts, hides_processes
from ipckit.inspect._processes.procfs import FIRST_PID, FOLDER, living, namespace_of, read
from ipckit.inspect.records import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.inspect._processes.parts import LockLine
    from ipckit.inspect.records import Holder

_NEEDS = {
    "ring": ("shm", "memfd"),
    "sync": ("shm", "memfd"),
    "file": ("shm", "memfd"),
    "mq": ("mq",),
    "sem": ("shm",),
    "shm": ("shm",),
    "sysv-shm": ("sysv",),
    "fifo": ("fifo",),
    "unix": ("socket",),
    "pipe": ("pipe",),
    "memfd": ("memfd",),
    "eventfd": ("eventfd",),
    "pty": ("pty",),
    "lock": ("lock",),
}
_HIDDEN = "/proc is mounted with hidepid, and shows no processes of other users; how many there are is not known"
_UNTOUCHED = (
    "open files that may be FIFOs were not asked what they are: {}; they lie on network or FUSE file systems, which "
    "may never answer, or on broken ones, or have a path that is longer than the kernel tells one"
)
_PRIVATE = "this is a private pid namespace, as containers have: processes outside it are not seen"
_EVERY = 0.1  # seconds between two calls that tell the progress
_AGAIN = 20  # times at most that processes are listed: some programs never cease to start others


class Thing(NamedTuple):
    """What a descriptor or a mapping is of.

    Attributes:
        family: "pipe", "socket", "eventfd", "memfd", "fifo", "ptmx", "pts", "sysv" (a mapped System V segment: its
            inode is the number of the segment), or "file" (in /dev/shm or a message queue).
        device: as in stat(2). For "pipe", "socket" and "eventfd" it is 0; for "ptmx" it is that of the devpts file
            system, 0 where that is not known; for "sysv" it is 0, or the inode of the IPC namespace that the segment
            belongs to if that is not ours.
        inode: as in stat(2); for "eventfd" its eventfd-id, for "ptmx" its tty-index.
    """

    family: str
    device: int
    inode: int


class Scan:
    """Who has what, at the moment of `take`.

    Processes are looked at one after the other, so the whole is no single moment. Those that come meanwhile are looked
    at, too: what one of them has of a parent that ended before its turn is not missed. Threads share what they have
    open, and one of each process is looked at: what a thread that called unshare(2) with CLONE_FILES has for itself is
    not seen.

    Attributes:
        processes: those that could be looked into; neither those that have ended (zombies) nor threads of the kernel.
        unseen: how many could not; at least 1 if `hidden`.
        hidden: whether /proc does not show the processes of other users at all, so that they can't be counted.
        locks: what the open files tell of locks, where the kind "lock" was asked for.
        notes: what else could not be seen, and why, in sentences; whoever collects records adds to them.
    """

    __slots__ = ("_held", "_paths", "hidden", "locks", "notes", "processes", "unseen")

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.unseen = 0
        self.hidden = False
        self.locks: list[LockLine] = []
        self.notes: list[str] = []
        self._held: dict[str, dict[tuple[int, int], list[Holder]]] = {}
        self._paths: dict[tuple[str, int, int], str] = {}

    @classmethod
    def take(cls, kinds: set[str], progress: Callable[[int, int], None] | None = None) -> Scan:
        """Look at all processes for what *kinds* of `KINDS` need to know.

        Args:
            kinds: names from `KINDS`.
            progress: called with (processes looked at, processes), at most ten times a second and at the end.

        Raises:
            UnsupportedError: /proc is not mounted (ENOSYS).
        """
        needs = frozenset(need for kind in kinds for need in _NEEDS.get(kind, ()))
        try:
            mounts = Mounts()
            pids = _listed()
        except FileNotFoundError:
            raise syscall_error(errno.ENOSYS, "open", "/proc", remedy="/proc must be mounted") from None
        scan = cls()
        untouched = done = 0
        said = time.monotonic()
        known: set[int] = set()
        for _ in range(_AGAIN):
            known.update(pids)
            for pid in pids:
                untouched += scan._look(pid, needs, mounts)
                done += 1
                if progress is not None and time.monotonic() >= said + _EVERY:
                    progress(done, len(known))
                    said = time.monotonic()
            pids = [pid for pid in _listed() if pid not in known]
            if not pids:
                break
        if progress is not None:
            progress(done, done)
        if hides_processes(mounts):
            scan.hidden, scan.unseen = True, max(1, scan.unseen)
            scan.notes.append(_HIDDEN)
        if namespace_of("self", "pid") != FIRST_PID:
            scan.notes.append(_PRIVATE)
        if untouched:
            scan.notes.append(_UNTOUCHED.format(untouched))
        return scan

    def holders(self, device: int, inode: int, family: str = "file") -> tuple[Holder, ...]:
        """Who has that file."""
        return tuple(self._held.get(family, {}).get((device, inode), ()))

    def things(self, family: str) -> Iterator[tuple[Thing, str, tuple[Holder, ...]]]:
        """What is held of that family: the thing, its path as /proc tells it, and the holders."""
        for (device, inode), holders in self._held.get(family, {}).items():
            yield Thing(family, device, inode), self._paths[family, device, inode], tuple(holders)

    def _look(self, pid: int, needs: frozenset[str], mounts: Mounts) -> int:
        """Look into one process; one that is gone, has ended or is a thread of the kernel leaves nothing.

        Returns:
            How many of its open files were not asked what they are.
        """
        try:
            folder = os.open(f"/proc/{pid}", FOLDER)
        except OSError as error:
            self._refused(error, None)
            return 0
        try:
            command = read("comm", folder).rstrip(b"\n").decode(errors="replace")
            glance = Glance(Process(pid, command, os.fstat(folder).st_uid), folder, needs, mounts)
            try:
                if not glance.look():
                    return 0
                self.processes.append(glance.process)
            except PermissionError as error:
                self._refused(error, folder)
            self._keep(glance)
            return glance.untouched
        except OSError as error:
            self._refused(error, folder)
            return 0
        finally:
            os.close(folder)

    def _keep(self, glance: Glance) -> None:
        for key, part in glance.parts.items():
            family, device, inode = key
            self._held.setdefault(family, {}).setdefault((device, inode), []).append(part.holder(glance.process))
            self._paths.setdefault(key, part.path)
        self.locks += glance.locks

    def _refused(self, error: OSError, folder: int | None) -> None:
        """Count a process that may not be looked into.

        Args:
            error: why.
            folder: a descriptor of its folder in /proc; None if that may not be opened.
        """
        if isinstance(error, (FileNotFoundError, ProcessLookupError)):
            return
        if not isinstance(error, PermissionError):
            raise syscall_error(error.errno or errno.EIO, "open", error.filename or "/proc") from None
        try:
            self.unseen += folder is None or living(folder) is not None
        except OSError as other:
            self.unseen += isinstance(other, PermissionError)


def _listed() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())
