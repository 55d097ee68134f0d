"""What proc(5) says about a process: its state, the call that it is in, its stacks, its descendants."""

from __future__ import annotations

import os
import time

from ipckit._tasks import tasks
from ipckit.testing._wire import DUMP_SIGNAL

_VSIZE, _END_CODE, _ENV_START, _ENV_END = 20, 24, 47, 48  # places in what `_stat_fields` returns
_EXEC_SECONDS = 10.0  # of a program whose file does not come, from another machine say
_ELSEWHERE_SECONDS = 1.0  # for stacks that are not written to the file that we look at


def read_text(path: str) -> str:
    """The content of a file of /proc; "" if it is gone or may not be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall().decode(errors="replace")
    except OSError:
        return ""


def state(pid: int, tid: int | None = None) -> str:
    """The state letter of proc_pid_stat(5), "R", "S", "D", "T", "Z" ..., of a process's main thread; "" if gone."""
    return (_stat_fields(pid, tid) or [""])[0]


def threads(pid: int) -> list[int]:
    """The thread ids of a process, the main thread's among them; none if it is gone."""
    try:
        return sorted(tasks(pid))
    except OSError:
        return []


def run_time_ns(pid: int, tid: int) -> int | None:
    """For how long a thread has had a processor; None if it is gone, or the kernel does not say (CONFIG_SCHED_INFO)."""
    first = read_text(f"/proc/{pid}/task/{tid}/schedstat").split()[:1]
    return int(first[0]) if first else None


def parent_of(pid: int) -> int:
    """The parent's pid; 0 if *pid* is gone."""
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else 0


def environment(pid: int) -> list[str]:
    """The variables that the process was started with; none if it is gone or may not be asked.

    In the middle of an execve(2) there are none for some microseconds, or for as long as the process does not get a
    processor; so of one that is there the new ones are waited for.
    """
    end = time.monotonic() + _EXEC_SECONDS
    while True:
        try:
            with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
                found = file.readall().decode(errors="replace")
        except OSError:
            return []
        if found or _has_no_environment(pid) or time.monotonic() > end:
            return found.split("\0")
        time.sleep(0.0005)


def pids() -> list[int]:
    """Every process that /proc shows."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def own_children() -> list[int]:
    """The direct children of this process, zombies included; it takes one file for each thread of ours."""
    try:
        found = _listed_children()
        # A thread that ends hands its children to another one, and a child that another thread reaps while the list
        # is read can hide the next: proc_tid_children(5).
        while (again := _listed_children()) != found:
            found = again
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [pid for pid in pids() if parent_of(pid) == os.getpid()]
    return found


def descendants(pid: int) -> list[int]:
    """Children, their children, and so on, zombies included; parents come before their children."""
    parents = {other: parent_of(other) for other in pids()}
    found = [pid]
    for ancestor in found:
        found += [other for other, parent in parents.items() if parent == ancestor]
    return found[1:]


def command(pid: int) -> str:
    """The command line, long arguments cut; or the name of the executable where there is none (zombies)."""
    words = read_text(f"/proc/{pid}/cmdline").rstrip("\0").split("\0")
    line = " ".join(word if len(word) <= 60 else f"{word[:20]}..." for word in words)
    return line or read_text(f"/proc/{pid}/comm").strip()


def report(pid: int) -> str:
    """What *pid* is doing, in lines for a person: state, system call and kernel function of each thread."""
    if not state(pid):
        return f"process {pid} is gone"
    lines = [f"process {pid}: {command(pid)}"]
    lines += [
        f"  thread {tid}: state {state(pid, tid) or '?'}, in {_call(pid, tid)}, "
        f"wchan {read_text(f'/proc/{pid}/task/{tid}/wchan') or '?'}"
        for tid in threads(pid)
    ]
    return "\n".join(lines)


def python_stacks(pid: int, *, patience: float = 10.0) -> str:
    """Have *pid* write its Python stacks to its stderr, and return them if that is a file that can be read.

    It does so in a signal handler, which ends some system calls, msgrcv and semop among them: signal(7).

    Args:
        pid: a process; one without a handler for `DUMP_SIGNAL`, which would kill it, is left in peace.
        patience: seconds until a process that does not answer (it does not get a processor, say) is given up.
    """
    if not _catches(pid, DUMP_SIGNAL) or state(pid) in {"T", "t", "Z"}:
        return ""
    path = f"/proc/{pid}/fd/2"
    try:
        before = os.stat(path).st_size
        deaf = _blocking(pid, DUMP_SIGNAL)
        if deaf.issuperset(threads(pid)):
            return ""
        os.kill(pid, DUMP_SIGNAL)
        start = time.monotonic()
        while time.monotonic() - start < patience:
            time.sleep(0.01)
            if os.stat(path).st_size == before and time.monotonic() - start < _ELSEWHERE_SECONDS:
                continue
            # A signal is blocked while its handler runs.
            if not _is_pending(pid, DUMP_SIGNAL) and _blocking(pid, DUMP_SIGNAL) <= deaf:
                break
        with open(path, "rb") as file:
            file.seek(before)
            return file.read().decode(errors="replace").strip()
    except OSError:  # gone meanwhile, not ours, or its stderr is a terminal or a pipe
        return ""


def _has_no_environment(pid: int) -> bool:
    """Whether the process, which we may ask, was started without, or is gone; False also while it is given one.

    While it is given one, that begins and ends at the same address for a while; the program's code is told of after it.
    """
    fields = _stat_fields(pid)
    if not fields or fields[_VSIZE] == "0":
        return True
    return fields[_ENV_START] == fields[_ENV_END] != "0" != fields[_END_CODE]


def _listed_children() -> list[int]:
    found: list[int] = []
    for tid in tasks("self"):
        try:
            with open(f"/proc/self/task/{tid}/children", "rb", buffering=0) as file:
                found += map(int, file.readall().split())
        except FileNotFoundError:
            if os.path.exists(f"/proc/self/task/{tid}"):
                raise
    return found


def _stat_fields(pid: int, tid: int | None = None) -> list[str]:
    """The fields after the name, which is in parentheses and may itself hold spaces and parentheses."""
    text = read_text(f"/proc/{pid}/stat" if tid is None else f"/proc/{pid}/task/{tid}/stat")
    return text.rpartition(")")[2].split()


def _call(pid: int, tid: int) -> str:
    from ipckit._syscalls import name_of_number

    first = read_text(f"/proc/{pid}/task/{tid}/syscall").split()
    if not first:
        return "an unknown call"
    if not first[0].isdecimal():
        return "no system call"
    return name_of_number(int(first[0]))


def _catches(pid: int, signum: int) -> bool:
    return _has(read_text(f"/proc/{pid}/status"), "SigCgt", signum)


def _is_pending(pid: int, signum: int) -> bool:
    return _has(read_text(f"/proc/{pid}/status"), "ShdPnd", signum)


def _blocking(pid: int, signum: int) -> set[int]:
    """The threads that block the signal."""
    return {tid for tid in threads(pid) if _has(read_text(f"/proc/{pid}/task/{tid}/status"), "SigBlk", signum)}


def _has(status: str, which: str, signum: int) -> bool:
    """Whether *signum* is in one of the sets of signals of proc_pid_status(5)."""
    for line in status.splitlines():
        if line.startswith(f"{which}:"):
            return bool(int(line.split()[1], 16) >> (signum - 1) & 1)
    return False
