"""The table of signals: names, numbers, and default actions, which are held against the kernel."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from ipckit import signals
from ipckit.signals import blocked

if TYPE_CHECKING:
    from ipckit.testing import Spawn


def test_the_table_has_every_signal_once_in_order() -> None:
    rows = signals.table()
    assert [row.number for row in rows] == sorted(signal.valid_signals())
    assert len({row.name for row in rows}) == len(rows) == 62
    assert [row.name for row in rows if row.queued] == [
        "SIGRTMIN", *(f"SIGRTMIN+{n}" for n in range(1, signal.SIGRTMAX - signal.SIGRTMIN + 1)),
    ]  # fmt: skip
    assert {row.name: row.number for row in rows if not row.queued}.items() >= {
        member.name: int(member) for member in signal.Signals if not member.name.startswith("SIGRT")
    }.items()
    assert all(row.description and signals.name(row.number) == row.name for row in rows)


ALIVE = 42


def do_by_default(signum: int) -> tuple[int, int, int]:
    """What a process that says nothing about the signal does: the code and status that its parent gets."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)  # in a group without a parent in the session, the terminal's signals would stop nobody
        if signum not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(signum, signal.SIG_DFL)
        os.write(writing, b"r")
        os.close(writing)
        signal.sigwait({signal.SIGRTMAX} - {signum} or {signal.SIGUSR1})
        os._exit(ALIVE)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    continued = 0
    if signum == signal.SIGCONT:
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
    os.kill(pid, signum)
    if signum == signal.SIGCONT:
        continued = os.waitid(os.P_PID, pid, os.WCONTINUED).si_code
    os.kill(pid, signal.SIGRTMAX if signum != signal.SIGRTMAX else signal.SIGUSR1)
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WSTOPPED)
    if ended.si_code == os.CLD_STOPPED:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return ended.si_code, ended.si_status, continued


def default_actions(folder: str) -> dict[str, str]:
    """Each signal's action, as a parent sees it."""
    os.chdir(folder)
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard if hard != resource.RLIM_INFINITY else 1 << 20, hard))
    Path("/proc/self/coredump_filter").write_text("0")  # inherited: no memory in the dumps
    found = {}
    with blocked({signal.SIGRTMAX, signal.SIGUSR1}):
        for row in signals.table():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {row.number} - {signal.SIGRTMAX, signal.SIGUSR1})
            found[row.name] = action_of(row.number)
    return found


def action_of(signum: int) -> str:
    unblocked = {signum} & {signal.SIGRTMAX, signal.SIGUSR1}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, unblocked)
    code, status, continued = do_by_default(signum)
    signal.pthread_sigmask(signal.SIG_BLOCK, unblocked)
    if (code, status) == (os.CLD_EXITED, ALIVE):
        return "Cont" if continued == os.CLD_CONTINUED else "Ign"
    assert status == signum
    return {os.CLD_KILLED: "Term", os.CLD_DUMPED: "Core", os.CLD_STOPPED: "Stop"}[code]


def test_default_actions_are_those_that_the_kernel_takes(spawn: Spawn, tmp_path: Path) -> None:
    found = spawn(default_actions, str(tmp_path)).result()
    expected = {row.name: row.action for row in signals.table()}
    if "Core" not in found.values():  # no dumps are made here, so it can't be seen
        expected = {name: "Term" if action == "Core" else action for name, action in expected.items()}
    assert found == expected
