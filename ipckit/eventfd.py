"""A counter in the kernel to wait for: eventfd(2)."""

from __future__ import annotations

import errno
import os
import select
from typing import TYPE_CHECKING, Any, Final

from ipckit._arguments import check_int
from ipckit._fdinfo import fdinfo
from ipckit._handle import FdHandle
from ipckit._retry import failure, retry
from ipckit._wait import Deadline
from ipckit.errors import IPCError, syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

__all__ = ["MAXIMUM", "EventFd"]

MAXIMUM: Final = (1 << 64) - 2
"""The largest value of the counter."""

_INITIAL_MAXIMUM = (1 << 32) - 1  # eventfd(2) takes an unsigned int


class EventFd(FdHandle):
    """A 64-bit counter: `write` adds to it, `read` waits until it is above 0 and takes what is there.

    Made with ``semaphore=True``, `read` takes 1 at a time. Every operation is atomic, among threads and processes.
    Whoever has the descriptor, by inheritance, pickling to a child or `send_fds`, has the same counter *and* the
    same open file description, which is non-blocking for all of them.

    >>> with EventFd.create() as event:
    ...     event.write(2)
    ...     event.write()
    ...     event.read(timeout=1)
    3
    """

    __slots__ = ("_semaphore",)

    def __init__(self, fd: int, semaphore: bool = False) -> None:  # noqa: FBT001, FBT002
        super().__init__(fd)
        self._semaphore = semaphore

    @classmethod
    def create(cls, initial: int = 0, *, semaphore: bool = False) -> Self:
        """Make a counter that holds *initial*, 0 to 2**32 - 1.

        Args:
            semaphore: whether `read` takes 1 (EFD_SEMAPHORE), and not all.

        Raises:
            LimitError: too many descriptors (EMFILE, ENFILE).
        """
        check_int(initial, "initial", 0, _INITIAL_MAXIMUM, "write() adds more")
        flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK | (os.EFD_SEMAPHORE if semaphore else 0)
        try:
            return cls(os.eventfd(initial, flags), semaphore=semaphore)
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "eventfd") from None

    @classmethod
    def from_fd(cls, fd: int, *, semaphore: bool = False) -> Self:
        """Take over the descriptor *fd* of an eventfd; its description becomes non-blocking for all its holders.

        Args:
            semaphore: whether it was made with EFD_SEMAPHORE; kernels older than 6.5 cannot tell.

        Raises:
            ValueError: *fd* is no eventfd; it stays open.
        """
        found = fdinfo(fd)
        if "eventfd-count" not in found:
            raise ValueError(f"fd must be an eventfd, and descriptor {fd} is not")
        os.set_blocking(fd, False)
        os.set_inheritable(fd, False)
        return cls(fd, semaphore=bool(int(found.get("eventfd-semaphore", semaphore))))

    @property
    def semaphore(self) -> bool:
        """Whether `read` takes 1, and not all."""
        return self._semaphore

    @property
    def value(self) -> int:
        """The counter at this moment, from /proc/self/fdinfo; it takes nothing."""
        self._check_open()
        with self._in_use():
            return int(fdinfo(self._fd)["eventfd-count"], 16)

    def write(self, n: int = 1, timeout: float | None = None) -> None:
        """Add *n*, waiting while the sum would exceed `MAXIMUM`: eventfd_write(3).

        Args:
            n: 0 to 2**64 - 2.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: the counter stayed too high (ETIMEDOUT).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        try:
            os.eventfd_write(self._fd, n)
        except BlockingIOError:
            # poll(2) says "writable" as soon as 1 can be added, and nothing about more.
            self._wait(select.POLLOUT, deadline, lambda: os.eventfd_write(self._fd, n), "write", truthful=n == 1)
        except (OSError, OverflowError, ValueError) as error:
            raise self._refusal(error, "write", n) from None

    def try_write(self, n: int = 1) -> bool:
        """Add *n* if the sum does not exceed `MAXIMUM`; return whether it was added."""
        try:
            os.eventfd_write(self._fd, n)
        except BlockingIOError:
            return False
        except (OSError, OverflowError, ValueError) as error:
            raise self._refusal(error, "write", n) from None
        return True

    def read(self, timeout: float | None = None) -> int:
        """Wait until the counter is above 0, then take all of it, or 1 of a semaphore; return that: eventfd_read(3).

        Raises:
            TimeoutExpired: the counter stayed 0 (ETIMEDOUT).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        try:
            return os.eventfd_read(self._fd)
        except BlockingIOError:
            value: int = self._wait(select.POLLIN, deadline, lambda: os.eventfd_read(self._fd), "read")
            return value
        except (OSError, ValueError) as error:
            raise self._refusal(error, "read") from None

    def try_read(self) -> int | None:
        """Take what is there, or 1 of a semaphore; None if the counter is 0."""
        try:
            return os.eventfd_read(self._fd)
        except BlockingIOError:
            return None
        except (OSError, ValueError) as error:
            raise self._refusal(error, "read") from None

    def _wait(
        self, events: int, deadline: Deadline | None, attempt: Callable[[], Any], verb: str, *, truthful: bool = True
    ) -> Any:
        try:
            return retry(self, events, deadline, attempt, verb, truthful=truthful)
        except IPCError:
            raise
        except (OSError, ValueError) as error:
            raise self._refusal(error, verb) from None

    def _refusal(self, error: Exception, verb: str, n: int = 0) -> Exception:
        if not 0 <= n <= MAXIMUM:
            return ValueError(f"n must be from 0 to {MAXIMUM} (2**64 - 2), not {n}")
        self._check_open()  # a closed handle's -1 is a ValueError
        return failure(self, error, verb) if isinstance(error, OSError) else error

    def _facts(self) -> tuple[Any, ...]:
        return (self._semaphore,)
