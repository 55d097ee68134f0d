"""Numbers of the system calls in which a process can wait: syscalls(2), for x86_64 and for the generic table.

The generic table (include/uapi/asm-generic/unistd.h) is that of aarch64, riscv64 and loongarch64.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import NamedTuple

from ipckit.errors import syscall_error

_X86_64 = """
read 0 write 1 open 2 poll 7 readv 19 writev 20 select 23 pause 34 nanosleep 35 sendfile 40 connect 42 accept 43
sendto 44 recvfrom 45 sendmsg 46 recvmsg 47 wait4 61 semop 65 msgsnd 69 msgrcv 70 fcntl 72 flock 73 fsync 74
rt_sigtimedwait 128 rt_sigsuspend 130 futex 202 io_getevents 208 restart_syscall 219 semtimedop 220
clock_nanosleep 230 epoll_wait 232 mq_timedsend 242 mq_timedreceive 243 waitid 247 openat 257 pselect6 270 ppoll 271
splice 275 tee 276 vmsplice 278 epoll_pwait 281 accept4 288 preadv 295 pwritev 296 recvmmsg 299 sendmmsg 307
preadv2 327 pwritev2 328 io_uring_enter 426 openat2 437 epoll_pwait2 441 futex_waitv 449 futex_wait 455
"""

_GENERIC = """
io_getevents 4 epoll_pwait 22 fcntl 25 flock 32 openat 56 read 63 write 64 readv 65 writev 66 preadv 69 pwritev 70
sendfile 71 pselect6 72 ppoll 73 vmsplice 75 splice 76 tee 77 fsync 82 waitid 95 futex 98 nanosleep 101
clock_nanosleep 115 restart_syscall 128 rt_sigsuspend 133 rt_sigtimedwait 137 mq_timedsend 182 mq_timedreceive 183
msgrcv 188 msgsnd 189 semtimedop 192 semop 193 accept 202 connect 203 sendto 206 recvfrom 207 sendmsg 211
recvmsg 212 accept4 242 recvmmsg 243 wait4 260 sendmmsg 269 preadv2 286 pwritev2 287 io_uring_enter 426 openat2 437
epoll_pwait2 441 futex_waitv 449 futex_wait 455
"""

# libc picks the newest call that does the job, and some architectures never had the old one. restart_syscall(2) is
# what poll, nanosleep and futex become after SIGSTOP and SIGCONT; which of them it was is no longer to be seen.
_FAMILIES = {
    "poll": ("ppoll", "restart_syscall"),
    "ppoll": ("poll", "restart_syscall"),
    "select": ("pselect6",),
    "pselect": ("pselect6", "select"),
    "epoll_wait": ("epoll_pwait", "epoll_pwait2"),
    "accept": ("accept4",),
    "open": ("openat", "openat2"),
    "openat": ("open", "openat2"),
    "recv": ("recvfrom",),
    "send": ("sendto",),
    "recvmsg": ("recvmmsg",),
    "sendmsg": ("sendmmsg",),
    "wait": ("wait4", "waitid"),
    "waitpid": ("wait4", "waitid"),
    "wait4": ("waitid",),
    "waitid": ("wait4",),
    "pause": ("ppoll",),
    "sigsuspend": ("rt_sigsuspend",),
    "sigwait": ("rt_sigtimedwait",),
    "sigwaitinfo": ("rt_sigtimedwait",),
    "sigtimedwait": ("rt_sigtimedwait",),
    "nanosleep": ("clock_nanosleep", "restart_syscall"),
    "clock_nanosleep": ("nanosleep", "restart_syscall"),
    "semop": ("semtimedop",),
    "semtimedop": ("semop",),
    "futex": ("futex_wait", "restart_syscall"),
    "mq_receive": ("mq_timedreceive",),
    "mq_send": ("mq_timedsend",),
}


def _table() -> dict[str, int]:
    machine = os.uname().machine
    if machine == "x86_64" and sys.maxsize > 1 << 32:
        words = _X86_64.split()
    elif machine in {"aarch64", "riscv64", "loongarch64"}:
        words = _GENERIC.split()
    else:
        raise syscall_error(
            errno.ENOSYS, "syscalls", machine, remedy="the numbers of this architecture's calls are not known here"
        )
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


class Call(NamedTuple):
    """A system call that a thread is in: its number, and its six arguments as the registers have them."""

    number: int
    arguments: tuple[int, ...]


def call_in(text: bytes) -> Call | None:
    """What /proc/PID/syscall tells; None if the thread runs, or sleeps outside of a system call (a page fault)."""
    words = text.split()  # "running", or "-1 SP PC", or the number, six arguments, SP and PC
    if len(words) < 7:
        return None
    return Call(int(words[0]), tuple(int(word, 16) for word in words[1:7]))


def numbers(names: tuple[str, ...]) -> frozenset[int]:
    """The numbers of the named calls and of those that libc uses in their place; empty for no names.

    Raises:
        ValueError: a name is unknown.
        UnsupportedError: so is this architecture.
    """
    if not names:
        return frozenset()
    table = _table()
    found = set()
    for name in names:
        family = [table[member] for member in (name, *_FAMILIES.get(name, ())) if member in table]
        if not family:
            known = ", ".join(sorted({*table, *_FAMILIES}))
            raise ValueError(f"no system call {name!r} to wait for; known are {known}")
        found.update(family)
    return frozenset(found)


def name_of_number(number: int) -> str:
    """The call's name, or "system call N" if it is not in the table."""
    try:
        table = _table()
    except NotImplementedError:
        table = {}
    return next((name for name, known in table.items() if known == number), f"system call {number}")
