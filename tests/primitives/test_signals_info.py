"""SignalInfo: each kind of siginfo_t, read in both ways; the table of default actions, held against the kernel."""

from __future__ import annotations

import ctypes
import fcntl
import os
import pickle
import select
import signal
import struct
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import TimerFd
from ipckit.posix import MessageQueue
from ipckit.signals import SignalFd, SignalInfo, blocked, sigtimedwait, sigwait

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.testing import Spawn

RT = signal.SIGRTMIN + 2
TAKEN = {RT, signal.SIGCHLD, signal.SIGSEGV, signal.SIGBUS, signal.SIGSYS, signal.SIGIO, signal.SIGUSR1, signal.SIGALRM}
LIBC = ctypes.CDLL(None, use_errno=True)
AARCH64_OR_X86 = pytest.mark.skipif(
    os.uname().machine not in {"x86_64", "aarch64"}, reason="the layout of siginfo_t is spelt out for these"
)
SYS_RT_SIGQUEUEINFO = 129 if os.uname().machine == "x86_64" else 138


def by_sigwait() -> SignalInfo:
    return sigwait(TAKEN, 10)


def by_descriptor() -> SignalInfo:
    with SignalFd.create(TAKEN) as descriptor:
        return descriptor.read(10)


def both(produce: Callable[[], object]) -> list[SignalInfo]:
    """What *produce* makes, read in one way, and then in the other."""
    infos = []
    with blocked(TAKEN):
        for take in (by_sigwait, by_descriptor):
            produce()
            infos.append(take())
    return infos


def told(info: SignalInfo) -> dict[str, Any]:
    return {field: value for field, value in info._asdict().items() if value is not None}


def children() -> list[dict[str, Any]]:
    """SIGCHLD of children that exit, are killed, are stopped, and go on."""
    found = []

    def fork(code: int | None) -> int:
        pid = os.fork()
        if pid == 0:
            if code is not None:
                os._exit(code)
            while True:
                signal.pause()
        return pid

    with blocked(TAKEN):
        for take in (by_sigwait, by_descriptor):
            pids = [fork(7)]
            infos = [take()]
            pids.append(fork(None))
            os.waitpid(pids[0], 0)  # now, so that the two have different numbers
            for signum in (signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL):
                os.kill(pids[1], signum)
                infos.append(take())
            os.waitpid(pids[1], 0)
            times = [(info.utime is None, info.stime is None) for info in infos]
            assert times == [(False, False)] * 4
            found += [(info.code_name, info.status, pids.index(info.pid), info.uid, info.value) for info in infos]
    return found


def test_children(spawn: Spawn) -> None:
    me = os.getuid()
    assert spawn(children).result() == 2 * [
        ("CLD_EXITED", 7, 0, me, None),
        ("CLD_STOPPED", signal.SIGSTOP, 1, me, None),
        ("CLD_CONTINUED", signal.SIGCONT, 1, me, None),
        ("CLD_KILLED", signal.SIGKILL, 1, me, None),
    ]


def timers() -> list[dict[str, Any]]:
    """A POSIX timer that expires often before anybody looks."""
    event = ctypes.create_string_buffer(struct.pack("qii", -77, RT, 0), 64)  # struct sigevent, SIGEV_SIGNAL
    timer = ctypes.c_void_p()
    assert LIBC.timer_create(1, event, ctypes.byref(timer)) == 0

    def expire() -> None:
        LIBC.timer_settime(timer, 0, struct.pack("qqqq", 0, 500_000, 0, 500_000), None)
        with TimerFd.create() as clock:
            clock.set(0.02)
            clock.read(10)

    with blocked({RT}):
        infos = both(expire)
        LIBC.timer_delete(timer)
        sigtimedwait({RT}, 0)  # a last one, that the kernel had queued
    return [told(info) | {"name": info.code_name} for info in infos]


def test_posix_timers_tell_value_and_overrun(spawn: Spawn) -> None:
    for info in spawn(timers).result():
        assert info.pop("overrun") >= 5
        assert info.pop("timer") >= 0
        assert info == {
            "signum": RT, "code": -2, "name": "SI_TIMER", "errno": 0, "value": -77, "pointer": 2**64 - 77,
        }  # fmt: skip


def readable() -> list[dict[str, Any]]:
    """A descriptor that sends a signal when it becomes readable."""
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(reading, fcntl.F_SETSIG, RT)
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    infos = both(lambda: os.write(writing, b"x"))
    assert {info.fd for info in infos} == {reading}
    return [told(info) | {"name": info.code_name} for info in infos]


