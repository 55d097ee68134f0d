"""Signals among processes: what fork and exec hand on, and what is left of the killed."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from ipckit import PidFd
from ipckit.errors import NoProcessError
from ipckit.signals import blocked, sigqueue, sigtimedwait, sigwait
from ipckit.testing import pause

if TYPE_CHECKING:
    from ipckit.testing import Spawn

RT = signal.SIGRTMIN
ALL = {signal.SIGUSR1, RT}


def take_all() -> list[tuple[int, int | None, int | None]]:
    taken = []
    while info := sigtimedwait(ALL, 0):
        taken.append((info.signum, info.value, info.pid))
    return taken


def hold_back() -> list[tuple[int, int | None, int | None]]:
    """Let the test send, then take what is pending."""
    with blocked(ALL):
        pause("blocked")
        return take_all()


def fork_with_pending() -> tuple[list[int], list[int], int]:
    """What is pending here, in a child that is forked now, and whether the child inherits the mask."""
    with blocked(ALL):
        sigqueue(os.getpid(), RT, 1)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= ALL
            os.write(writing, bytes([mask, *signal.sigpending()]))
            os._exit(0)
        os.close(writing)
        mask, *there = os.read(reading, 100)
        os.close(reading)
        os.waitpid(pid, 0)
        return [signum for signum, _, _ in take_all()], there, mask


def test_a_forked_child_has_the_mask_and_nothing_pending(spawn: Spawn) -> None:
    assert spawn(fork_with_pending).result() == ([RT], [], True)


def masks_of_programs() -> tuple[int, int]:
    """Which signals a program has blocked that subprocess, or PidFd.spawn, starts while some are blocked."""
    command = ["grep", "SigBlk", "/proc/self/status"]
    with blocked({RT, signal.SIGUSR1}), open(os.memfd_create("output"), "r+b") as output:
        subprocess.run(command, stdout=output, check=True)
        with PidFd.spawn(command, file_actions=[(os.POSIX_SPAWN_DUP2, output.fileno(), 1)]) as child:
            child.wait(10)
        output.seek(0)
        first, second = (int(line.split()[1], 16) for line in output)
    return first, second


def test_the_mask_outlives_exec_but_for_our_spawn(spawn: Spawn) -> None:
    ours = 1 << (RT - 1) | 1 << (signal.SIGUSR1 - 1)
    through_exec, through_spawn = spawn(masks_of_programs).result()
    assert through_exec & ours == ours
    assert through_spawn == 0


def wait_for_ever() -> None:
    with blocked({RT}):
        sigwait({RT})
        sigwait({RT})


def test_a_receiver_that_is_killed_loses_what_it_held_and_a_sender_is_told_once_it_is_reaped(spawn: Spawn) -> None:
    child = spawn(wait_for_ever)
    child.wait_blocked("rt_sigtimedwait")
    sigqueue(child.pid, RT, 1)
    child.wait_blocked("rt_sigtimedwait")
    child.send_signal(signal.SIGSTOP)
    for value in range(3):
        sigqueue(child.pid, RT, value)
    with PidFd.open(child.pid) as descriptor:  # which leads to nobody else, whoever has the number later
        child.kill()
        assert child.join() == -signal.SIGKILL
        with pytest.raises(NoProcessError):
            descriptor.sigqueue(RT, 1)


def be_killed_after_sending(pid: int) -> None:
    for value in range(10):
        sigqueue(pid, RT, value)
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_sender_queued_before_it_was_killed_arrives(spawn: Spawn) -> None:
    child = spawn(hold_back)
    child.wait_reached("blocked")
    sender = spawn(be_killed_after_sending, child.pid)
    assert sender.join() == -signal.SIGKILL
    child.resume("blocked")
    assert child.result() == [(RT, value, sender.pid) for value in range(10)]
