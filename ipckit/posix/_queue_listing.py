"""The mqueue file system: which queues there are, and who is registered with each: mq_overview(7)."""

from __future__ import annotations

import errno
import os
import re
from typing import NamedTuple

from ipckit._glimpse import GLIMPSE
from ipckit._native import ffi
from ipckit._native_quick import lib as quick
from ipckit.errors import check, syscall_error

_ENOUGH = 256  # bytes: four numbers and their names
_HOW = ("signal", "none", "thread")  # SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD


class QueueStatus(NamedTuple):
    """What the mqueue file system tells of a queue.

    `qsize` to `notify_pid`, and the numbers of messages, are None where it is not readable.

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
        messages: in the queue now.
        max_messages: as many as it takes.
        max_message_size: bytes in one message at most.
        used_time: when a message last came or went, or the queue was made; seconds since 1970.
        device, inode: tell it from any other queue, also one that gets its name later; as fstat(2) gives them of its
            descriptors, in whatever process.
    """

    name: str
    qsize: int | None
    notify: str | None
    signo: int | None
    notify_pid: int | None
    mode: int
    uid: int
    gid: int
    messages: int | None
    max_messages: int | None
    max_message_size: int | None
    used_time: float
    device: int
    inode: int


class _Content(NamedTuple):
    """What can be read of a queue, and the result of mq_getattr(3); nothing where a descriptor cannot be had."""

    text: bytes = b""
    messages: int | None = None
    max_messages: int | None = None
    max_message_size: int | None = None


def message_queues(folder: str | None = None) -> list[QueueStatus]:
    """List the queues of an IPC namespace, by name.

    Args:
        folder: where its mqueue file system is mounted; by default, where /proc/self/mounts says. The one that a
            container has is at /proc/PID/root/dev/mqueue.

    Raises:
        UnsupportedError: it is mounted nowhere; the message says how to (ENOSYS).
        NotFoundError: there is no such folder (ENOENT).
    """
    from ipckit.features import mqueue_mount

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
        return _status(name, _content(fd, os.pread(fd, _ENOUGH, 0)), os.fstat(fd))
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
        return _status(f"/{name}", _read(path) if fd is None else _reread(fd, path, found), found)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "open", path) from None


def _read(path: str) -> _Content:
    try:
        fd = os.open(path, GLIMPSE)
    except PermissionError:
        return _Content()
    try:
        return _content(fd, os.pread(fd, _ENOUGH, 0))
    finally:
        os.close(fd)


def _reread(fd: int, path: str, wanted: os.stat_result) -> _Content:
    """What a descriptor that is there already tells: to open and close another one would drop our registration."""
    try:
        text = os.pread(fd, _ENOUGH, 0)
    except OSError:  # it is for sending alone
        text = b""
    try:
        content = _content(fd, text)
        if os.path.samestat(os.fstat(fd), wanted):
            return content
    except OSError:
        pass
    return _read(path)  # another thread has closed it, and the registration has gone with it


def _content(fd: int, text: bytes) -> _Content:
    found = ffi.new("struct ipk_mqueue_attributes *")
    check(quick.ipk_mqueue_attributes(fd, found), "mq_getattr")
    return _Content(text, found.messages, found.max_messages, found.max_message_size)


def _status(name: str, content: _Content, found: os.stat_result) -> QueueStatus:
    text = content.text.decode("ascii")
    numbers = {field: int(number) for field, number in re.findall(r"(\w+):(\d+)", text)}
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
        messages=content.messages,
        max_messages=content.max_messages,
        max_message_size=content.max_message_size,
        used_time=found.st_mtime,
        device=found.st_dev,
        inode=found.st_ino,
    )
