"""Every exception of ipckit, and the one table from errno to class: errno(3).

The classes say what the caller can do, never which call failed. Each also derives from the builtin that
users catch already, so ``except FileNotFoundError`` keeps working.

When the time is up, the outcome depends on the verb, in all modules alike:

=========================================================  =====================================
verb                                                       outcome
=========================================================  =====================================
``acquire`` of a lock or semaphore                         returns False
``acquire_read``, ``acquire_write`` of an RWLock            returns False
``Event.wait``, ``Condition.wait/wait_for``, ``Latch.wait``  returns False
``Event.wait_all``                                         returns False
``Event.wait_any``                                         returns an empty list
``signals.sigtimedwait``                                   returns None
``ipckit.wait``                                            returns an empty list
``Barrier.wait``                                           breaks the barrier, raises BrokenBarrierError
everything else, also at ``timeout=0``                     raises TimeoutExpired
``try_send``                                               returns False
``try_receive``                                            returns None (``b""`` is a message)
``try_acquire``                                            is ``acquire(timeout=0)``
=========================================================  =====================================
"""

from __future__ import annotations

import errno
import os
import queue
import threading

__all__ = [
    "AccessError",
    "AlreadyExistsError",
    "AuthenticationError",
    "BrokenBarrierError",
    "BrokenPeerError",
    "BusyError",
    "ClockSetError",
    "ClosedError",
    "DeadlockError",
    "DisconnectedError",
    "EndOfStreamError",
    "GarbageArgumentsError",
    "IPCError",
    "LayoutError",
    "LimitError",
    "MessageTooLargeError",
    "MessagesLostError",
    "NoProcessError",
    "NotFoundError",
    "NotOwnerError",
    "NotRecoverableError",
    "OwnerDiedError",
    "OwnerDiedWarning",
    "PeerDiedError",
    "ProcedureUnavailableError",
    "ProgramMismatchError",
    "ProgramUnavailableError",
    "QueueEmpty",
    "QueueFull",
    "RemoteFailureError",
    "RemovedError",
    "RpcError",
    "RpcMismatchError",
    "RpcProtocolError",
    "StalledError",
    "SyscallError",
    "TimeoutExpired",
    "UnsupportedError",
    "WorkerDiedError",
    "WouldBlockError",
    "XdrError",
    "check",
    "syscall_error",
]


class IPCError(Exception):
    """The root: everything that ipckit raises by itself, except ValueError and TypeError for bad arguments."""


class SyscallError(IPCError, OSError):
    """A system call failed.

    Attributes:
        errno: the error number, as in errno(3).
        strerror: its text, with the remedy where there is one.
        filename: the object: a name, a path, or a descriptor as text.
        syscall: the call, as its man page spells it.
        completed: how much of a longer operation was done before it failed: bytes written, messages sent.
    """

    syscall: str = ""
    completed: int = 0

    def __str__(self) -> str:
        call = f"{self.syscall}: " if self.syscall else ""
        subject = "" if self.filename is None else f": {self.filename!r}"
        return f"[Errno {self.errno}] {call}{self.strerror}{subject}"


class NotFoundError(SyscallError, FileNotFoundError):
    """There is no object of that name, or it is no longer the same one (ENOENT)."""


class NoProcessError(SyscallError, ProcessLookupError):
    """There is no such process, or it has ended and was waited for (ESRCH)."""


class AlreadyExistsError(SyscallError, FileExistsError):
    """The name is taken (EEXIST, EADDRINUSE)."""


class AccessError(SyscallError, PermissionError):
    """Permission bits, ownership, a seal or a capability forbid it (EACCES, EPERM)."""


class WouldBlockError(SyscallError, BlockingIOError):
    """The call would have to wait (EAGAIN)."""


class QueueFull(WouldBlockError, queue.Full):
    """A bounded queue has no room (EAGAIN)."""


class QueueEmpty(WouldBlockError, queue.Empty):
    """A queue holds nothing (EAGAIN)."""


class TimeoutExpired(SyscallError, TimeoutError):
    """The time given to a wait is up (ETIMEDOUT)."""


class StalledError(TimeoutExpired):
    """The time is up, and what was waited for is with another process, which lives, but did not go on (ETIMEDOUT).

    Attributes:
        pid: that process; 0 where it is not known.
    """

    pid: int = 0


