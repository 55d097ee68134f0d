"""Real-time signals: sigqueue(3), sigtimedwait(2), signalfd(2)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import os
import signal
import struct
from typing import TYPE_CHECKING, Any

from ipckit.bench.quantity import ROUNDTRIP, WAKEUP
from ipckit.bench.row import Channel
from ipckit.posix.shm import SharedMemory
from ipckit.signals import SignalFd, sigqueue, sigwait

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNUM = signal.SIGRTMIN + 3
_PID = struct.Struct("i")


class QueuedSignal(Channel):
    """It carries an int and no message; and a sender that does not wait for answers meets RLIMIT_SIGPENDING."""

    name = "sigqueue"
    about = "ipckit.signals.sigqueue of an int, taken by sigwait"
    family = "signal"
    measures = (ROUNDTRIP, WAKEUP)
    payload = False

    def __init__(self, _size: int, /) -> None:
        self.receiver_pid = SharedMemory.create(size=_PID.size, unlink_on_close=True)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        pid = 0

        def send(_data: Any) -> None:
            nonlocal pid
            while pid == 0:
                (pid,) = _PID.unpack_from(self.receiver_pid.buf)
            self._send(pid)

        return send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNUM})  # for the rest of this process's life
        _PID.pack_into(self.receiver_pid.buf, 0, os.getpid())
        return self._taker()

    def _send(self, pid: int, /) -> None:
        sigqueue(pid, SIGNUM, 1)

    def _taker(self) -> Callable[[], Any]:
        signums = {SIGNUM}
        return lambda: sigwait(signums)


class SignalDescriptor(QueuedSignal):
    """The same, read from a descriptor."""

    name = "SignalFd"
    about = "ipckit.signals.sigqueue of an int, read from a SignalFd"

    def _taker(self) -> Callable[[], Any]:
        return SignalFd.create({SIGNUM}).read


class BareSignal(QueuedSignal):
    """What the standard library has, which gives no value."""

    name = "os.kill (bare)"
    about = "os.kill and signal.sigwaitinfo, without a value"

    def _send(self, pid: int, /) -> None:
        os.kill(pid, SIGNUM)

    def _taker(self) -> Callable[[], Any]:
        signums = {SIGNUM}
        return lambda: signal.sigwaitinfo(signums)
