"""Processes by descriptor: pidfd_send_signal(2), waitid(2)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import os
import signal
import struct
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit.bench.quantity import WAKEUP
from ipckit.bench.row import Channel
from ipckit.bench.suite.signals import SIGNUM, BareSignal, QueuedSignal
from ipckit.posix.shm import SharedMemory
from ipckit.process import PidFd

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE = 50e-6  # s, between two looks whether a child is gone
_PID = struct.Struct("i")


class PidFdSignal(QueuedSignal):
    """A signal for the process, whoever may have its number later."""

    name = "PidFd signal"
    about = "ipckit.PidFd.send_signal, taken by sigwait"

    _process: PidFd | None = None

    def _send(self, pid: int, /) -> None:
        if self._process is None:
            self._process = PidFd.open(pid)
        self._process.send_signal(SIGNUM)


class BarePidFdSignal(BareSignal):
    """What the standard library has."""

    name = "pidfd signal (bare)"
    about = "signal.pidfd_send_signal and signal.sigwaitinfo"

    _fd: int | None = None

    def _send(self, pid: int, /) -> None:
        if self._fd is None:
            self._fd = os.pidfd_open(pid)
        signal.pidfd_send_signal(self._fd, SIGNUM)


class PidFdWait(Channel):
    """From the SIGKILL for a small process that sleeps to its parent's having waited: its end is within the figure.

    Each wake-up ends one child of the receiver, a `cat` that reads from a pipe of the receiver's, and so ends with it.
    """

    name = "PidFd wait"
    about = "ipckit.PidFd.wait for a child that the other process kills"
    family = "process"
    measures = (WAKEUP,)
    payload = False

    def __init__(self, _size: int, /) -> None:
        self.child_pid = SharedMemory.create(size=_PID.size, unlink_on_close=True)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        child_pid = self.child_pid.buf

        def send(_data: Any) -> None:
            pid = 0
            while pid == 0:
                (pid,) = _PID.unpack_from(child_pid)
            os.kill(pid, signal.SIGKILL)
            while _PID.unpack_from(child_pid) == (pid,):  # nobody dies twice
                time.sleep(PAUSE)

        return send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        child_pid = self.child_pid.buf
        (stdin, write), (read, stdout) = os.pipe(), os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
        process: Any = None  # kept until the next one, so that letting go of it is not in the figure

        def receive() -> None:
            nonlocal process
            process = self._start(actions)
            os.write(write, b"?")
            os.read(read, 1)  # it has started up, and goes to sleep again
            _PID.pack_into(child_pid, 0, process.pid)
            process.wait()
            _PID.pack_into(child_pid, 0, 0)

        return receive

    def _start(self, actions: list[Any], /) -> Any:
        return PidFd.spawn(["cat"], file_actions=actions)


class _Child(NamedTuple):
    pid: int

    def wait(self) -> object:
        return os.waitid(os.P_PID, self.pid, os.WEXITED)


class BareWait(PidFdWait):
    """The call that returns when a child has ended."""

    name = "os.waitid (bare)"
    about = "os.waitid for a child that the other process kills"

    def _start(self, actions: list[Any], /) -> Any:
        return _Child(os.posix_spawnp("cat", ["cat"], os.environ, file_actions=actions))