class BrokenPeerError(SyscallError, BrokenPipeError):
    """The other end is closed (EPIPE, ECONNRESET, ECONNREFUSED, ENOTCONN), or no longer answers (ETIMEDOUT)."""


class DisconnectedError(BrokenPeerError):
    """A slow reader was disconnected, as the creator of the ring had chosen (ECONNRESET); it may subscribe again."""


class RemovedError(SyscallError):
    """The object was removed while it was in use (EIDRM)."""


class MessageTooLargeError(SyscallError):
    """The message exceeds what the object can ever hold (EMSGSIZE, E2BIG)."""


class LimitError(SyscallError):
    """A limit of the kernel is reached; the message names it (ENOSPC, EMFILE, ENFILE, ENOMEM, EDQUOT, some EAGAIN)."""


class BusyError(SyscallError):
    """Another thread, process or registration holds what was asked for (EBUSY)."""


class DeadlockError(SyscallError):
    """To wait would never end (EDEADLK)."""


class OwnerDiedError(SyscallError):
    """The previous owner died while it held the lock, which is now ours (EOWNERDEAD)."""


class NotRecoverableError(SyscallError):
    """The state behind a lock was left inconsistent (ENOTRECOVERABLE)."""


class ClockSetError(SyscallError):
    """The wall clock was set, and what was computed from it no longer holds (ECANCELED)."""


class UnsupportedError(SyscallError, NotImplementedError):
    """This kernel, file system or Python lacks the feature (ENOSYS, EOPNOTSUPP)."""


class ClosedError(IPCError, ValueError):
    """The handle was closed in this process."""


class NotOwnerError(IPCError, RuntimeError):
    """A lock is given back by a thread that does not hold it."""


class OwnerDiedWarning(RuntimeWarning):
    """The owner of a lock died with it, and the lock was recovered as its handle had asked."""


class PeerDiedError(IPCError, ConnectionError):
    """The process on the other side died without closing its end."""


class WorkerDiedError(IPCError):
    """A process that a server had started was killed, or ended by itself; its connection is closed.

    Attributes:
        pid: the process.
        status: its exit status; where a signal ended it, that signal's number, negative.
    """

    pid: int = 0
    status: int = 0


class EndOfStreamError(IPCError, EOFError):
    """The last writer closed its end, and everything that it sent has been received."""


class MessagesLostError(IPCError):
    """Messages were overwritten before this reader had received them; the next receive goes on after the gap.

    Attributes:
        lost: how many.
    """

    lost: int = 0


class LayoutError(IPCError):
    """A segment is not what it should be: magic, layout version or geometry differ, or its content is corrupt."""


class XdrError(IPCError, ValueError):
    """A value does not fit its XDR type, or bytes are no encoding of one: RFC 4506.

    Attributes:
        path: where in the value: ``entries[3].name``; "" for the whole of it.
        offset: where in the encoding: bytes from its begin.
    """

    path: str = ""
    offset: int = 0


class BrokenBarrierError(IPCError, threading.BrokenBarrierError):
    """The barrier was reset or aborted, a wait at it was given up, or a party died."""


class RpcError(IPCError):
    """A remote procedure call was answered, but not with a result."""


class ProgramUnavailableError(RpcError):
    """The server does not export the program: PROG_UNAVAIL of RFC 5531."""


class ProgramMismatchError(RpcError):
    """The server exports the program, but not in this version: PROG_MISMATCH of RFC 5531.

    Attributes:
        low: the lowest version that it exports.
        high: the highest one.
    """

    low: int = 0
    high: int = 0


class ProcedureUnavailableError(RpcError):
    """The program has no procedure of that number: PROC_UNAVAIL of RFC 5531."""


class GarbageArgumentsError(RpcError):
    """The server could not decode the arguments: GARBAGE_ARGS of RFC 5531."""


class RemoteFailureError(RpcError):
    """The procedure failed in the server: SYSTEM_ERR of RFC 5531."""


class RpcMismatchError(RpcError):
    """The server does not speak version 2 of the protocol: RPC_MISMATCH of RFC 5531.

    Attributes:
        low: the lowest version of the protocol that it speaks.
        high: the highest one.
    """

    low: int = 0
    high: int = 0


