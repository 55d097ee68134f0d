"""Descriptors that notify: signals, timers, processes."""

from __future__ import annotations

import signal
import subprocess
import threading
from typing import Any

from ipckit.eventfd import MAXIMUM, EventFd
from ipckit.process import PidFd
from ipckit.signals import SignalFd, blocked, sigtimedwait
from ipckit.timerfd import TimerFd
from tests.contract.shapes import Made, Subject, Wait

SIGNUM = signal.SIGRTMIN + 5
SOON = 1e-9  # seconds


class Blocking:
    """The signal is blocked in this thread and those that it starts; it is sent to the one that reads.

    A signal to the whole process could go to a thread that a library has started meanwhile.
    """

    def __init__(self) -> None:
        self.reader = threading.get_ident()
        self._mask = blocked({SIGNUM})
        self._mask.__enter__()

    def read(self, read: Any) -> object:
        self.reader = threading.get_ident()
        return read()

    def send(self) -> None:
        signal.pthread_kill(self.reader, SIGNUM)

    def close(self) -> None:
        while sigtimedwait({SIGNUM}, 0):
            pass
        self._mask.__exit__(None, None, None)


def signal_descriptor() -> Made:
    blocking = Blocking()
    return [SignalFd.create({SIGNUM}), blocking]


def read_own_signal(descriptor: SignalFd) -> int:
    with blocked({SIGNUM}):
        signal.raise_signal(SIGNUM)
        return descriptor.read(timeout=10).signum


class Ending:
    """A process of ours, ended and reaped in the end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(["sleep", "1000"])
        self.pid = self._process.pid

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def sleeping_process() -> Made:
    process = Ending()
    return [PidFd.open(process.pid), process]


def kill(made: Made) -> None:
    made[0].send_signal(signal.SIGKILL)
    made[0].wait(10, reap=False)


def wait_there(process: PidFd) -> str:
    process.wait(10)
    return "ended"


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "EventFd",
        EventFd,
        make=lambda: [EventFd.create()],
        calls={
            "fileno": lambda h: h.fileno(),
            "value": lambda h: h.value,
            "read": lambda h: h.read(),
            "write": lambda h: h.write(),
            "try_read": lambda h: h.try_read(),
            "try_write": lambda h: h.try_write(),
        },
        waits=(
            Wait("read", lambda made, timeout: made[0].read(timeout), complete=lambda made: made[0].write()),
            Wait(
                "write",
                lambda made, timeout: made[0].write(1, timeout),
                lambda made: made[0].write(MAXIMUM),
                lambda made: made[0].read(),
            ),
        ),
        constants=frozenset({"semaphore"}),
        there=lambda h: h.write(7),
        here=lambda made, result: made[0].read(timeout=10) == 7,  # noqa: ARG005
    ),
    Subject(
        "SignalFd",
        SignalFd,
        make=signal_descriptor,
        calls={
            "fileno": lambda h: h.fileno(),
            "mask": lambda h: h.mask,
            "set_mask": lambda h: h.set_mask({SIGNUM}),
            "read": lambda h: h.read(),
            "try_read": lambda h: h.try_read(),
            "read_many": lambda h: h.read_many(),
        },
        waits=(
            Wait(
                "read",
                lambda made, timeout: made[1].read(lambda: made[0].read(timeout)),
                complete=lambda made: made[1].send(),
            ),
            Wait(
                "read_many",
                lambda made, timeout: made[1].read(lambda: made[0].read_many(9, timeout)),
                complete=lambda made: made[1].send(),
            ),
        ),
        there=read_own_signal,
        here=lambda made, result: result == SIGNUM,  # noqa: ARG005
    ),
    Subject(
        "TimerFd",
        TimerFd,
        make=lambda: [TimerFd.create()],
        calls={
            "fileno": lambda h: h.fileno(),
            "set": lambda h: h.set(1),
            "set_ns": lambda h: h.set_ns(1),
            "get": lambda h: h.get(),
            "disarm": lambda h: h.disarm(),
            "read": lambda h: h.read(),
            "try_read": lambda h: h.try_read(),
        },
        waits=(Wait("read", lambda made, timeout: made[0].read(timeout), complete=lambda made: made[0].set(SOON)),),
        constants=frozenset({"clock"}),
        there=lambda h: h.set(SOON),
        here=lambda made, result: made[0].read(timeout=10) == 1,  # noqa: ARG005
    ),
    Subject(
        "PidFd",
        PidFd,
        make=sleeping_process,
        calls={
            "fileno": lambda h: h.fileno(),
            "running": lambda h: h.running,
            "returncode": lambda h: h.returncode,
            "wait": lambda h: h.wait(),
            "send_signal": lambda h: h.send_signal(0),
            "sigqueue": lambda h: h.sigqueue(0, 1),
            "getfd": lambda h: h.getfd(0),
        },
        waits=(Wait("wait", lambda made, timeout: made[0].wait(timeout), complete=kill),),
        constants=frozenset({"pid"}),
        before=kill,
        there=wait_there,
        here=lambda made, result: result == "ended" and not made[0].running,
    ),
)
