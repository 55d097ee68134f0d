"""Timers to wait for as for a file: timerfd_create(2)."""

from __future__ import annotations

import errno
import math
import os
import select
import sys
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipckit._arguments import check_int
from ipckit._fdinfo import fdinfo
from ipckit._handle import FdHandle
from ipckit._native import ffi
from ipckit._native_quick import lib as quick
from ipckit._retry import failure, retry
from ipckit._wait import NEVER_NS, Deadline
from ipckit.errors import IPCError, check, syscall_error

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CLOCK_BOOTTIME_ALARM", "CLOCK_REALTIME_ALARM", "TimerFd", "TimerSetting"]

CLOCK_REALTIME_ALARM: Final = 8
"""CLOCK_REALTIME, and it wakes a suspended machine; takes CAP_WAKE_ALARM."""
CLOCK_BOOTTIME_ALARM: Final = 9
"""CLOCK_BOOTTIME, and it wakes a suspended machine; takes CAP_WAKE_ALARM."""

_CLOCKS = {
    time.CLOCK_REALTIME: "CLOCK_REALTIME",
    time.CLOCK_MONOTONIC: "CLOCK_MONOTONIC",
    time.CLOCK_BOOTTIME: "CLOCK_BOOTTIME",
    CLOCK_REALTIME_ALARM: "CLOCK_REALTIME_ALARM",
    CLOCK_BOOTTIME_ALARM: "CLOCK_BOOTTIME_ALARM",
}
_WALL_CLOCKS = (time.CLOCK_REALTIME, CLOCK_REALTIME_ALARM)
_COUNTER = 8  # bytes of a read: a uint64_t
_SETTING = ffi.typeof("struct ipk_timerfd_setting *")


class TimerSetting(NamedTuple):
    """What a timer is set to.

    Attributes:
        remaining_ns: nanoseconds until the next expiration; 0: disarmed, or expired for the last time.
        interval_ns: nanoseconds between all further ones; 0: there are none.
    """

    remaining_ns: int
    interval_ns: int

    @property
    def armed(self) -> bool:
        """Whether it will expire."""
        return self.remaining_ns > 0

    @property
    def remaining(self) -> float:
        """`remaining_ns` in seconds."""
        return self.remaining_ns / 1e9

    @property
    def interval(self) -> float:
        """`interval_ns` in seconds."""
        return self.interval_ns / 1e9


