"""wait_blocked: asleep in the right call, and nothing else."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import socket
import tempfile
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import posix_ipc
import pytest
import sysv_ipc

from ipckit import _syscalls
from ipckit.errors import AccessError, IPCError, SyscallError, TimeoutExpired
from ipckit.testing import ChildFailed, Spawn, pause, reached, wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable


def block_in_read() -> None:
    os.read(os.pipe()[0], 1)


def block_in_write() -> None:
    fd = os.pipe()[1]
    os.write(fd, bytes(1 << 20))


def block_in_poll() -> None:
    poller = select.poll()
    poller.register(os.pipe()[0], select.POLLIN)
    poller.poll()


def block_in_select() -> None:
    select.select([os.pipe()[0]], [], [])


def block_in_epoll_wait() -> None:
    select.epoll().poll()


def block_in_futex() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def block_in_accept() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.accept()


def block_in_recvfrom() -> None:
    pair = socket.socketpair()
    pair[0].recv(1)


def block_in_recvmsg() -> None:
    pair = socket.socketpair()
    pair[0].recvmsg(1)


def block_in_sendto() -> None:
    ours, theirs = socket.socketpair()
    ours.sendall(bytes(1 << 22))
    theirs.close()


def block_in_flock() -> None:
    with tempfile.TemporaryFile() as first, open(f"/proc/self/fd/{first.fileno()}", "rb") as second:
        fcntl.flock(first, fcntl.LOCK_EX)
        fcntl.flock(second, fcntl.LOCK_EX)


def block_in_wait4() -> None:
    if os.fork() == 0:
        signal.pause()
    os.wait()


def block_in_waitid() -> None:
    if os.fork() == 0:
        signal.pause()
    os.waitid(os.P_ALL, 0, os.WEXITED)


def block_in_pause() -> None:
    signal.pause()


def block_in_sigtimedwait() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    signal.sigtimedwait({signal.SIGUSR1}, 1000)


def block_in_nanosleep() -> None:
    ctypes.CDLL(None).sleep(1000)  # time.sleep() is select(2) in Python 3.10


def block_in_mq_timedreceive() -> None:
    queue = posix_ipc.MessageQueue(None, posix_ipc.O_CREX)
    queue.unlink()
    queue.receive()


def block_in_mq_timedsend() -> None:
    queue = posix_ipc.MessageQueue(None, posix_ipc.O_CREX, max_messages=1)
    queue.unlink()
    queue.send(b"1")
    queue.send(b"2")


BLOCKERS = [value for name, value in sorted(globals().items()) if name.startswith("block_in_")]


@pytest.mark.parametrize("blocker", BLOCKERS, ids=lambda blocker: blocker.__name__.removeprefix("block_in_"))
def test_each_call_is_seen(spawn: Spawn, blocker: Callable[[], None]) -> None:
    child = spawn(blocker)
    child.wait_blocked(blocker.__name__.removeprefix("block_in_"))
    other = "flock" if blocker is not block_in_flock else "read"
    with pytest.raises(TimeoutExpired, match=f"not blocked in {other}"):
        wait_blocked(child.pid, other, timeout=0.01)
    wait_blocked(child.pid, other, blocker.__name__.removeprefix("block_in_"))
    wait_blocked(child.pid)


def receive_from_system_v(key: int) -> None:
    sysv_ipc.MessageQueue(key).receive()


def acquire_system_v(key: int) -> None:
    sysv_ipc.Semaphore(key).acquire()


def test_system_v_calls_are_seen(spawn: Spawn) -> None:
    queue, semaphore = sysv_ipc.MessageQueue(None, sysv_ipc.IPC_CREX), sysv_ipc.Semaphore(None, sysv_ipc.IPC_CREX)
    try:
        receiver, acquirer = spawn(receive_from_system_v, queue.key), spawn(acquire_system_v, semaphore.key)
        receiver.wait_blocked("msgrcv")
        acquirer.wait_blocked("semop")
        # Expired limits disturb nobody: a signal would have ended these two calls.
        for child in (receiver, acquirer):
            with pytest.raises(TimeoutExpired):
                child.join(timeout=0)
        queue.send(b"x")
        semaphore.release()
        assert receiver.join() == acquirer.join() == 0
    finally:
        queue.remove()
        semaphore.remove()


def wait_in_slices() -> None:
    poller = select.poll()
    poller.register(os.pipe()[0], select.POLLIN)
    while True:
        poller.poll(50)


def test_wait_in_slices_is_met(spawn: Spawn) -> None:
    child = spawn(wait_in_slices)
    for _ in range(20):
        child.wait_blocked("poll")


def run_for_ever() -> None:
    reached("running")
    while True:
        pass


def test_running_is_not_blocked(spawn: Spawn) -> None:
    child = spawn(run_for_ever)
    child.wait_reached("running")
    with pytest.raises(TimeoutExpired) as caught:
        child.wait_blocked(timeout=0.1)
    assert "state R, in no system call" in str(caught.value)


def pass_through() -> None:
    read_fd, write_fd = os.pipe()
    poller = select.poll()
    poller.register(read_fd, select.POLLIN)
    reached("running")
    while True:
        poller.poll(1)  # asleep, yet never for as long as it takes to count
        os.write(write_fd, b"x")
        os.read(read_fd, 1)


def test_short_sleep_on_the_way_is_not_blocked(spawn: Spawn) -> None:
    child = spawn(pass_through)
    child.wait_reached("running")
    with pytest.raises(TimeoutExpired):
        child.wait_blocked("read", "write", timeout=0.2)


PR_SET_TIMERSLACK = 29


def contend_for_the_gil() -> None:
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 50_000_000)  # as on a processor that comes 50 ms late
    threading.Thread(target=run_for_ever, daemon=True).start()
    for _ in range(100_000):
        pass
    reached("sleep")
    block_in_futex()


def test_late_return_from_a_wait_for_the_gil_is_not_blocked(spawn: Spawn) -> None:
    child = spawn(contend_for_the_gil)
    child.wait_reached("running")
    child.wait_blocked("futex")
    child.wait_reached("sleep", timeout=0)


def keep_busy(cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})
    run_for_ever()


def hand_over_the_gil(cpu: int) -> None:
    """To a thread that takes its time: it gets next to no processor."""
    go, taken = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (go.wait(), taken.set()))
    thread.start()
    assert thread.native_id is not None
    os.sched_setaffinity(thread.native_id, {cpu})
    os.sched_setscheduler(thread.native_id, os.SCHED_IDLE, os.sched_param(0))
    reached("running")
    go.set()
    while not taken.is_set():
        pass
    reached("sleep")
    block_in_futex()


def test_handing_over_the_gil_is_not_blocked(spawn: Spawn) -> None:
    cpu = max(os.sched_getaffinity(0))
    for busy in [spawn(keep_busy, cpu) for _ in range(2)]:
        busy.wait_reached("running")
    child = spawn(hand_over_the_gil, cpu)
    child.wait_reached("running")
    child.wait_blocked("futex")
    child.wait_reached("sleep", timeout=0)


def test_stopped_is_not_blocked_and_continued_is_again(spawn: Spawn) -> None:
    child = spawn(block_in_read)
    child.wait_blocked("read")
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    with pytest.raises(TimeoutExpired, match="state T"):
        child.wait_blocked("read", timeout=0.02)
    child.send_signal(signal.SIGCONT)
    child.wait_blocked("read")


def test_restarted_call_still_counts(spawn: Spawn) -> None:
    child = spawn(block_in_poll)
    child.wait_blocked("poll")
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    child.send_signal(signal.SIGCONT)
    child.wait_blocked("poll")


def pause_then_read() -> None:
    pause("here")
    os.read(os.pipe()[0], 1)


def test_pause_is_not_taken_for_a_wait_of_the_function(spawn: Spawn) -> None:
    child = spawn(pause_then_read)
    child.wait_reached("here")
    with pytest.raises(TimeoutExpired):
        child.wait_blocked("read", timeout=0.05)
    with pytest.raises(TimeoutExpired):
        child.wait_blocked(timeout=0.05)
    child.resume("here")
    child.wait_blocked("read")


def end_soon() -> None:
    raise ValueError("nothing to wait for")


def test_end_instead_of_a_wait_is_told_with_its_reason(spawn: Spawn) -> None:
    with pytest.raises(ChildFailed, match=r"(?s)before it came to block in read.*nothing to wait for"):
        spawn(end_soon).wait_blocked("read")


def hold_then_fail() -> None:
    pause("here")
    raise ValueError("late")


def test_process_that_ended_is_told(spawn: Spawn) -> None:
    child = spawn(hold_then_fail)
    child.wait_reached("here")
    child.resume("here")
    with pytest.raises(SyscallError, match="waits to be reaped"):
        wait_blocked(child.pid, "poll")
    assert child.join() == 1
    with pytest.raises(SyscallError, match=f"No such process .*process {child.pid}"):
        wait_blocked(child.pid, "poll")


def test_thread_is_watched_by_its_id() -> None:
    read_fd, write_fd = os.pipe()
    thread = threading.Thread(target=os.read, args=(read_fd, 1))
    thread.start()
    assert thread.native_id is not None
    wait_blocked(os.getpid(), "read", tid=thread.native_id)
    with pytest.raises(TimeoutExpired):
        wait_blocked(os.getpid(), "poll", tid=thread.native_id, timeout=0.01)
    os.write(write_fd, b"x")
    thread.join()
    os.close(read_fd)
    os.close(write_fd)


def look_at(pid: int, uid: int) -> str:
    os.setuid(uid)
    try:
        wait_blocked(pid, "poll", timeout=1)
    except IPCError as error:
        return f"{type(error).__name__}: {error}"
    return "blocked"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_process_of_another_user_says_what_it_takes(spawn: Spawn) -> None:
    text = spawn(look_at, os.getpid(), 65534).result()
    assert text.startswith(AccessError.__name__)
    assert "ptrace" in text


@pytest.mark.parametrize("name", ["", "no_such_call", "READ"])
def test_unknown_call_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no system call"):
        wait_blocked(os.getpid(), name)


def test_time_limit_is_validated() -> None:
    with pytest.raises(ValueError, match="timeout"):
        wait_blocked(os.getpid(), "poll", timeout=-1)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "riscv64"])
def test_every_family_has_a_member_on_every_architecture(monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(machine=machine))
    for name in (*_syscalls._FAMILIES, *_syscalls._table()):
        assert _syscalls.numbers((name,)), name


def test_unknown_architecture_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(machine="pdp11"))
    with pytest.raises(NotImplementedError, match="pdp11"):
        _syscalls.numbers(("read",))
    assert _syscalls.numbers(()) == frozenset()
    assert _syscalls.name_of_number(0) == "system call 0"
