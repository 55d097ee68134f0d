"""POSIX named semaphores: sem_overview(7)."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ipckit._glimpse import GLIMPSE
from ipckit._shmfile import DIRECTORY
from ipckit.inspect._shm_files import SEMAPHORE, file_fields, shm_files
from ipckit.inspect.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan

_SIZE = 32  # sizeof (sem_t) of glibc where long has 64 bits
_WORD = 8  # struct new_sem begins with one of 64 bits: the value, and above it the waiters
_VALUE_MAX = (1 << 31) - 1


@dataclass(frozen=True, kw_only=True)
class PosixSemaphore(Record):
    """A file /dev/shm/sem.NAME.

    Attributes:
        value: its tokens; None where the file may not be read, or is not what glibc makes of 64 bits.
        waiting: how many threads said that they wait; one that was killed while it waited is still counted.
        made_by: which program or package gives such names; a guess, None is none.
    """

    kind: ClassVar[str] = "sem"

    value: int | None
    waiting: int | None
    made_by: str | None = None

    @property
    def use(self) -> str:
        """Its tokens, and who waits for one."""
        if self.value is None:
            return ""
        return f"value {self.value}" + (f", {self.waiting} waiting" if self.waiting else "")


def collect(scan: Scan, kind: str) -> Iterator[Record]:  # noqa: ARG001  # this module has one kind
    """The named semaphores."""
    for name, found in shm_files():
        if not name.startswith(SEMAPHORE):
            continue
        value, waiting = _word(name, found)
        bare = name[len(SEMAPHORE) :]
        yield PosixSemaphore(address=f"sem:/{bare}", value=value, waiting=waiting, **file_fields(bare, found, scan))


def _word(name: str, found: os.stat_result) -> tuple[int, int] | tuple[None, None]:
    """The value and the waiters."""
    if found.st_size != _SIZE or sys.maxsize < 1 << 32:
        return None, None
    try:
        fd = os.open(f"{DIRECTORY}/{name}", GLIMPSE | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:  # no right to read it, or unlinked meanwhile
        return None, None
    try:
        word = int.from_bytes(os.pread(fd, _WORD, 0), sys.byteorder)
    finally:
        os.close(fd)
    value = word & 0xFFFFFFFF
    return (value, word >> 32) if value <= _VALUE_MAX else (None, None)
