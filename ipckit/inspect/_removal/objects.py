"""How an object of each kind is removed: only the one that was looked at, and a segment only under its life lock."""

from __future__ import annotations

import errno
import os
import stat
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ipckit._life import Removal, unlink_held
from ipckit._shmfile import DIRECTORY
from ipckit.errors import SyscallError, syscall_error
from ipckit.inspect._removal.files import remove_file
from ipckit.inspect.segments import record_alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.inspect.records import Record

_SEGMENTS = ("ring", "sync")
_POSIX = {
    "mq": ("ipckit.posix", "MessageQueue"),
    "sem": ("ipckit.posix", "Semaphore"),
    "shm": ("ipckit.posix", "SharedMemory"),
}
_SYSTEM_V = {
    "sysv-mq": ("ipckit.sysv", "MessageQueue"),
    "sysv-sem": ("ipckit.sysv", "SemaphoreSet"),
    "sysv-shm": ("ipckit.sysv", "SharedMemory"),
}
_PATHS: dict[str, Callable[[int], bool]] = {"fifo": stat.S_ISFIFO, "unix": stat.S_ISSOCK}
_KEY_MASK = 0xFFFFFFFF
_HALF_OF_ID = 16  # hexadecimal digits


def remove_object(record: Record, accept: Callable[[Record], None], *, force: bool) -> None:
    """Remove the object that *record* is of.

    Args:
        accept: called with the record of a segment as it is when nobody can open it any more; what it raises keeps it.
        force: a segment goes though somebody has it; *accept* is not asked.

    Raises:
        ValueError: it has no name, and so goes by itself.
        NotFoundError: it is gone, or another one has its place (ENOENT).
        AccessError: it is another user's (EACCES, EPERM).
        BusyError: somebody has the segment (EBUSY).
    """
    if record.kind in _SYSTEM_V:
        _remove_system_v(record)
        return
    if record.name.startswith(("[", "@")) or record.kind not in (*_SEGMENTS, *_POSIX, *_PATHS, "file"):
        raise ValueError(f"{record.address} has no name to remove: it goes with the last process that has it")
    if record.kind in _SEGMENTS and force:
        unlink_held(_path_of(record), record.address, wanted=lambda fd: _is_same(record, fd))
    elif record.kind in _SEGMENTS:
        _remove_segment(record, accept)
    elif record.kind in _POSIX:
        _class(_POSIX[record.kind]).unlink_name(record.name)
    elif record.kind in _PATHS:
        _remove_path(record, _PATHS[record.kind])
    else:
        remove_file(record)


def _path_of(record: Record) -> str:
    return f"{DIRECTORY}/ipckit.{record.name[1:]}"


def _is_same(record: Any, fd: int) -> bool:
    found: Any = record_alone(record.kind, os.path.basename(_path_of(record)), fd)
    return found is not None and found.id == record.id


def _remove_segment(record: Any, accept: Callable[[Record], None]) -> None:
    path = _path_of(record)
    with Removal(path) as removal:
        found: Any = record_alone(record.kind, os.path.basename(path), removal.fd)
        if found is None or found.id != record.id:
            raise syscall_error(errno.ENOENT, "unlink", record.address, remedy="its name is another one's now")
        accept(found)
        removal.finish()
        if found.choices.get("oversize") == "file":
            from ipckit._spill import SpillFiles

            messages = SpillFiles(path, removal.fd, int(found.id[:_HALF_OF_ID], 16))
            messages.sweep(lambda: lambda _: True)


def _remove_system_v(record: Any) -> None:
    kind = _class(_SYSTEM_V[record.kind])._kind
    facts = kind.facts(record.id, record.address)
    changed = facts.changed_s and record.since is not None and facts.changed_s != int(record.since)
    # IPC_STAT tells the key as a C int: one that begins with a bit set is negative there.
    if (facts.key & _KEY_MASK, facts.creator_uid) != (record.key, record.creator_uid) or changed:
        raise syscall_error(errno.ENOENT, "IPC_RMID", record.address, remedy="another one has its number now")
    kind.remove(record.id, facts, record.address)


def _remove_path(record: Record, is_kind: Callable[[int], bool]) -> None:
    try:
        found = os.lstat(record.name)
        if not is_kind(found.st_mode) or (record.since is not None and found.st_ctime != record.since):
            raise syscall_error(errno.ENOENT, "unlink", record.address, remedy="its path is another one's now")
        os.unlink(record.name)
    except SyscallError:
        raise
    except OSError as error:
        raise syscall_error(error.errno or 0, "unlink", record.address) from None


def _class(place: tuple[str, str]) -> Any:
    return getattr(import_module(place[0]), place[1])