class AuthenticationError(RpcError):
    """The server refused the credential, or its own verifier does not prove who it is: AUTH_ERROR of RFC 5531.

    Attributes:
        auth_stat: why; ``ipckit.rpc.AuthStat`` names the numbers.
    """

    auth_stat: int = 0


class RpcProtocolError(RpcError):
    """The other side sent what is no message of the protocol."""


_CLASSES: dict[int, type[SyscallError]] = {
    errno.ENOENT: NotFoundError,
    errno.ESRCH: NoProcessError,
    errno.EEXIST: AlreadyExistsError,
    errno.EADDRINUSE: AlreadyExistsError,
    errno.EACCES: AccessError,
    errno.EPERM: AccessError,
    errno.EAGAIN: WouldBlockError,
    errno.ETIMEDOUT: TimeoutExpired,
    errno.EPIPE: BrokenPeerError,
    errno.ECONNRESET: BrokenPeerError,
    errno.ECONNREFUSED: BrokenPeerError,
    errno.ENOTCONN: BrokenPeerError,
    errno.EIDRM: RemovedError,
    errno.EMSGSIZE: MessageTooLargeError,
    errno.E2BIG: MessageTooLargeError,
    errno.ENOSPC: LimitError,
    errno.EMFILE: LimitError,
    errno.ENFILE: LimitError,
    errno.ENOMEM: LimitError,
    errno.EDQUOT: LimitError,
    errno.EBUSY: BusyError,
    errno.EDEADLK: DeadlockError,
    errno.EOWNERDEAD: OwnerDiedError,
    errno.ENOTRECOVERABLE: NotRecoverableError,
    errno.ECANCELED: ClockSetError,
    errno.ENOSYS: UnsupportedError,
    errno.EOPNOTSUPP: UnsupportedError,
}

_SHM_IS_FULL = "/dev/shm is full; enlarge it (mount -o remount,size=, docker --shm-size)"
_IS_THERE = "open the one that is there, or unlink it if a dead process left it"

_REMEDIES: dict[tuple[str, int], str] = {
    ("pipe2", errno.ENFILE): "raise sysctl fs.file-max, or fs.pipe-user-pages-hard where that is set",
    ("splice", errno.EINVAL): "between a pipe and another pipe, a stream socket, or a file without O_APPEND",
    ("splice", errno.EBADF): "the source must be open for reading, the target for writing",
    ("tee", errno.EINVAL): "both sides must be pipes, and not the same",
    ("tee", errno.EBADF): "the source must be open for reading, the target for writing",
    ("sendfile", errno.EBADF): "the file must be open for reading",
    ("mq_open", errno.EMFILE): "raise RLIMIT_MSGQUEUE (ulimit -q), or ask for fewer or smaller messages",
    ("mq_open", errno.ENOSPC): "raise sysctl fs.mqueue.queues_max, or unlink unused queues",
    ("msgget", errno.ENOSPC): "raise sysctl kernel.msgmni, or remove unused queues (ipcs -q, ipcrm)",
    (
        "semget",
        errno.ENOSPC,
    ): "raise sysctl kernel.sem (the second number: all semaphores, the fourth: sets), or remove "
    "unused sets (ipcs -s, ipcrm)",
    ("shmget", errno.ENOSPC): "raise sysctl kernel.shmmni (segments) or kernel.shmall (pages), or remove unused "
    "segments (ipcs -m, ipcrm)",
    ("msgrcv", errno.ENOSYS): "MSG_COPY needs a kernel with CONFIG_CHECKPOINT_RESTORE",
    ("mq_open", errno.EINVAL): "see sysctls fs.mqueue.msg_max and fs.mqueue.msgsize_max",
    ("fcntl(F_SETPIPE_SZ)", errno.EPERM): "raise sysctl fs.pipe-max-size",
    ("fcntl(F_SETPIPE_SZ)", errno.EBUSY): "the pipe holds more than that; read from it first",
    ("kill", errno.EPERM): "the receiver runs as another user: it takes the same user id, or CAP_KILL",
    ("sigqueue", errno.EPERM): "the receiver runs as another user: it takes the same user id, or CAP_KILL",
    ("pidfd_send_signal", errno.EPERM): "the receiver runs as another user: it takes the same user id, or CAP_KILL",
    ("pidfd_getfd", errno.EPERM): "it takes what attaching by ptrace(2) takes: all user and group ids of the process "
    "the same as ours and the process dumpable, or CAP_SYS_PTRACE; where sysctl kernel.yama.ptrace_scope is 1, a "
    "descendant of ours",
    ("timerfd_create", errno.EPERM): "a clock that wakes the machine takes CAP_WAKE_ALARM",
    ("posix_fallocate", errno.ENOSPC): _SHM_IS_FULL,
    ("ipk_home_publish", errno.EEXIST): _IS_THERE,
    ("linkat", errno.EEXIST): _IS_THERE,
    ("mq_open", errno.EEXIST): _IS_THERE,
    ("mkfifo", errno.EEXIST): _IS_THERE,
}

