"""What this kernel allows: its IPC limits, read fresh, and its features, found by trying them.

Limits come from proc(5) and getrlimit(2), and are None where the machine does not tell. Sizes are in bytes.
A probe's answer is kept; it raises LimitError where a limit, such as that of open files, keeps it from trying.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import struct
from functools import cache
from typing import NamedTuple

from ipckit._shmfile import DIRECTORY
from ipckit.errors import syscall_error

__all__ = [
    "Limits",
    "SemLimits",
    "has_futex_waitv",
    "has_memfd",
    "has_mqueue",
    "has_msg_copy",
    "has_ofd_locks",
    "has_peer_pidfd",
    "has_pidfd",
    "has_shm_tmpfile",
    "limits",
    "mqueue_mount",
]

SO_PEERPIDFD = 77  # asm-generic/socket.h; the socket module does not have it
_NO_QUEUE = (1 << 31) - 1
PIPE_BUF = 4096  # limits.h: what one write(2) to a pipe puts there in one piece


class SemLimits(NamedTuple):
    """System V semaphores: sysctl kernel.sem."""

    semmsl: int
    """Semaphores in one set."""
    semmns: int
    """Semaphores in all sets."""
    semopm: int
    """Operations in one semop(2)."""
    semmni: int
    """Sets."""


class Limits(NamedTuple):
    """The limits of this process's IPC namespace and the soft limits of this process; None: unknown or none."""

    mq_queues_max: int | None
    """Message queues of the IPC namespace: fs.mqueue.queues_max."""
    mq_max_messages: int | None
    """Messages in one queue of the unprivileged: fs.mqueue.msg_max."""
    mq_max_message_size: int | None
    """Bytes in one message of the unprivileged: fs.mqueue.msgsize_max."""
    rlimit_msgqueue: int | None
    """Bytes in all queues of this user: RLIMIT_MSGQUEUE."""
    pipe_max_size: int | None
    """Bytes in one pipe of the unprivileged: fs.pipe-max-size."""
    pipe_user_pages_soft: int | None
    """Pages in the pipes of one user, from which on a new pipe has two: fs.pipe-user-pages-soft."""
    pipe_buf: int
    """Bytes that one write(2) to a pipe puts there in one piece: PIPE_BUF."""
    sem: SemLimits | None
    """System V semaphores: kernel.sem."""
    msgmax: int | None
    """Bytes in one System V message: kernel.msgmax."""
    msgmnb: int | None
    """Bytes in one System V queue at first: kernel.msgmnb."""
    msgmni: int | None
    """System V queues: kernel.msgmni."""
    shmmax: int | None
    """Bytes in one System V segment: kernel.shmmax."""
    shmall: int | None
    """Pages in all System V segments: kernel.shmall."""
    shmmni: int | None
    """System V segments: kernel.shmmni."""
    shm_size: int | None
    """Bytes in all of /dev/shm."""
    shm_free: int | None
    """Bytes free in /dev/shm now."""
    max_dgram_qlen: int | None
    """Datagrams queued at one Unix socket: net.unix.max_dgram_qlen."""
    somaxconn: int | None
    """Connections in the backlog of a listening socket: net.core.somaxconn."""
    rlimit_nofile: int | None
    """Descriptors of this process: RLIMIT_NOFILE."""
    rlimit_sigpending: int | None
    """Signals queued for this user: RLIMIT_SIGPENDING."""
    rlimit_memlock: int | None
    """Bytes that this process may lock in memory: RLIMIT_MEMLOCK."""


def limits() -> Limits:
    """Read the limits as they are now."""
    sem = _sysctl_numbers("kernel/sem")
    shm_size, shm_free = _shm_space()
    return Limits(
        mq_queues_max=_sysctl("fs/mqueue/queues_max"),
        mq_max_messages=_sysctl("fs/mqueue/msg_max"),
        mq_max_message_size=_sysctl("fs/mqueue/msgsize_max"),
        rlimit_msgqueue=_soft_limit(resource.RLIMIT_MSGQUEUE),
        pipe_max_size=_sysctl("fs/pipe-max-size"),
        pipe_user_pages_soft=_sysctl("fs/pipe-user-pages-soft"),
        pipe_buf=PIPE_BUF,
        sem=SemLimits(*sem) if len(sem) == 4 else None,
        msgmax=_sysctl("kernel/msgmax"),
        msgmnb=_sysctl("kernel/msgmnb"),
        msgmni=_sysctl("kernel/msgmni"),
        shmmax=_sysctl("kernel/shmmax"),
        shmall=_sysctl("kernel/shmall"),
        shmmni=_sysctl("kernel/shmmni"),
        shm_size=shm_size,
        shm_free=shm_free,
        max_dgram_qlen=_sysctl("net/unix/max_dgram_qlen"),
        somaxconn=_sysctl("net/core/somaxconn"),
        rlimit_nofile=_soft_limit(resource.RLIMIT_NOFILE),
        rlimit_sigpending=_soft_limit(resource.RLIMIT_SIGPENDING),
        rlimit_memlock=_soft_limit(resource.RLIMIT_MEMLOCK),
    )


