"""Wait until another process sleeps in a system call, as /proc/PID/syscall shows it: proc_pid_syscall(5)."""

from __future__ import annotations

import errno
import struct
import time
from typing import NamedTuple

from ipckit import _syscalls
from ipckit._wait import Deadline
from ipckit.errors import TimeoutExpired, syscall_error
from ipckit.testing import _procfs

LOOK_NS = 6_000_000
"""How long the same sleep must last to count: shorter ones are on the way (a page fault, an import, the GIL, for which
a thread never sleeps longer than 5 ms at a time: sys.getswitchinterval). One of which the time is over does not count,
however late its processor comes to wake it: `_is_over`."""

TURN_NS = 1_000_000
"""How long the other threads that are ready to run must have had a processor meanwhile, for a sleep in futex(2) to
count: who hands the GIL over sleeps without a limit until another thread has it, and who starts a thread until it runs.
"""

_FUTEX_WAIT_BITSET, _FUTEX_PRIVATE_FLAG, _FUTEX_CLOCK_REALTIME = 9, 128, 256  # linux/futex.h
_TIMESPEC = struct.Struct("@ll")


class _Look(NamedTuple):
    """What identifies one sleep: the call, its arguments, and how often the thread has gone to sleep so far."""

    number: int
    arguments: tuple[int, ...]
    sleeps: str


class _Others:
    """The other threads of a process, for one of which a thread that sleeps in futex(2) may be waiting."""

    def __init__(self, pid: int, tid: int) -> None:
        self._pid = pid
        self._tid = tid
        self._before = self._run_times()

    def had_their_turn(self) -> bool:
        """Whether each has had a processor for `TURN_NS` since this was made, or sleeps."""
        return all(
            _procfs.state(self._pid, tid) not in {"R", "D"} or now - self._before.get(tid, 0) >= TURN_NS
            for tid, now in self._run_times().items()
        )

    def _run_times(self) -> dict[int, int]:
        """Nothing where the kernel does not tell."""
        others = (tid for tid in _procfs.threads(self._pid) if tid != self._tid)
        found = {tid: _procfs.run_time_ns(self._pid, tid) for tid in others}
        return {tid: run_time for tid, run_time in found.items() if run_time is not None}


def wait_blocked(pid: int, *syscalls: str, timeout: float = 10, tid: int | None = None) -> None:
    """Wait until a thread of *pid* sleeps in one of *syscalls*, without a pause, for at least 6 ms.

    A process that waits in slices, as all of ipckit does, is met in one slice or the next. A sleep in futex(2) counts
    once the other threads of the process, if they are ready to run, have had a processor: it may be for one of them.

    Args:
        pid: the process.
        syscalls: names as in man section 2; those that libc uses in their place count as well, so that "poll" also
            means ppoll, and "epoll_wait" epoll_pwait. None: any call.
        timeout: seconds.
        tid: the thread; the main thread by default.

    Raises:
        TimeoutExpired: it did not; the message says what it did instead.
        SyscallError: the process ended, or does not exist (ESRCH).
        AccessError: /proc/PID/syscall is not for us to read (EPERM).
        UnsupportedError: this kernel has no such file (ENOSYS).
        ValueError: no such call is known.
    """
    until_blocked(pid, syscalls, Deadline.after(timeout), f"{timeout} s", tid=tid)


def until_blocked(
    pid: int,
    syscalls: tuple[str, ...],
    deadline: Deadline,
    limit: str,
    *,
    tid: int | None = None,
    ignore: int | None = None,
) -> None:
    """`wait_blocked` up to *deadline*; to read from or write to the descriptor *ignore* does not count."""
    transfers = _syscalls.numbers(("read", "write"))
    wanted = _syscalls.numbers(syscalls)
    tid = pid if tid is None else tid
    seen_at, before, others = 0, None, None
    while True:
        # Before we look: how long we are held up meanwhile is not how long it sleeps, and what others do it may await.
        counts = time.monotonic_ns() - seen_at >= LOOK_NS and (others is None or others.had_their_turn())
        look = _look(pid, tid)
        if look is None or (wanted and look.number not in wanted):
            before = others = None
        elif look != before or (look.arguments[0] == ignore and look.number in transfers):
            others = _Others(pid, tid) if _is_futex(look.number) else None
            seen_at, before = time.monotonic_ns(), look
        elif counts:
            return
        if deadline.expired:
            names = " or ".join(syscalls) or "any system call"
            text = f"after {limit} not blocked in {names}\n{_procfs.report(pid)}"
            raise TimeoutExpired(errno.ETIMEDOUT, text)
        time.sleep(0.0005)  # nothing in the kernel tells a third party that a process went to sleep


def _look(pid: int, tid: int) -> _Look | None:
    """The sleep that the thread is in; None if it runs, is stopped, or sleeps outside of a system call."""
    folder = f"/proc/{pid}/task/{tid}"
    try:
        with open(f"{folder}/syscall", "rb", buffering=0) as file:
            call = _syscalls.call_in(file.readall())
    except PermissionError:
        _check_alive(pid, tid)
        if "VmSize:" not in _procfs.read_text(f"{folder}/status"):
            return None  # it is ending: without memory of its own it is nobody's to trace
        raise syscall_error(
            errno.EPERM,
            "wait_blocked",
            f"{folder}/syscall",
            remedy="it takes the right to ptrace the process: same user, a descendant where "
            "kernel.yama.ptrace_scope is 1, and still dumpable",
        ) from None
    except (FileNotFoundError, ProcessLookupError):
        _check_alive(pid, tid)
        raise syscall_error(
            errno.ENOSYS, "wait_blocked", f"{folder}/syscall", remedy="the kernel lacks CONFIG_HAVE_ARCH_TRACEHOOK"
        ) from None
    over = call is not None and _is_over(folder, call)
    state = _check_alive(pid, tid)
    if call is None or over or state != "S":
        return None
    return _Look(call.number, call.arguments, _sleeps(folder))


def _is_over(folder: str, call: _syscalls.Call) -> bool:
    """Whether the thread sleeps in futex(2) up to a time that has passed, as libc has it sleep for locks and the GIL.

    It holds if the thread sleeps on: the time is in its memory.
    """
    _, operation, _, limit, *_ = call.arguments
    command = operation & ~(_FUTEX_PRIVATE_FLAG | _FUTEX_CLOCK_REALTIME)
    if command != _FUTEX_WAIT_BITSET or not limit or not _is_futex(call.number):
        return False
    clock = time.CLOCK_REALTIME if operation & _FUTEX_CLOCK_REALTIME else time.CLOCK_MONOTONIC
    try:
        with open(f"{folder}/mem", "rb", buffering=0) as memory:
            memory.seek(limit)
            seconds, nanoseconds = _TIMESPEC.unpack(memory.read(_TIMESPEC.size))
    except (OSError, struct.error):  # gone, or going
        return False
    return bool(seconds * 1_000_000_000 + nanoseconds <= time.clock_gettime_ns(clock))


def _is_futex(number: int) -> bool:
    return _syscalls.name_of_number(number) == "futex"


def _sleeps(folder: str) -> str:
    for line in _procfs.read_text(f"{folder}/status").splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return line.split()[1]
    return ""


def _check_alive(pid: int, tid: int) -> str:
    """The state letter."""
    state = _procfs.state(pid, tid)
    if state in {"", "Z", "X"}:
        how = "it has ended and waits to be reaped" if state else "it has ended, or never was"
        raise syscall_error(errno.ESRCH, "wait_blocked", f"process {pid}", remedy=how)
    return state
