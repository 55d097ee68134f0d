"""All locks on files, each with the descriptors that have it: proc_locks(5), proc_pid_fdinfo(5)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, NamedTuple

from ipckit._lock_lines import LockLine, held_by, listed, parsed
from ipckit._shmfile import DIRECTORY
from ipckit.inspect._processes.procfs import FIRST_PID, namespace_of
from ipckit.inspect._shm_files import shm_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect.records import Process

EOF = "EOF"
TYPES: dict[str, Literal["record", "ofd", "flock", "lease", "delegation"]] = {
    "POSIX": "record",
    "ACCESS": "record",
    "OFDLCK": "ofd",
    "FLOCK": "flock",
    "LEASE": "lease",
    "DELEG": "delegation",
}
_TEMPORARY = f"{DIRECTORY}/#"
"""What descriptors of a file that was made by O_TMPFILE tell, also once link(2) has given it a name."""
_OUTSIDE = (
    "this is not the machine's first pid namespace: the kernel does not list the locks of processes outside of it"
)
_NO_TABLE = "/proc/locks can't be read: locks were found by the open files that have them, and nobody is seen waiting"


class Key(NamedTuple):
    """What locks have in common that are one record; the fields are those of `LockLine`."""

    file: str
    kind: str
    start: str
    end: str
    access: str
    state: str


class Lock:
    """A lock, and what was found out about it.

    Attributes:
        numbers: its numbers in /proc/locks.
        pids: who has it, as far as that names a process that surely still does.
        lines: how often it was found listed.
        seen: processes and descriptors that have it.
        path: the file, by one of the descriptors.
    """

    __slots__ = ("key", "lines", "numbers", "path", "pids", "seen")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.numbers: set[int] = set()
        self.pids: set[int] = set()
        self.lines = 0
        self.seen: list[tuple[Process, int]] = []
        self.path: str | None = None

    @property
    def owners(self) -> int:
        """How many have it; descriptors that came of fork(2), and a list that was torn, may tell an owner twice."""
        return self.lines if self.key.access == "READ" else 1


class LockTable:
    """The locks by what they are on.

    Attributes:
        waits: what is waited for.
    """

    __slots__ = ("_locks", "waits")

    def __init__(self) -> None:
        self._locks: dict[Key, Lock] = {}
        self.waits: list[LockLine] = []

    @classmethod
    def read(cls, scan: Scan) -> LockTable:
        """Bring together what /proc/locks tells and what *scan* saw."""
        table = cls()
        try:
            table._list()
        except OSError:
            scan.notes.append(_NO_TABLE)
            table._take_from(scan)
        else:
            if namespace_of("self", "pid") != FIRST_PID:
                scan.notes.append(_OUTSIDE)
            table._match(scan)
            table._look_again(scan)
        table._name_linked()
        return table

    def locks(self) -> Iterator[Lock]:
        """All of them."""
        yield from self._locks.values()

    def _list(self) -> None:
        for line in listed():
            if line.waits:
                self.waits.append(line)
            elif line.kind in TYPES:
                lock = self._locks.setdefault(_key(line), Lock(_key(line)))
                lock.numbers.add(line.number)
                lock.lines += 1
                # The taker of a flock may have ended, or passed it on; a process that has a record lock has it.
                if line.kind == "POSIX" and line.pid > 0:
                    lock.pids.add(line.pid)

    def _take_from(self, scan: Scan) -> None:
        for entry in scan.locks:
            line = parsed(entry.line)
            if line is not None and line.kind in TYPES:
                lock = self._locks.setdefault(_key(line), Lock(_key(line)))
                lock.lines += 1
                _found(lock, entry.process, entry.descriptor, entry.path)

    def _match(self, scan: Scan) -> None:
        """Give each lock its holders, as the scan saw them."""
        for entry in scan.locks:
            line = parsed(entry.line)
            if line is None or line.kind not in TYPES:
                continue
            if lock := self._locks.get(_key(line)) or self._left_out(_key(line), entry.process):
                _found(lock, entry.process, entry.descriptor, entry.path)

    def _look_again(self, scan: Scan) -> None:
        """Search for those who have the locks that have no holder yet; leave out locks that are gone meanwhile."""
        looked_into = {process.pid for process in scan.processes}
        open_questions = {
            key: lock for key, lock in self._locks.items() if not lock.seen and not lock.pids - looked_into
        }
        if not open_questions:
            return
        # Taken after the scan had passed the process, or given back, or held by what has no descriptor.
        for process in scan.processes:
            for descriptor, line in held_by(process.pid):
                if lock := open_questions.get(_key(line)):
                    try:
                        path = os.readlink(f"/proc/{process.pid}/fd/{descriptor}")
                    except OSError:
                        continue
                    _found(lock, process, int(descriptor), path)
        there = {_key(line) for line in listed() if not line.waits}
        for key, lock in open_questions.items():
            if not lock.seen and key not in there:
                del self._locks[key]

    def _left_out(self, key: Key, process: Process) -> Lock | None:
        """A lock that the kernel's list, torn between two pages, does not have, if *process* does still have it."""
        if all(_key(line) != key for _, line in held_by(process.pid)):
            return None
        lock = self._locks[key] = Lock(key)
        lock.lines = 1
        return lock

    def _name_linked(self) -> None:
        """Tell the names in /dev/shm of files that were made there without one, as ipckit's segments are."""
        nameless = [lock for lock in self._locks.values() if lock.path and lock.path.startswith(_TEMPORARY)]
        if not nameless:
            return
        names = {(found.st_dev, found.st_ino): name for name, found in shm_files()}
        for lock in nameless:
            name = names.get(identity(lock.key.file))
            lock.path = f"{DIRECTORY}/{name}" if name else lock.path


def identity(file: str) -> tuple[int, int]:
    """Device and inode of a file as `LockLine` has it; zeros for a lock that has none."""
    try:
        major, minor, inode = file.split(":")
        return os.makedev(int(major, 16), int(minor, 16)), int(inode)
    except ValueError:
        return 0, 0


def _key(line: LockLine) -> Key:
    return Key(line.file, line.kind, line.start, line.end, line.access, line.state)


def _found(lock: Lock, process: Process, descriptor: int, path: str) -> None:
    if (process, descriptor) not in lock.seen:
        lock.seen.append((process, descriptor))
    lock.path = lock.path or path or None
