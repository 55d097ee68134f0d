"""The errno behind an exception of the posix_ipc package, which keeps it to itself.

posix_ipc raises classes and sentences of its own for most errnos and lets only the rest through as OSError. Which
errno it was follows from the class, the call and, for three of them, the sentence.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import posix_ipc

from ipckit.errors import syscall_error

if TYPE_CHECKING:
    from ipckit.errors import SyscallError

_CLASSES: dict[type[Exception], int] = {
    posix_ipc.PermissionsError: errno.EACCES,
    MemoryError: errno.ENOMEM,
}
_SENTENCES = {
    "Insufficient space": errno.ENOSPC,
    "This process already has the maximum": errno.EMFILE,
    "The system limit": errno.ENFILE,
    "The name is too long": errno.ENAMETOOLONG,
}


def errno_of(error: Exception, *, creating: bool = False) -> int:
    """The errno that made posix_ipc raise *error*.

    Args:
        creating: the call was an exclusive creation, so an "existential" error means that the name is taken.
    """
    if isinstance(error, posix_ipc.ExistentialError):
        return errno.EEXIST if creating else errno.ENOENT
    for kind, meant in _CLASSES.items():
        if isinstance(error, kind):
            return meant
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        return number
    text = str(error)
    return next((found for start, found in _SENTENCES.items() if text.startswith(start)), errno.EINVAL)


def translated(error: Exception, syscall: str, subject: object, *, creating: bool = False) -> SyscallError:
    """Build, without raising it, our exception for an *error* that posix_ipc raised in *syscall*."""
    number = errno_of(error, creating=creating)
    remedy = None
    if number == errno.EMFILE and syscall == "mq_open" and _descriptors_exhausted():
        remedy = "raise RLIMIT_NOFILE (ulimit -n), or close descriptors"
    return syscall_error(number, syscall, subject, remedy=remedy)


def _descriptors_exhausted() -> bool:
    """Whether this process can open nothing at all: mq_open(3) says EMFILE for RLIMIT_MSGQUEUE as well."""
    try:
        os.close(os.open("/", os.O_PATH | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EMFILE
    return False
