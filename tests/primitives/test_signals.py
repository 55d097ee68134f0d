"""Signals sent, queued and taken: what is kept, in which order, and where it ends.

The receivers are processes of one thread: a signal to a process goes to any thread that does not block it.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipckit import PidFd, signals
from ipckit.errors import AccessError, LimitError, NoProcessError
from ipckit.signals import SignalFd, blocked, send, sigqueue, sigtimedwait
from ipckit.testing import pause

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipckit.signals import SignalInfo
    from ipckit.testing import Spawn

RT = signal.SIGRTMIN
ALL = {signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, *range(RT, RT + 6)}


def take_all(signums: Iterable[int] = ALL) -> list[SignalInfo]:
    taken = []
    while info := sigtimedwait(signums, 0):
        taken.append(info)
    return taken


def hold_back(signums: set[int] = ALL) -> list[SignalInfo]:
    """Let the test send, then take what is pending."""
    with blocked(signums):
        pause("blocked")
        return take_all(signums)


def values(infos: list[SignalInfo]) -> list[tuple[int, int | None]]:
    return [(info.signum, info.value) for info in infos]


def test_real_time_signals_are_all_kept_and_standard_ones_once(spawn: Spawn) -> None:
    child = spawn(hold_back)
    child.wait_reached("blocked")
    for value in range(50):
        sigqueue(child.pid, RT, value)
        sigqueue(child.pid, signal.SIGUSR1, value)
        send(child.pid, signal.SIGUSR2)
    child.resume("blocked")
    taken = values(child.result())
    assert taken == [(signal.SIGUSR1, 0), (signal.SIGUSR2, None), *((RT, value) for value in range(50))]


def test_lowest_number_first_standard_before_real_time_oldest_first_of_each(spawn: Spawn) -> None:
    child = spawn(hold_back)
    child.wait_reached("blocked")
    sent = [(RT + 3, 1), (RT, 2), (RT + 3, 3), (RT + 1, 4), (RT, 5), (signal.SIGTERM, 6), (signal.SIGUSR1, 7)]
    for signum, value in sent:
        sigqueue(child.pid, signum, value)
    child.resume("blocked")
    assert values(child.result()) == sorted(sent, key=lambda one: one[0])  # sorted keeps the order of equals


def test_the_value_is_a_c_int_and_comes_with_the_sender(spawn: Spawn) -> None:
    child = spawn(hold_back)
    child.wait_reached("blocked")
    ints = [0, 1, -1, 2**31 - 1, -(2**31)]
    with PidFd.open(child.pid) as descriptor:
        for value in ints:
            sigqueue(child.pid, RT, value)
            descriptor.sigqueue(RT + 1, value)
        for value in (2**31, -(2**31) - 1):
            for queue in (lambda v: sigqueue(child.pid, RT, v), lambda v: descriptor.sigqueue(RT, v)):
                with pytest.raises(ValueError, match=r"value must be -2147483648 to 2147483647"):
                    queue(value)
        descriptor.send_signal(signal.SIGUSR1)
    send(child.pid, signal.SIGTERM)
    child.resume("blocked")
    infos = child.result()
    assert [info.value for info in infos] == [None, None, *ints, *ints]
    assert {info.pid for info in infos} == {os.getpid()}
    assert {info.uid for info in infos} == {os.getuid()}
    assert [info.code_name for info in infos] == ["SI_USER"] * 2 + ["SI_QUEUE"] * 10
    assert infos[4].pointer & 0xFFFFFFFF == 0xFFFFFFFF


@pytest.mark.parametrize("bad", [-1, 65, 1000, 32, 33])
def test_numbers_that_are_no_signals(bad: int) -> None:
    me = os.getpid()
    with PidFd.open(me) as descriptor:
        for call in (
            lambda: send(me, bad),
            lambda: sigqueue(me, bad, 1),
            lambda: descriptor.send_signal(bad),
            lambda: descriptor.sigqueue(bad, 1),
            lambda: signals.name(bad),
            lambda: blocked({bad}),
            lambda: sigtimedwait({bad}, 0),
            lambda: SignalFd.create({bad}),
            lambda: signals.handler(bad, signal.SIG_IGN),
        ):
            with pytest.raises(ValueError, match=r"signum (must be|32 is|33 is)"):
                call()


def test_real_time_signals_begin_after_those_of_the_c_library() -> None:
    assert signal.SIGRTMIN == 34
    assert signals.name(34) == "SIGRTMIN"
    assert signals.name(64) == "SIGRTMIN+30"


def test_pids_of_one_process_only() -> None:
    for pid in (0, -1, -5, 2**31):
        for call in (lambda pid: send(pid, 0), lambda pid: sigqueue(pid, 0, 0)):
            with pytest.raises(ValueError, match=r"pid must be 1 to .*os\.killpg"):
                call(pid)
    for pid in ("1", 1.0, True, None):
        with pytest.raises(TypeError, match="pid"):
            send(pid, 0)  # type: ignore[arg-type]


def test_signal_0_only_looks_and_a_process_that_is_gone_has_its_own_class() -> None:
    pid = os.posix_spawnp("true", ["true"], os.environ)
    send(pid, 0)
    sigqueue(pid, 0, 1)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    send(pid, signal.SIGKILL)  # a zombie takes it, and nothing comes of it
    sigqueue(pid, RT, 1)
    os.waitpid(pid, 0)
    nobody = int(Path("/proc/sys/kernel/pid_max").read_text()) + 1  # that pid may be another one's by now
    for call in (lambda: send(nobody, 0), lambda: sigqueue(nobody, RT, 1)):
        with pytest.raises(NoProcessError, match=f"process {nobody}") as caught:
            call()
        assert isinstance(caught.value, ProcessLookupError)
        assert caught.value.errno == errno.ESRCH


def as_another_user(uid: int, pid: int) -> list[tuple[str, str]]:
    """What is refused, and how; another user may not be able to read the library any more, so nothing is imported."""
    refusals = []
    with PidFd.open(pid) as descriptor:
        calls = (
            lambda: send(pid, 0),
            lambda: sigqueue(pid, RT, 1),
            lambda: descriptor.send_signal(signal.SIGTERM),
            lambda: descriptor.sigqueue(RT, 1),
        )
        os.setuid(uid)
        for call in calls:
            try:
                call()
            except AccessError as error:
                refusals.append((error.syscall, str(error)))
    return refusals


@pytest.mark.skipif(os.getuid() != 0, reason="it takes root to become another user")
def test_another_user_is_refused(spawn: Spawn) -> None:
    refusals = spawn(as_another_user, 65534, os.getpid()).result()
    assert [syscall for syscall, _ in refusals] == ["kill", "sigqueue", "pidfd_send_signal", "pidfd_send_signal"]
    assert all("another user" in text and "CAP_KILL" in text for _, text in refusals)


def receive_with_little_room(room: int, uid: int | None) -> list[tuple[int, int | None, int | None, int]]:
    """Take all signals, with room for so many in the queue of a user who has no other process."""
    if uid is not None:
        os.setuid(uid)
    with blocked(ALL):
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (room, room))
        pause("blocked")
        return [(info.signum, info.code, info.pid, info.value) for info in take_all()]


@pytest.mark.skipif(os.getuid() != 0, reason="signals are counted for each user: it takes root to become a new one")
def test_a_full_queue_is_about_the_receivers_limit(spawn: Spawn) -> None:
    room = 5
    child = spawn(receive_with_little_room, room, 20_000 + os.getpid() % 40_000)
    child.wait_reached("blocked")
    for value in range(room):
        sigqueue(child.pid, RT, value)
    with PidFd.open(child.pid) as descriptor:
        for queue in (lambda: sigqueue(child.pid, RT, 99), lambda: descriptor.sigqueue(RT, 99)):
            with pytest.raises(
                LimitError, match=rf"receiver.* has 5 signals queued.* 5\..*--pid {child.pid}"
            ) as caught:
                queue()
            assert caught.value.errno == errno.EAGAIN
    # What comes now gets through, and nobody knows from whom, or with which value.
    send(child.pid, RT + 1)
    send(child.pid, RT + 1)
    sigqueue(child.pid, signal.SIGUSR1, 7)
    child.resume("blocked")
    me = os.getpid()
    queued = [(RT, -1, me, value) for value in range(room)]
    assert child.result() == [(signal.SIGUSR1, 0, 0, None), *queued, (RT + 1, 0, 0, None)]


def send_with_no_room(pid: int) -> None:
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0))
    for value in range(20):
        sigqueue(pid, RT, value)


def test_the_senders_limit_does_not_matter(spawn: Spawn) -> None:
    child = spawn(hold_back)
    child.wait_reached("blocked")
    spawn(send_with_no_room, child.pid).result()
    child.resume("blocked")
    assert values(child.result()) == [(RT, value) for value in range(20)]