for _call in ("ipk_spsc_create", "ipk_mpmc_create", "ipk_broadcast_create", "ipk_latest_create", "ipk_home_create"):
    _REMEDIES[_call, errno.EEXIST] = _IS_THERE
    _REMEDIES[_call, errno.ENOSPC] = _SHM_IS_FULL
    _REMEDIES[_call, errno.ENOSYS] = (
        "rings and locks take Linux 4.14 or later, and those without a name a container that allows memfd_create"
    )
    _REMEDIES[_call, errno.EOPNOTSUPP] = "/dev/shm must be a tmpfs with O_TMPFILE; an object without a name needs none"

for _call, _since in {
    "memfd_create": "3.17",
    "pidfd_getfd": "5.6",
    "pidfd_open": "5.3",
    "pidfd_send_signal": "5.1",
    "process_vm_readv": "3.2",
    "process_vm_writev": "3.2",
}.items():
    _REMEDIES[_call, errno.ENOSYS] = f"it takes Linux {_since} or later, and a container that allows it"
for _call, _option in {
    "mq_open": "POSIX_MQUEUE",
    "msgget": "SYSVIPC",
    "semget": "SYSVIPC",
    "shmget": "SYSVIPC",
}.items():
    _REMEDIES[_call, errno.ENOSYS] = f"it takes a kernel with CONFIG_{_option}, and a container that allows it"

_ANY_CALL: dict[int, str] = {
    errno.EMFILE: "raise RLIMIT_NOFILE (ulimit -n), or close descriptors",
    errno.ENFILE: "raise sysctl fs.file-max",
    errno.EFBIG: "raise RLIMIT_FSIZE (ulimit -f)",
    errno.ENOSYS: "the kernel is too old or was built without it, or the container forbids it; see `ipckit doctor`",
    errno.ENOMEM: "no memory, or no address space (RLIMIT_AS, ulimit -v), or too many mappings (vm.max_map_count)",
    # strerror(3) says "Connection timed out", which is wrong for everything but a connection.
    errno.ETIMEDOUT: "",
}

_TEXTS: dict[int, str] = {errno.ETIMEDOUT: "The time given is up"}


def syscall_error(number: int, syscall: str, subject: object = None, *, remedy: str | None = None) -> SyscallError:
    """Build, without raising it, the exception for *number* (an errno) of *syscall* on *subject*.

    Args:
        number: a positive errno.
        syscall: as its man page spells it.
        subject: the name, path or descriptor; None where there is none.
        remedy: what the caller can do; the built-in hint for this call and errno by default.
    """
    text = _TEXTS.get(number) or os.strerror(number)
    hint = remedy or _REMEDIES.get((syscall, number)) or _ANY_CALL.get(number)
    if number == errno.ENOENT and not hint and not os.path.lexists("/proc/self"):
        hint = "/proc is not mounted, which it may need"
    if hint:
        text = f"{text} ({hint})"
    named = subject is None or isinstance(subject, (str, bytes))
    error = _CLASSES.get(number, SyscallError)(number, text, subject if named else str(subject))
    error.syscall = syscall
    return error


def remedies(number: int) -> dict[str, str]:
    """What can be done about *number*, by the call that gave it; under "" for all other calls, where there is that."""
    found = {call: hint for (call, given), hint in _REMEDIES.items() if given == number}
    return {**found, "": _ANY_CALL[number]} if _ANY_CALL.get(number) else found


def check(result: int, syscall: str, subject: object = None) -> int:
    """Return *result* of a C core call, or raise the exception for it where it is ``-errno``."""
    if result < 0:
        raise syscall_error(-result, syscall, subject)
    return result
