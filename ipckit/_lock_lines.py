"""Locks on files as the kernel lists them: proc_locks(5), and the "lock:" lines of proc_pid_fdinfo(5)."""

from __future__ import annotations

import os
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 1 << 20  # a line that is larger than a page, with all who wait for its lock, comes whole
_PIECE = 4096  # bytes
_READINGS = 20


class LockLine(NamedTuple):
    """A lock, or somebody's wait for one.

    Attributes:
        number: of the lock, within one reading of /proc/locks; those who wait for it have the same.
        waits: whether it is not held but waited for.
        kind: "POSIX", "OFDLCK", "FLOCK", "LEASE", "DELEG", or "ACCESS".
        state: "ADVISORY"; of leases "ACTIVE", "BREAKING" (its holder was asked to give it up), "BREAKER".
        access: "READ", "WRITE", or "UNLCK".
        pid: the process that took it or asked; -1 for an open file description, 0 outside of this pid namespace.
        file: device and inode, as in "08:01:1234"; the device is that of the file system, which on stacked and divided
            ones (overlay, btrfs) is not what stat(2) tells.
        start: the first byte.
        end: the last one, or "EOF".
    """

    number: int
    waits: bool
    kind: str
    state: str
    access: str
    pid: int
    file: str
    start: str
    end: str


def parsed(line: str) -> LockLine | None:
    """What a line tells, without what /proc/PID/fdinfo puts in front of it; None for a line of no known form.

    >>> parsed("1: OFDLCK ADVISORY  WRITE -1 08:01:1234 0 EOF").file
    '08:01:1234'
    """
    number, *words = line.split()
    waits = words[:1] == ["->"]
    if len(words) != 7 + waits:
        return None
    kind, state, access, pid, file, start, end = words[waits:]
    return LockLine(int(number.rstrip(":")), waits, kind, state, access, int(pid), file, start, end)


def listed() -> list[LockLine]:
    """All locks of /proc/locks, and all waits for them.

    The kernel hands the list out in pieces of a page, and goes on by counting: where locks were taken or given back
    between two pieces, one is in both or in neither. So a list of several pieces is read until it comes twice the same,
    each time cut elsewhere, for one lock that comes and goes can leave out the same other one again and again. Where it
    never does, a lock is told that was in any of them: one that was held all the time is not left out.

    Raises:
        OSError: there is no such file, or it may not be read.
    """
    pieces = _pieces(_MOST)
    readings = [b"".join(pieces)]
    if len(pieces) <= 1:
        return _lines(readings[0])
    for turn in range(1, _READINGS):
        readings.append(b"".join(_pieces(turn * _PIECE // _READINGS)))
        if readings[-1] == readings[-2]:
            return _lines(readings[-1])
    return _merged([_lines(text) for text in readings])


def _lines(text: bytes) -> list[LockLine]:
    return [line for one in text.splitlines() if (line := parsed(one.decode("ascii", "replace")))]


def _merged(readings: list[list[LockLine]]) -> list[LockLine]:
    """The last reading, and the locks that it lacks, each with a number of its own: nobody is seen to wait for it."""
    found = readings.pop()
    numbers = count(max((line.number for line in found), default=0) + 1)
    there = _held(found)
    for reading in readings:
        for line, times in _held(reading).items():
            found += [line._replace(number=next(numbers)) for _ in range(times - there[line])]
            there[line] = max(times, there[line])
    return found


def _held(reading: list[LockLine]) -> Counter[LockLine]:
    return Counter(line._replace(number=0) for line in reading if not line.waits)


def _pieces(first: int) -> list[bytes]:
    """The list, cut behind the line in which byte *first* lies, and then wherever a page is full."""
    with open("/proc/locks", "rb", buffering=0) as file:
        return [file.read(first), *iter(lambda: file.read(_MOST), b"")]


def held_by(pid: int) -> Iterator[tuple[str, LockLine]]:
    """The locks of a process's descriptors, each with its number; none if it is gone, or hidden from us."""
    folder = f"/proc/{pid}/fdinfo"
    try:
        entries = os.listdir(folder)
    except OSError:
        return
    for entry in entries:
        try:
            with open(f"{folder}/{entry}", encoding="ascii", errors="replace") as file:
                text = file.read()
        except OSError:  # closed meanwhile
            continue
        if "lock:" not in text:
            continue
        for line in text.splitlines():
            if line.startswith("lock:") and (found := parsed(line[5:])):
                yield entry, found
