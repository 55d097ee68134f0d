"""posix.MessageQueue.notify by signal, by a callback in a thread, and what the machine refuses: mq_notify(3)."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import LimitError, UnsupportedError
from ipckit.posix import MessageQueue
from ipckit.testing import reached, wait_blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

SI_MESGQ = -3
SECONDS = 20


@pytest.fixture
def queue() -> Iterator[MessageQueue]:
    with MessageQueue.create(max_messages=8, max_message_size=16, unlink_on_close=True) as made:
        yield made


# --- by signal ---------------------------------------------------------------------------------------------------


class SigInfo(ctypes.Structure):
    """siginfo_t of a 64-bit machine, as far as it goes here."""

    _fields_ = [
        ("signo", ctypes.c_int),
        ("errno", ctypes.c_int),
        ("code", ctypes.c_int),
        ("pad", ctypes.c_int),
        ("pid", ctypes.c_int),
        ("uid", ctypes.c_uint),
        ("value", ctypes.c_int),
        ("rest", ctypes.c_char * 100),
    ]


def take_signal(signum: int) -> SigInfo:
    """sigwaitinfo(2) with the value, which Python's own leaves out."""
    info, mask = SigInfo(), (ctypes.c_ulong * 16)()
    mask[0] = 1 << (signum - 1)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.sigwaitinfo(mask, ctypes.byref(info)) == signum, os.strerror(ctypes.get_errno())
    return info