@cache
def has_futex_waitv() -> bool:
    """Whether futex_waitv(2) works here (Linux 5.16, unless a seccomp filter forbids it)."""
    from ipckit._native import lib

    return bool(lib.ipk_futex_has_waitv())


@cache
def has_memfd() -> bool:
    """Whether memfd_create(2) with seals works here (Linux 3.17)."""
    try:
        fd = os.memfd_create("ipckit-probe", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (AttributeError, OSError) as error:
        return _absent(error, "memfd_create")
    os.close(fd)
    return True


@cache
def has_pidfd() -> bool:
    """Whether pidfd_open(2) works here (Linux 5.3)."""
    try:
        fd = os.pidfd_open(os.getpid())
    except (AttributeError, OSError) as error:
        return _absent(error, "pidfd_open")
    os.close(fd)
    return True


@cache
def has_peer_pidfd() -> bool:
    """Whether a Unix socket tells its peer as a pidfd: SO_PEERPIDFD of unix(7) (Linux 6.5)."""
    import socket

    try:
        one, other = socket.socketpair(socket.AF_UNIX)
    except OSError as error:
        return _absent(error, "socketpair")
    with one, other:
        try:
            fd = one.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
        except OSError as error:
            return _absent(error, "getsockopt")
    os.close(fd)
    return True


@cache
def has_shm_tmpfile() -> bool:
    """Whether a file in /dev/shm can be made without a name and named later: O_TMPFILE and /proc/self/fd."""
    try:
        fd = os.open(DIRECTORY, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return _absent(error, "open")
    try:
        return os.path.lexists(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


@cache
def has_mqueue() -> bool:
    """Whether this kernel has POSIX message queues (CONFIG_POSIX_MQUEUE), mounted or not."""
    import posix_ipc

    try:
        posix_ipc.unlink_message_queue(f"/ipckit-probe-{os.getpid()}-{os.urandom(8).hex()}")
    except OSError as error:
        return error.errno != errno.ENOSYS
    except Exception:
        return True  # posix_ipc's word for "no such queue": somebody was there to look for it
    return True


@cache
def has_msg_copy() -> bool:
    """Whether a System V message can be copied and left in its queue: MSG_COPY, CONFIG_CHECKPOINT_RESTORE."""
    from ipckit._native import ffi, lib

    # There is no queue of that number, but the kernel looks for the feature first.
    return lib.ipk_sysv_msg_peek(_NO_QUEUE, ffi.NULL, 0, 0) in (-errno.EINVAL, -errno.EIDRM)


@cache
def has_ofd_locks() -> bool:
    """Whether open file description locks work here: fcntl(2) F_OFD_SETLK (Linux 3.15)."""
    # struct flock: l_type, l_whence, l_start, l_len, l_pid, which is 0 for these.
    whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        fd = os.memfd_create("ipckit-probe", os.MFD_CLOEXEC)
    except (AttributeError, OSError) as error:
        return _absent(error, "memfd_create")
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, whole_file)
    except (AttributeError, OSError):
        return False
    finally:
        os.close(fd)
    return True


def mqueue_mount() -> str | None:
    """Where the mqueue file system of mq_overview(7) is mounted, so that queues can be listed; None: nowhere."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
            mounts = file.readlines()
    except OSError:
        return None
    for line in mounts:
        fields = line.split(" ")
        if len(fields) > 2 and fields[2] == "mqueue":
            return fields[1].replace("\\040", " ")
    return None


def _absent(error: Exception, syscall: str) -> bool:
    """False: the feature is not there. A limit says nothing about the feature, so it is raised, and nothing cached."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC):
        raise syscall_error(error.errno, syscall) from None
    return False


def _sysctl(path: str) -> int | None:
    numbers = _sysctl_numbers(path)
    return numbers[0] if numbers else None


def _sysctl_numbers(path: str) -> list[int]:
    try:
        with open(f"/proc/sys/{path}", "rb") as file:
            return [int(word) for word in file.read().split()]
    except (OSError, ValueError):
        return []


def _soft_limit(which: int) -> int | None:
    soft, _ = resource.getrlimit(which)
    return None if soft == resource.RLIM_INFINITY else soft


def _shm_space() -> tuple[int | None, int | None]:
    try:
        found = os.statvfs(DIRECTORY)
    except OSError:
        return None, None
    return found.f_frsize * found.f_blocks, found.f_frsize * found.f_bavail
