"""TimerFd: clocks, setting, counting, sharing, readiness, the wall clock being set."""

from __future__ import annotations

import ctypes
import errno
import math
import os
import resource
import selectors
import struct
import time
from typing import TYPE_CHECKING

import pytest

from ipckit._fdinfo import fdinfo
from ipckit.errors import AccessError, ClockSetError, LimitError, TimeoutExpired
from ipckit.timerfd import CLOCK_BOOTTIME_ALARM, CLOCK_REALTIME_ALARM, TimerFd, TimerSetting
from tests.rights import CAP_WAKE_ALARM, capable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

CLOCKS = (time.CLOCK_MONOTONIC, time.CLOCK_REALTIME, time.CLOCK_BOOTTIME)


LONG = 1000.0


SOON = 1e-9


every_clock = pytest.mark.parametrize("clock", CLOCKS, ids=["monotonic", "realtime", "boottime"])


@pytest.fixture
def timer() -> Iterator[TimerFd]:
    with TimerFd.create() as made:
        yield made


@every_clock
def test_it_expires_once_and_never_early(clock: int) -> None:
    with TimerFd.create(clock) as timer:
        assert timer.clock == clock
        began = time.clock_gettime_ns(clock)
        assert timer.set(0.005) == (0, 0)
        assert timer.read(10) == 1
        assert time.clock_gettime_ns(clock) - began >= 5_000_000
        assert timer.get() == (0, 0)
        assert timer.try_read() is None


@every_clock
def test_absolute_times_are_on_its_clock(clock: int) -> None:
    with TimerFd.create(clock) as timer:
        moment = time.clock_gettime_ns(clock) + 5_000_000
        timer.set_ns(moment, absolute=True)
        assert timer.read(10) == 1
        assert time.clock_gettime_ns(clock) >= moment
        timer.set(time.clock_gettime(clock) + 0.002, absolute=True)
        assert timer.read(10) == 1
        timer.set(1, absolute=True)  # long ago, and yet it takes an interrupt
        assert timer.read(10) == 1
        timer.set_ns(moment, 10**12, absolute=True)
        assert timer.read(10) == 1
        remaining, interval = timer.get()
        assert interval == 10**12
        assert 0 < remaining <= 10**12, "a distance, whatever it was set by"


def test_expirations_are_counted_until_they_are_read(timer: TimerFd) -> None:
    began = time.monotonic_ns()
    timer.set_ns(1, 1_000_000)
    total = 0
    while total < 20:
        total += timer.read(10)
    took = time.monotonic_ns() - began
    assert took >= 18_000_000
    assert total <= took // 1_000_000 + 2
    timer.set_ns(time.monotonic_ns() - 50_000_000, 1_000_000, absolute=True)  # 50 of them are due already
    assert timer.read(10) >= 50


def test_setting_tells_what_was_and_forgets_what_was_not_read(timer: TimerFd) -> None:
    timer.set(LONG, 5.5)
    before = timer.get()
    assert LONG - 20 < before.remaining <= LONG
    assert (before.interval, before.interval_ns, before.armed) == (5.5, 5_500_000_000, True)
    previous = timer.set(SOON)
    assert previous.interval == 5.5
    assert previous.remaining <= before.remaining
    with selectors.DefaultSelector() as selector:
        selector.register(timer, selectors.EVENT_READ)
        assert selector.select(10)
    timer.set(LONG)
    assert timer.try_read() is None
    timer.set_ns(time.monotonic_ns() - 1, absolute=True)
    assert timer.disarm().armed is False
    for timeout in (0, 0.001):
        with pytest.raises(TimeoutExpired):
            timer.read(timeout)
    assert timer.disarm() == TimerSetting(0, 0)


@pytest.mark.parametrize("bad", [0, 0.0, -1, -1e-9, math.nan, math.inf, 1e10, True, "1", None, 1j])
def test_times_that_are_none(bad: object, timer: TimerFd) -> None:
    timer.set(LONG, LONG)
    with pytest.raises((ValueError, TypeError), match="first"):
        timer.set(bad)  # type: ignore[arg-type]
    if bad:
        with pytest.raises((ValueError, TypeError), match="interval"):
            timer.set(1, bad)  # type: ignore[arg-type]
    assert timer.get().armed


@pytest.mark.parametrize("bad", [0, -1, 2**63, 1.0, True, "1"])
def test_nanoseconds_that_are_none(bad: object, timer: TimerFd) -> None:
    with pytest.raises((ValueError, TypeError), match="first"):
        timer.set_ns(bad)  # type: ignore[arg-type]
    assert not timer.get().armed