def register_and_take(name: str, signum: int, value: int) -> tuple[int, ...]:
    """In a process with one thread: another one, with the signal unblocked, would be killed by it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signum})
    with MessageQueue.open(name) as queue:
        queue.notify(signal=signum, value=value)
        assert queue.stat()[2:5] == ("signal", signum, os.getpid())
        reached("registered")
        info = take_signal(signum)
        queue.receive(timeout=SECONDS)
        assert queue.stat().notify_pid == 0
        queue.notify(signal=signum)
        queue.cancel_notification()
        queue.send(b"1")
        assert signum not in signal.sigpending()
    return info.signo, info.code, info.value, info.pid, info.uid


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the test knows siginfo_t of 64-bit machines")
@pytest.mark.parametrize("signum", [signal.SIGUSR1, signal.SIGRTMIN + 3])
@pytest.mark.parametrize("value", [0, -(1 << 31), (1 << 31) - 1])
def test_a_signal_carries_code_value_and_the_senders_pid(
    queue: MessageQueue, spawn: Spawn, signum: int, value: int
) -> None:
    child = spawn(register_and_take, queue.name, signum, value)
    child.wait_reached("registered")
    queue.send(b"0")
    assert child.result() == (signum, SI_MESGQ, value, os.getpid(), os.getuid())


def test_a_python_handler_runs_and_may_register_again(queue: MessageQueue) -> None:
    received: list[bytes] = []

    def handler(*_: object) -> None:
        queue.notify(signal=signal.SIGUSR1)
        while (message := queue.try_receive()) is not None:
            received.append(message.data)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        queue.notify(signal=signal.SIGUSR1)
        for data in (b"a", b"b", b"c"):
            queue.send(data)
            while received[-1:] != [data]:  # the kernel gave us the signal before send returned
                pass
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert received == [b"a", b"b", b"c"]


@pytest.mark.parametrize("bad", [0, -1, 65, 32, 1 << 40])
def test_bad_signals(queue: MessageQueue, bad: int) -> None:
    with pytest.raises(ValueError, match="signal must be"):
        queue.notify(signal=bad)


def test_bad_arguments(queue: MessageQueue) -> None:
    for wrong in ("SIGUSR1", 10.0, True):
        with pytest.raises(TypeError, match="signal must be"):
            queue.notify(signal=wrong)
    for value in (1 << 31, -(1 << 31) - 1):
        with pytest.raises(ValueError, match="value must be"):
            queue.notify(signal=signal.SIGUSR1, value=value)
    with pytest.raises(TypeError, match="not both"):
        queue.notify(signal=signal.SIGUSR1, callback=print)
    assert queue.stat().notify is None


# --- by callback ---------------------------------------------------------------------------------------------------


def notify_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("notify ")]


def test_a_callback_is_called_once_in_a_thread_of_its_own(queue: MessageQueue) -> None:
    called: list[tuple[MessageQueue, threading.Thread]] = []
    done = threading.Event()

    def callback(handle: MessageQueue) -> None:
        called.append((handle, threading.current_thread()))
        done.set()

    assert queue.notify(callback=callback) is None
    (thread,) = notify_threads()
    wait_blocked(os.getpid(), "poll", tid=thread.native_id)
    assert queue.stat().notify == "thread"
    queue.send(b"a")
    assert done.wait(SECONDS)
    thread.join(SECONDS)
    queue.receive()
    queue.send(b"b")
    assert called == [(queue, thread)]
    assert notify_threads() == []


def test_a_callback_may_register_again(queue: MessageQueue) -> None:
    received: list[int] = []
    done = threading.Event()

    def callback(handle: MessageQueue) -> None:
        handle.notify(callback=callback)
        while (message := handle.try_receive()) is not None:
            received.append(int(message.data))
            if len(received) == 50:  # not with the last message: another thread may still have the one before it
                done.set()

    queue.notify(callback=callback)
    for number in range(50):
        queue.send(b"%d" % number, timeout=SECONDS)
    assert done.wait(SECONDS)
    assert sorted(received) == list(range(50))
    while threads := notify_threads():  # one of them may be about to register once more
        queue.cancel_notification()
        threads[0].join(0.01)


@pytest.mark.parametrize("end", ["cancel", "close"])
def test_a_callback_that_is_cancelled_is_not_called(queue: MessageQueue, end: str) -> None:
    called: list[MessageQueue] = []
    handle = MessageQueue.open(queue.name)
    handle.notify(callback=called.append)
    (thread,) = notify_threads()
    handle.cancel_notification() if end == "cancel" else handle.close()
    thread.join(SECONDS)
    assert not thread.is_alive()
    queue.send(b"x")
    assert called == []
    handle.close()


def test_an_exception_of_a_callback_goes_where_those_of_threads_go(
    queue: MessageQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: hooked.append(args.exc_type))

    def callback(_: MessageQueue) -> None:
        raise ZeroDivisionError

    queue.notify(callback=callback)
    (thread,) = notify_threads()
    queue.send(b"x")
    thread.join(SECONDS)
    assert hooked == [ZeroDivisionError]


def leave_with_a_registration(name: str) -> str:
    queue = MessageQueue.open(name)
    queue.notify(callback=print)
    return "a process may end with one"


def test_a_waiting_callback_keeps_no_process_alive(queue: MessageQueue, spawn: Spawn) -> None:
    assert spawn(leave_with_a_registration, queue.name).result() == "a process may end with one"


# --- what the machine refuses ----------------------------------------------------------------------------------------


def no_more_threads(name: str) -> str:
    with MessageQueue.open(name) as queue:
        threading.stack_size(1 << 46)
        try:
            queue.notify(callback=print)
        except LimitError as error:
            threading.stack_size(0)
            queue.notify(callback=print)  # nothing was left registered
            return f"{error.syscall}: {error}"
    return "no error"


def no_more_descriptors(name: str) -> str:
    with MessageQueue.open(name) as queue, queue.notify():
        pass
    with MessageQueue.open(name) as queue:
        resource.setrlimit(resource.RLIMIT_NOFILE, (queue.fileno() + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        try:
            queue.notify()
        except LimitError as error:
            return str(error)
        finally:
            for fd in taken:
                os.close(fd)
    return "no error"


def without_netlink(name: str) -> str:
    """As under a seccomp filter that allows none of the rarer address families: seccomp(2)."""

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    def op(code: int, true: int, false: int, k: int) -> bytes:
        return code.to_bytes(2, sys.byteorder) + bytes([true, false]) + k.to_bytes(4, sys.byteorder)

    load, equal, give = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
    nr, first_argument = 0, 16  # struct seccomp_data
    number = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
    code = b"".join(
        (
            op(load, 0, 0, nr),
            op(equal, 0, 3, number),
            op(load, 0, 0, first_argument),
            op(equal, 0, 1, 16),  # AF_NETLINK
            op(give, 0, 0, 0x00050000 | 97),  # SECCOMP_RET_ERRNO, EAFNOSUPPORT
            op(give, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
        )
    )
    program = ctypes.create_string_buffer(code, len(code))
    filters = Filter(len(code) // 8, ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS"
    if libc.prctl(22, 2, ctypes.byref(filters), 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        return "no seccomp"
    with MessageQueue.open(name) as queue:
        try:
            queue.notify()
        except UnsupportedError as error:
            queue.notify(signal=signal.SIGUSR1)
            return str(error)
    return "no error"


def test_what_the_machine_refuses_is_said_and_leaves_nothing(queue: MessageQueue, spawn: Spawn) -> None:
    text = spawn(no_more_threads, queue.name).result()
    assert "pthread_create" in text
    assert "RLIMIT_NPROC" in text
    assert "RLIMIT_NOFILE" in spawn(no_more_descriptors, queue.name).result()
    queue.notify().close()


@pytest.mark.skipif(os.uname().machine not in {"x86_64", "aarch64"}, reason="the filter knows these machines")
def test_without_netlink_a_signal_still_works(queue: MessageQueue, spawn: Spawn) -> None:
    text = spawn(without_netlink, queue.name).result()
    if text == "no seccomp":
        pytest.skip("this kernel has no seccomp filters")
    assert "AF_NETLINK" in text
    assert "signal" in text
