"""A user's program under ``mypy --strict``: signals, timers, processes. It is checked, and never run."""

from __future__ import annotations

import signal
import time

from typing_extensions import assert_type

from ipckit import PidFd, TimerFd, signals
from ipckit.errors import ClockSetError, NoProcessError
from ipckit.signals import SignalDescription, SignalFd, SignalInfo, blocked, handler, sigqueue, sigtimedwait, sigwait
from ipckit.timerfd import TimerSetting

with blocked({signal.SIGUSR1, 40}), blocked([signal.SIGTERM]):
    assert_type(sigtimedwait({signal.SIGUSR1}, 1.5), SignalInfo | None)
    info = sigwait({signal.SIGUSR1})
    assert_type(info, SignalInfo)
    assert_type(info.signum, int)
    assert_type(info.value, int | None)
    assert_type(info.name, str)
    assert_type(info.code_name, str)
    sigqueue(1, signal.SIGRTMIN, 5)
    sigqueue(1, signal.SIGRTMIN)  # type: ignore[call-arg]
    sigqueue(1, signal.SIGRTMIN, "5")  # type: ignore[arg-type]
    sigwait(signal.SIGUSR1)  # type: ignore[arg-type]
signals.send(1, signal.SIGTERM)
assert_type(signals.name(15), str)
assert_type(signals.table(), tuple[SignalDescription, ...])


class Descriptor(SignalFd):
    """Constructors return the subclass."""


with Descriptor.create({40}) as descriptor:
    assert_type(descriptor, Descriptor)
    assert_type(descriptor.read(timeout=1), SignalInfo)
    assert_type(descriptor.try_read(), SignalInfo | None)
    assert_type(descriptor.read_many(5, timeout=1), list[SignalInfo])
    assert_type(descriptor.mask, frozenset[int])
    descriptor.set_mask({41})
    descriptor.set_mask(41)  # type: ignore[arg-type]

with handler(signal.SIGUSR1, lambda signum, frame: print(signum, frame)), handler(2, signal.SIG_IGN):
    pass
handler(signal.SIGUSR1, "print")  # type: ignore[arg-type]
handler(signal.SIGUSR1, lambda: None)  # type: ignore[arg-type, misc]

with TimerFd.create(time.CLOCK_REALTIME) as timer:
    assert_type(timer.set(1, 0.5), TimerSetting)
    assert_type(timer.set_ns(1, absolute=True, cancel_on_set=True).armed, bool)
    assert_type(timer.get().remaining, float)
    assert_type(timer.read(), int)
    assert_type(timer.try_read(), int | None)
    timer.set("1")  # type: ignore[arg-type]
    timer.set_ns(1.5)  # type: ignore[arg-type]

with PidFd.spawn(["true"], env={"A": "b"}) as process:
    assert_type(process.wait(timeout=1, reap=False), int | None)
    assert_type(process.returncode, int | None)
    assert_type(process.running, bool)
    assert_type(process.pid, int)
    assert_type(process.getfd(0), int)
    process.send_signal(signal.SIGTERM)
    process.sigqueue(40, 1)
PidFd.open("1")  # type: ignore[arg-type]


def as_builtin(error: NoProcessError) -> ProcessLookupError:
    return error


def as_os_error(error: ClockSetError) -> OSError:
    return error
