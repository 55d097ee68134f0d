"""How the files that ipckit keeps beside its objects are removed, each by the rule of those who use it."""

from __future__ import annotations

import errno
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ipckit._shmfile import DIRECTORY, unlink_unlocked
from ipckit.errors import SyscallError, syscall_error
from ipckit.inspect._own.leftover_names import NOTE, START

if TYPE_CHECKING:
    from ipckit.inspect.records import Record

_CLASSES = {"msg": "MessageQueue", "sem": "SemaphoreSet", "shm": "SharedMemory"}


def remove_file(record: Record) -> None:
    """Remove a file of `ipckit.inspect.leftovers`.

    Raises:
        NotFoundError: it is gone, or another one has its name (ENOENT).
        BusyError: somebody needs it after all (EBUSY).
        AccessError: it is another user's (EACCES, EPERM).
    """
    path = f"{DIRECTORY}/{record.name}"
    if note := NOTE.fullmatch(record.name):
        sort, key, uid = note[2], int(note[3], 16), int(note[4])
        kind: Any = getattr(import_module("ipckit.sysv"), _CLASSES[sort])._kind
        entry = kind.registry.lookup(key, uid)
        kind.registry.forget(key, uid, None if entry is None else entry.number)
        _check_gone(path, record, "an object has its key, or somebody makes one")
    elif START.fullmatch(record.name):
        unlink_unlocked(path)
        _check_gone(path, record, "a process has it locked")
    else:
        _unlink(path, record)


def _check_gone(path: str, record: Record, why: str) -> None:
    """Raise what explains that a file is still there."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    theirs = found.st_uid != os.geteuid() != 0
    raise syscall_error(
        errno.EPERM if theirs else errno.EBUSY, "unlink", record.address, remedy=None if theirs else why
    )


def _unlink(path: str, record: Record) -> None:
    # Nobody gives such a name a second time: it has a random number in it.
    try:
        found = os.lstat(path)
        if (found.st_ctime, found.st_size) != (record.since, record.size):
            raise syscall_error(errno.ENOENT, "unlink", record.address, remedy="another file has its name now")
        os.unlink(path)
    except SyscallError:
        raise
    except OSError as error:
        raise syscall_error(error.errno or 0, "unlink", record.address) from None
