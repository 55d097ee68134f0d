"""How a System V semaphore set gets its first values: semget(2) makes it without.

Whoever sees sem_otime 0 knows that nobody has operated on the set yet, and that its values may be missing. They are
given by an operation, or before one, under a lock file which the kernel frees if its holder dies: so they are given
once, whoever tries, and whoever finds a set whose maker died before it gives them. A lock it must be: that all values
are 0 does not tell a new set from one whose tokens are all taken.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._shmfile import DIRECTORY, publish, unlink_unlocked
from ipckit.errors import AlreadyExistsError, check, syscall_error
from ipckit.sysv._registry import _locked
from ipckit.sysv._set_lane import VALUE_MAX, most

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def is_started(number: int) -> bool:
    """Whether the set has seen its first operation; also where we may not look."""
    status = ffi.new("struct ipk_sysv_sem_status *")
    return quick.ipk_sysv_sem_stat(number, status) != 0 or status.last_op_s != 0


def start(number: int, values: Sequence[int], subject: str, *, known: bool) -> None:
    """Give the set *number* its first *values*, if nobody has.

    Args:
        known: whether others can find the set.

    Raises:
        BusyError: another process is at it, and was stopped (EBUSY).
    """
    if is_started(number):
        return
    if not known:
        _give(number, values, subject)
        return
    with _turn(_lock_file(number), subject):
        if not is_started(number):
            _give(number, values, subject)


def forget(number: int) -> None:
    """Take away the lock file of a set that is gone: somebody was killed with it, unless it is in use."""
    unlink_unlocked(_lock_file(number))


def _lock_file(number: int) -> str:
    return f"{DIRECTORY}/ipckit-sysv.start.{number}"


@contextmanager
def _turn(path: str, subject: str) -> Iterator[None]:
    """Hold the lock of the file at *path*, which is there for as long."""
    while True:
        fd = _opened(path, subject)
        try:
            with _locked(fd, path) as current:
                if not current:
                    continue
                try:
                    yield
                finally:
                    _unlink(path)
                return
        finally:
            os.close(fd)


def _opened(path: str, subject: str) -> int:
    while True:
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise syscall_error(error.errno or 0, "open", path) from None
        try:
            return publish(path, 0o644, lambda _: None, subject)
        except AlreadyExistsError:
            pass


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:  # it is another user's, who died
        pass


def _give(number: int, values: Sequence[int], subject: str) -> None:
    if len(values) + sum(value != 0 for value in values) <= min(most().semopm, lib.IPK_SYSV_SEM_OPS):
        ops = [(index, 0, 0) for index in range(len(values))]  # other programs may have set values, which stay
        ops += [(index, value, 0) for index, value in enumerate(values) if value]
        result = quick.ipk_sysv_sem_op(number, ffi.new("struct ipk_sysv_sem_op[]", ops), len(ops), 0, ffi.NULL)
        if result != -errno.EAGAIN:
            check(result, "semop", subject)
    else:
        check(quick.ipk_sysv_sem_set_values(number, ffi.new("uint16_t[]", list(values))), "semctl", subject)
        _mark_started(number, values[0], subject)


def _mark_started(number: int, first: int, subject: str) -> None:
    """Operate on the set, and leave its values as they are, of which *first* is the first."""
    there_and_back = [(0, 1, 0), (0, -1, 0)]
    if first == VALUE_MAX:
        there_and_back.reverse()
    ops = ffi.new("struct ipk_sysv_sem_op[]", there_and_back)
    check(quick.ipk_sysv_sem_op(number, ops, len(ops), 0, ffi.NULL), "semop", subject)