def test_seconds_are_rounded_up_and_reach_far(timer: TimerFd) -> None:
    timer.set(1e-12)
    assert timer.read(10) == 1
    timer.set(5, 1e-10)
    assert timer.get().interval_ns == 1
    timer.set_ns(2**63 - 1, 2**63 - 1)
    assert timer.get().interval_ns == 2**63 - 1
    assert timer.get().remaining > 9e9


@pytest.mark.parametrize("clock", [-1, 2, 3, 4, 99, 2**31])
def test_clocks_that_no_timer_has(clock: int) -> None:
    with pytest.raises(ValueError, match="clock must be"):
        TimerFd.create(clock)
    for bad in ("1", 1.0, True):
        with pytest.raises(TypeError, match="clock"):
            TimerFd.create(bad)  # type: ignore[arg-type]


def make_alarms() -> list[tuple[str, str]]:
    found = []
    if os.getuid() == 0:
        os.setuid(65534)
    for clock in (CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM):
        try:
            TimerFd.create(clock).close()
        except AccessError as error:
            found.append((error.syscall, str(error)))
    return found


@pytest.mark.skipif(os.getuid() != 0 and capable(CAP_WAKE_ALARM), reason="systemd gave this user CAP_WAKE_ALARM")
def test_clocks_that_wake_the_machine_take_a_capability(spawn: Spawn) -> None:
    found = spawn(make_alarms).result()
    assert [syscall for syscall, _ in found] == ["timerfd_create"] * 2
    assert all("CAP_WAKE_ALARM" in text and "_ALARM'" in text for _, text in found)


def test_only_a_wall_clock_can_be_set() -> None:
    for clock, absolute in ((time.CLOCK_MONOTONIC, True), (time.CLOCK_BOOTTIME, True), (time.CLOCK_REALTIME, False)):
        with TimerFd.create(clock) as timer, pytest.raises(ValueError, match="cancel_on_set needs absolute=True"):
            timer.set(1, absolute=absolute, cancel_on_set=True)
    with TimerFd.create(time.CLOCK_REALTIME) as timer:
        timer.set(time.time() + LONG, absolute=True, cancel_on_set=True)
        assert fdinfo(timer.fileno())["settime flags"] == "03"
        assert timer.try_read() is None
        assert timer.get().armed


def refuse(calls: dict[tuple[int, int], int]) -> None:
    """Have the kernel answer calls on certain descriptors with an errno, in this process, for good: seccomp(2)."""
    load, equal, give = 0x20, 0x15, 0x06
    program = []
    for (number, fd), error in calls.items():
        program += [(load, 0, 0, 0), (equal, 0, 3, number), (load, 0, 0, 16), (equal, 0, 1, fd)]
        program.append((give, 0, 0, 0x0005_0000 | error))
    program.append((give, 0, 0, 0x7FFF_0000))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    libc = ctypes.CDLL(None, use_errno=True)
    described = ctypes.create_string_buffer(struct.pack("H6xP", len(program), ctypes.addressof(code)))
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, described, 0, 0) == 0, os.strerror(ctypes.get_errno())  # PR_SET_SECCOMP


def meet_a_set_clock() -> list[str]:
    """The answers that the kernel gives when the wall clock was set, which no test may do to the machine."""
    read, settime = (0, 286) if os.uname().machine == "x86_64" else (63, 86)
    found = []
    with TimerFd.create(time.CLOCK_REALTIME) as timer:
        timer.set(time.time() + LONG, absolute=True, cancel_on_set=True)
        refuse({(read, timer.fileno()): errno.ECANCELED, (settime, timer.fileno()): errno.ECANCELED})
        for call in (
            timer.read,
            lambda: timer.read(0),
            timer.try_read,
            lambda: timer.set(time.time() + LONG, absolute=True, cancel_on_set=True),
        ):
            try:
                call()
            except ClockSetError as error:
                found.append(str(error))
    return found


@pytest.mark.skipif(os.uname().machine not in {"x86_64", "aarch64"}, reason="numbers of system calls are spelt out")
def test_that_the_wall_clock_was_set_has_its_own_class(spawn: Spawn) -> None:
    found = spawn(meet_a_set_clock).result()
    assert len(found) == 4
    assert all(text.startswith(f"[Errno {errno.ECANCELED}] read: ") for text in found[:3])
    assert "timerfd_settime" in found[3]
    assert "armed as you asked" in found[3]


def test_a_read_of_less_than_the_counter_is_refused_by_the_kernel(timer: TimerFd) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        os.read(timer.fileno(), 7)


def test_too_many_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(LimitError, match=r"timerfd_create.*RLIMIT_NOFILE") as caught:
            TimerFd.create()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
