"""Signals to be read from a descriptor: signalfd(2)."""

from __future__ import annotations

import errno
import os
import select
from typing import TYPE_CHECKING

from ipckit._arguments import check_int
from ipckit._fdinfo import fdinfo
from ipckit._handle import FdHandle
from ipckit._native import lib
from ipckit._native_quick import lib as quick
from ipckit._retry import retry
from ipckit._signums import mask_of, names_of, signums_of
from ipckit._wait import Deadline
from ipckit.errors import check
from ipckit.signals.information import info_of, infos_of, new_info, new_infos
from ipckit.signals.masking import check_blocked

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from typing_extensions import Self

    from ipckit.signals.information import SignalInfo

__all__ = ["SignalFd"]

_BATCH = lib.IPK_SIGNALS_BATCH
_AGAIN = (-errno.EAGAIN, -errno.EINTR)


class SignalFd(FdHandle):
    """Signals as records to read, in a `select` or asyncio loop beside everything else.

    Order is that of `sigtimedwait`; each signal goes to one reader, here, there, or in another SignalFd. The signals
    must be blocked in **all** threads, by `blocked` before they are started, or one that does not block them gets
    them; `create` checks the calling thread.

    The descriptor has no queue of its own: whoever reads it reads the signals of the *reading* process, and of the
    reading thread. So a forked child, and whoever it was sent to, meets its own signals in it. An epoll(7) instance
    (asyncio's, too) goes on looking at the process that registered the descriptor: register anew after a fork. The
    open file description is non-blocking for all that have it. A signal that was sent to one thread
    (`signal.pthread_kill`) is read by that thread alone.

    >>> import signal
    >>> from ipckit.signals import blocked
    >>> with blocked({signal.SIGRTMIN}), SignalFd.create({signal.SIGRTMIN}) as descriptor:
    ...     signal.raise_signal(signal.SIGRTMIN)
    ...     info = descriptor.read(timeout=1)
    >>> info.name, info.code_name
    ('SIGRTMIN', 'SI_TKILL')
    """

    __slots__ = ()

    @classmethod
    def create(cls, mask: Iterable[int]) -> Self:
        """Make a descriptor for the signals of *mask*.

        Raises:
            ValueError: the calling thread does not block them all, one of them can't be read, or there are none.
            LimitError: too many descriptors (EMFILE, ENFILE).
        """
        return cls(check(quick.ipk_signals_descriptor(-1, _readable(mask)), "signalfd"))

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Take over the descriptor *fd* of a signalfd; its description becomes non-blocking for all its holders.

        Raises:
            ValueError: *fd* is no signalfd; it stays open.
        """
        if "sigmask" not in fdinfo(fd):
            raise ValueError(f"fd must be a signalfd, and descriptor {fd} is not")
        os.set_blocking(fd, False)
        os.set_inheritable(fd, False)
        return cls(fd)

    @property
    def mask(self) -> frozenset[int]:
        """The signals that are read here, as /proc/self/fdinfo tells."""
        self._check_open()
        with self._in_use():
            return signums_of(int(fdinfo(self._fd)["sigmask"], 16))

    def set_mask(self, mask: Iterable[int]) -> None:
        """Read these signals from now on, in all processes that have the descriptor.

        Raises:
            ValueError: as `create`.
        """
        self._check_open()
        bits = _readable(mask)
        with self._in_use():
            check(quick.ipk_signals_descriptor(self._fd, bits), "signalfd", repr(self))

    def read(self, timeout: float | None = None) -> SignalInfo:
        """Wait for a signal, and take it.

        Raises:
            TimeoutExpired: none came (ETIMEDOUT).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        info = new_info()
        if self._read(info, 1) == 0:
            retry(self, select.POLLIN, deadline, lambda: self._read_or_wait(info, 1), "read")
        return info_of(info)

    def try_read(self) -> SignalInfo | None:
        """Take a signal that is pending; None if there is none."""
        info = new_info()
        return info_of(info) if self._read(info, 1) else None

    def read_many(self, n: int = _BATCH, timeout: float | None = None) -> list[SignalInfo]:
        """Wait for a signal, and take it and what else is pending.

        Args:
            n: the most to take, 1 to 64.

        Raises:
            TimeoutExpired: none came (ETIMEDOUT).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        check_int(n, "n", 1, _BATCH, "signals")
        infos = new_infos(n)
        count = self._read(infos, n)
        if count == 0:
            count = retry(self, select.POLLIN, deadline, lambda: self._read_or_wait(infos, n), "read")
        return infos_of(infos, count)

    def _read(self, into: Any, count: int) -> int:
        """How many were read, 0 where none is pending."""
        got = lib.ipk_signals_read(self._fd, into, count)
        if got < 0:
            if got in _AGAIN:
                return 0
            self._check_open()
            check(got, "read", repr(self))
        return got

    def _read_or_wait(self, into: Any, count: int) -> int:
        got = self._read(into, count)
        if got == 0:
            raise BlockingIOError
        return got

    def _describe(self) -> str:
        return f"fd={self._fd} {names_of(self.mask)}".rstrip()


def _readable(mask: Iterable[int]) -> int:
    bits = mask_of(mask, "mask")
    if not bits:
        raise ValueError("mask must name at least one signal, or there is nothing to read")
    check_blocked(bits, "mask")
    return bits