def test_descriptors_tell_their_number_and_what_happened(spawn: Spawn) -> None:
    for info in spawn(readable).result():
        assert info["name"] == "POLL_IN"
        assert info["band"] & select.POLLIN
        assert info.keys() == {"signum", "code", "errno", "name", "band", "fd"}


def queue() -> list[dict[str, Any]]:
    with MessageQueue.create(max_messages=2, max_message_size=8, unlink_on_close=True) as made:

        def notify() -> None:
            made.notify(signal=RT, value=-3)
            made.send(b"x")
            made.receive()

        return [told(info) | {"name": info.code_name} for info in both(notify)]


def test_message_queues_tell_value_and_sender(spawn: Spawn) -> None:
    for info in spawn(queue).result():
        assert info.pop("pid") > 0
        assert info == {
            "signum": RT, "code": -3, "name": "SI_MESGQ", "errno": 0, "uid": os.getuid(), "value": -3,
            "pointer": 2**32 - 3,
        }  # fmt: skip


def raw(signum: int, code: int, union: bytes) -> list[tuple[str, dict[str, Any]]]:
    """A siginfo_t as the kernel would make it; it lets a process send itself any."""
    info = struct.pack("=iii4x", signum, 5, code) + union
    infos = both(lambda: LIBC.syscall(SYS_RT_SIGQUEUEINFO, os.getpid(), signum, info.ljust(128, b"\0")))
    return [(info.code_name, told(info)) for info in infos]


@AARCH64_OR_X86
@pytest.mark.parametrize(
    ("signum", "code", "union", "name", "there"),
    [
        (signal.SIGSEGV, 2, struct.pack("=Q", 0xFFFF_0000_0000_1000), "SEGV_ACCERR",
            {"address": 0xFFFF_0000_0000_1000, "address_lsb": 0}),
        (signal.SIGBUS, 5, struct.pack("=Qh", 0x7000, 12), "BUS_MCEERR_AO", {"address": 0x7000, "address_lsb": 12}),
        (signal.SIGSYS, 1, struct.pack("=QiI", 0x1234, 41, 0xC000_003E), "SYS_SECCOMP",
            {"address": 0x1234, "syscall": 41, "arch": 0xC000_003E}),
        (signal.SIGIO, 6, struct.pack("=qi", 16, 9), "POLL_HUP", {"band": 16, "fd": 9}),
        (RT, -5, struct.pack("=qi", 1, 8), "SI_SIGIO", {"band": 1, "fd": 8}),
        (RT, -4, struct.pack("=iIQ", 7, 8, 2**63 + 9), "SI_ASYNCIO",
            {"pid": 7, "uid": 8, "value": 9, "pointer": 2**63 + 9}),
        (RT, -1, struct.pack("=iIQ", 7, 2**32 - 1, 2**64 - 1), "SI_QUEUE",
            {"pid": 7, "uid": 2**32 - 1, "value": -1, "pointer": 2**64 - 1}),
        (RT, -99, struct.pack("=iIQ", 7, 8, 9), "-99", {"pid": 7, "uid": 8, "value": 9, "pointer": 9}),
        (signal.SIGUSR1, 0x80, struct.pack("=iI", 7, 8), "SI_KERNEL", {"pid": 7, "uid": 8}),
        (signal.SIGUSR1, 50, struct.pack("=iI", 7, 8), "50", {"pid": 7, "uid": 8}),
    ],
)  # fmt: skip
def test_every_layout_is_read_as_the_kernel_reads_it(
    signum: int, code: int, union: bytes, name: str, there: dict[str, Any], spawn: Spawn
) -> None:
    expected = (name, {"signum": signum, "code": code, "errno": 5, **there})
    assert spawn(raw, signum, code, union).result() == [expected, expected]


def test_a_record_says_what_it_has_and_travels() -> None:
    info = SignalInfo(RT, -1, pid=5, uid=6, value=7, pointer=7)
    assert repr(info) == "<SignalInfo SIGRTMIN+2 SI_QUEUE: pid=5, uid=6, value=7, pointer=7>"
    assert repr(SignalInfo(15, 0)) == "<SignalInfo SIGTERM SI_USER>"
    assert pickle.loads(pickle.dumps(info)) == info
    assert info == (RT, -1, 0, 5, 6, 7, 7, *[None] * 11)
    assert info.name == "SIGRTMIN+2"