class TimerFd(FdHandle):
    """A timer that is read: `set` arms it, `read` waits for it and tells how often it expired since the last look.

    It never expires early; how late depends on the load. Expirations that nobody reads are counted, not queued. A
    periodic timer does not drift. Each expiration is told to one reader: threads, forked children and whoever else was
    given the descriptor share one timer, its setting and its count, and the same open file description, which is
    non-blocking for all of them. It lives until the last of them has closed it.

    >>> with TimerFd.create() as timer:
    ...     before = timer.set(0.001, interval=0.001)
    ...     timer.read(timeout=5) >= 1, timer.get().interval
    (True, 0.001)
    """

    __slots__ = ("_clock",)

    def __init__(self, fd: int, clock: int) -> None:
        super().__init__(fd)
        self._clock = clock

    @classmethod
    def create(cls, clock: int = time.CLOCK_MONOTONIC) -> Self:
        """Make a timer, disarmed.

        Args:
            clock: `time.CLOCK_MONOTONIC`, which nobody can set; `time.CLOCK_BOOTTIME`, which also counts while the
                machine is suspended; `time.CLOCK_REALTIME`, the wall clock; `CLOCK_BOOTTIME_ALARM` or
                `CLOCK_REALTIME_ALARM`, which wake the machine.

        Raises:
            AccessError: an alarm clock without CAP_WAKE_ALARM (EPERM).
            LimitError: too many descriptors (EMFILE, ENFILE).
        """
        check_int(clock, "clock", 0, (1 << 31) - 1, "a clock of the time module")
        fd = quick.ipk_timerfd_create(clock)
        if fd == -errno.EINVAL:
            raise ValueError(f"clock must be one of {', '.join(_CLOCKS.values())}, not {clock}")
        return cls(check(fd, "timerfd_create", _CLOCKS.get(clock)), clock)

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Take over the descriptor *fd* of a timerfd; its description becomes non-blocking for all its holders.

        Raises:
            ValueError: *fd* is no timerfd; it stays open.
        """
        found = fdinfo(fd)
        if "clockid" not in found:
            raise ValueError(f"fd must be a timerfd, and descriptor {fd} is not")
        os.set_blocking(fd, False)
        os.set_inheritable(fd, False)
        return cls(fd, int(found["clockid"]))

    @property
    def clock(self) -> int:
        """The clock that it runs on, as in the time module."""
        return self._clock

    def set(
        self, first: float, interval: float = 0, *, absolute: bool = False, cancel_on_set: bool = False
    ) -> TimerSetting:
        """Arm the timer, in place of what was set; expirations that nobody has read are forgotten: timerfd_settime(2).

        Args:
            first: seconds from now to the first expiration; with *absolute*, the moment, in seconds on the timer's
                clock; one that has passed expires at once. 0 is refused, for the kernel would disarm: `disarm` does
                that.
            interval: seconds between all further expirations; 0: there are none.
            cancel_on_set: end a wait with ClockSetError when the wall clock is set (not when it is slewed). Only for an
                absolute time on a wall clock.

        Returns:
            What was set before, as `get` tells it.

        Raises:
            ClockSetError: a timer with *cancel_on_set* had missed that the clock was set (ECANCELED); **it is set all
                the same**. Compute the time anew, and set it again.
        """
        return self.set_ns(
            _nanoseconds(first, "first"),
            _nanoseconds(interval, "interval"),
            absolute=absolute,
            cancel_on_set=cancel_on_set,
        )

    def set_ns(
        self, first: int, interval: int = 0, *, absolute: bool = False, cancel_on_set: bool = False
    ) -> TimerSetting:
        """`set` in nanoseconds: a float has too few digits for the nanoseconds of a date."""
        self._check_open()
        check_int(first, "first", 0, NEVER_NS, "nanoseconds")
        check_int(interval, "interval", 0, NEVER_NS, "nanoseconds")
        if first == 0:
            raise ValueError(
                "first must be above 0, for 0 disarms a timer: call disarm(), or give 1 ns to expire at once"
            )
        if cancel_on_set and not (absolute and self._clock in _WALL_CLOCKS):
            raise ValueError("cancel_on_set needs absolute=True and the clock CLOCK_REALTIME: no other one can be set")
        flags = (quick.IPK_TIMERFD_ABSOLUTE if absolute else 0) | (quick.IPK_TIMERFD_CANCEL if cancel_on_set else 0)
        return self._set(flags, first, interval)

    def disarm(self) -> TimerSetting:
        """Stop the timer, and forget expirations that nobody has read; return what was set."""
        self._check_open()
        return self._set(0, 0, 0)

    def get(self) -> TimerSetting:
        """What is set now, and how long it still takes: timerfd_gettime(2)."""
        self._check_open()
        now = ffi.new(_SETTING)
        with self._in_use():
            check(quick.ipk_timerfd_get(self._fd, now), "timerfd_gettime", repr(self))
        return TimerSetting(now.first, now.interval)

    def read(self, timeout: float | None = None) -> int:
        """Wait until the timer has expired; return how often since it was set, or since the last successful read.

        Raises:
            TimeoutExpired: it has not (ETIMEDOUT).
            ClockSetError: the wall clock was set, and `set` was told *cancel_on_set* (ECANCELED). The timer goes on.
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        try:
            return self._read()
        except BlockingIOError:
            pass
        except OSError as error:
            raise self._refusal(error) from None
        try:
            return retry(self, select.POLLIN, deadline, self._read, "read")
        except IPCError:
            raise
        except OSError as error:
            raise self._refusal(error) from None

    def try_read(self) -> int | None:
        """How often the timer has expired since the last look; None if it has not.

        Raises:
            ClockSetError: as `read`.
        """
        try:
            return self._read()
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._refusal(error) from None

    def _read(self) -> int:
        count = os.read(self._fd, _COUNTER)
        if not count:  # it had expired, and then the wall clock was set back
            raise BlockingIOError
        return int.from_bytes(count, sys.byteorder)

    def _refusal(self, error: OSError) -> IPCError:
        if error.errno == errno.ECANCELED:
            return syscall_error(errno.ECANCELED, "read", repr(self), remedy="the wall clock was set")
        return failure(self, error, "read")

    def _set(self, flags: int, first: int, interval: int) -> TimerSetting:
        wanted = ffi.new(_SETTING, (first, interval))
        before = ffi.new(_SETTING)
        with self._in_use():
            result = quick.ipk_timerfd_set(self._fd, flags, wanted, before)
            if result == -errno.ECANCELED:
                remedy = "the wall clock was set; the timer is armed as you asked"
                raise syscall_error(errno.ECANCELED, "timerfd_settime", repr(self), remedy=remedy)
            check(result, "timerfd_settime", repr(self))
        return TimerSetting(before.first, before.interval)

    def _describe(self) -> str:
        return f"fd={self._fd} {_CLOCKS.get(self._clock, self._clock)}"

    def _facts(self) -> tuple[Any, ...]:
        return (self._clock,)


def _nanoseconds(seconds: object, name: str) -> int:
    """Whole nanoseconds, rounded up: a timer is never early, and what is above 0 stays so."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{name} must be seconds as a float, not {seconds!r}")
    if not 0 <= seconds <= NEVER_NS // 1_000_000_000:  # also refuses NaN
        raise ValueError(f"{name} must be from 0 to {NEVER_NS // 1_000_000_000} seconds, not {seconds!r}")
    return seconds * 1_000_000_000 if isinstance(seconds, int) else math.ceil(seconds * 1e9)
