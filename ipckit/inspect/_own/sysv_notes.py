"""Notes of the names of System V objects, and locks under which semaphore sets get their first values: sysvipc(7)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ipckit._lock_lines import listed
from ipckit.inspect._own.findings import Finding, gone
from ipckit.inspect._system_v import address, rows
from ipckit.inspect._verdicts import judge
from ipckit.inspect._waits.lock_table import identity
from ipckit.inspect.records import Verdict

if TYPE_CHECKING:
    from ipckit.inspect._own.opening import Opened
    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect.records import Holder

_KINDS = {"msg": "sysv-mq", "sem": "sysv-sem", "shm": "sysv-shm"}
_NUMBERS = {"msg": "msqid", "sem": "semid", "shm": "shmid"}
_KEY_MASK = 0xFFFFFFFF
_LONGEST = 512  # bytes: a name of 255, NUL, a number


class Notes:
    """The System V objects of this IPC namespace, and who has locked which file."""

    __slots__ = ("_creators", "_locked", "_namespace", "_numbers", "_scan")

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._namespace = os.stat("/proc/self/ns/ipc").st_ino
        self._creators: dict[str, dict[tuple[int, int], int]] = {}
        self._numbers: dict[str, set[int]] = {}
        self._locked = _flocked()

    def note(self, said: tuple[str, ...], file: Opened, holders: tuple[Holder, ...]) -> Finding:
        """What is known of the note of a name.

        Args:
            said: what its name says: the IPC namespace in which the key means something, the kind of object, the key,
                the user who made it.
            file: the note.
            holders: who has it open.
        """
        namespace, sort = int(said[0]), said[1]
        key, uid = int(said[2], 16), int(said[3])
        text, number = _read(file.fd)
        fields = {"what": "note", "of": address(_KINDS[sort], key, number or 0), "text": text}
        if namespace != self._namespace:
            return Finding(
                fields, Verdict("foreign", f"the key means something in another IPC namespace, ipc:[{namespace}]")
            )
        found = self._objects(sort).get((key, uid))
        if found is not None and number in {found, None}:
            return Finding(fields, Verdict("in use", f"the object, of number {found}, exists"))
        if busy := self._busy(file, holders):
            return Finding(fields, busy)
        return Finding(fields, gone(self._scan, "the object is gone"))

    def start(self, number: int, file: Opened, holders: tuple[Holder, ...]) -> Finding:
        """What is known of the lock file of the set of that number."""
        self._objects("sem")
        fields = {"what": "lock", "of": f"sysv-sem:id={number}"}
        if busy := self._busy(file, holders):
            return Finding(fields, busy)
        if number in self._numbers["sem"]:
            return Finding(
                fields, gone(self._scan, "who gave the set its first values is gone; the next one to open it does")
            )
        return Finding(fields, gone(self._scan, "the set is gone"))

    def _busy(self, file: Opened, holders: tuple[Holder, ...]) -> Verdict | None:
        if holders:
            return judge(holders, 0)
        if (file.status.st_dev, file.status.st_ino) in self._locked:
            return Verdict("in use", "somebody who cannot be seen has it locked")
        return None

    def _objects(self, sort: str) -> dict[tuple[int, int], int]:
        """The number of each object of that sort, by its key and its creator."""
        known = self._creators.get(sort)
        if known is None:
            found = list(rows(sort, self._scan))
            number = _NUMBERS[sort]
            known = self._creators[sort] = {(row["key"] & _KEY_MASK, row["cuid"]): row[number] for row in found}
            self._numbers[sort] = {row[number] for row in found}
        return known


def _read(fd: int | None) -> tuple[str | None, int | None]:
    """The name in a note, and the number of its object; None for what it does not say."""
    if fd is None:
        return None, None
    name, _, number = os.pread(fd, _LONGEST, 0).partition(b"\0")
    return os.fsdecode(name), int(number) if number.isdigit() else None


def _flocked() -> set[tuple[int, int]]:
    """The files that somebody has locked by flock(2), by device and inode."""
    try:
        lines = listed()
    except OSError:
        return set()
    return {identity(line.file) for line in lines if line.kind == "FLOCK" and not line.waits}
