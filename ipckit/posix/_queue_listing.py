"""The mqueue file system: which queues there are, and who is registered with each: mq_overview(7)."""

from __future__ import annotations

import errno
import os
import re
from typing import NamedTuple

from ipckit.errors import syscall_error
from ipckit.features import mqueue_mount

_ENOUGH = 256  # bytes: four numbers and their names
_HOW = ("signal", "none", "thread")  # SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD


class QueueStatus(NamedTuple):
    """What the mqueue file system tells of a queue; `qsize` to `notify_pid` are None where it is not readable.

    Attributes:
        name: as `MessageQueue.open` takes it.
        qsize: bytes in all its messages.
        notify: how a process is registered: "signal", "thread" (that is every other way to be told), "none" for
            SIGEV_NONE; None if none is.
        signo: the signal, 0 for the other ways.
        notify_pid: the process, 0 for none; as this pid namespace knows it.
        mode: permission bits.
        uid: its owner.
        gid: its group.
    """

    name: str
    qsize: int | None
    notify: str | None
    signo: int | None
    notify_pid: int | None
    mode: int
    uid: int
    gid: int


def message_queues(folder: str | None = None) -> list[QueueStatus]:
    """List the queues of an IPC namespace, by name.

    Args:
        folder: where its mqueue file system is mounted; by default, where /proc/self/mounts says. The one that a
            container has is at /proc/PID/root/dev/mqueue.

    Raises:
        UnsupportedError: it is mounted nowhere; the message says how to (ENOSYS).
        NotFoundError: there is no such folder (ENOENT).
    """
    where = mqueue_mount() if folder is None else folder
    if where is None:
        remedy = "mount the mqueue file system, as root: mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue"
        raise syscall_error(errno.ENOSYS, "message_queues", remedy=remedy)
    try:
        names = sorted(os.listdir(where))
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "opendir", where) from None
    held = _held()
    return [status for name in names if (status := _look(where, name, held)) is not None]


def status_of(fd: int, name: str) -> QueueStatus:
    """The status of the queue of that descriptor: on Linux it is one of a file that can be read.

    Raises:
        AccessError: the descriptor is for sending alone (EACCES).
    """
    try:
        return _status(name, os.pread(fd, _ENOUGH, 0), os.fstat(fd))
    except OSError as error:
        if error.errno == errno.EBADF:
            raise syscall_error(errno.EACCES, "read", name, remedy="opened with receive=False") from None
        raise syscall_error(error.errno or errno.EIO, "read", name) from None


def _held() -> dict[tuple[int, int], int]:
    """A descriptor of this process for each file that it has open, by st_dev and st_ino."""
    found = {}
    for entry in os.listdir("/proc/self/fd"):
        try:
            status = os.fstat(int(entry))
        except OSError:  # the listing's own, or closed meanwhile
            continue
        found[status.st_dev, status.st_ino] = int(entry)
    return found


def _look(folder: str, name: str, held: dict[tuple[int, int], int]) -> QueueStatus | None:
    """The status of one queue; None if it was unlinked meanwhile."""
    path = os.path.join(folder, name)
    try:
        found = os.stat(path)
        fd = held.get((found.st_dev, found.st_ino))
        return _status(f"/{name}", _read(path) if fd is None else _reread(fd), found)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "open", path) from None


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return b""
    try:
        return os.pread(fd, _ENOUGH, 0)
    finally:
        os.close(fd)


def _reread(fd: int) -> bytes:
    """What a descriptor that is there already tells: to open and close another one would drop our registration."""
    try:
        return os.pread(fd, _ENOUGH, 0)
    except OSError:  # it is for sending alone
        return b""


def _status(name: str, text: bytes, found: os.stat_result) -> QueueStatus:
    numbers = {field: int(number) for field, number in re.findall(r"(\w+):(\d+)", text.decode("ascii"))}
    pid = numbers.get("NOTIFY_PID")
    return QueueStatus(
        name=name,
        qsize=numbers.get("QSIZE"),
        notify=_HOW[numbers["NOTIFY"]] if pid else None,
        signo=numbers.get("SIGNO"),
        notify_pid=pid,
        mode=found.st_mode & 0o777,
        uid=found.st_uid,
        gid=found.st_gid,
    )
