"""What named and unnamed POSIX semaphores have in common: taking and giving tokens."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ipckit._arguments import check_acquire, check_int
from ipckit._block import Block
from ipckit._handle import Handle
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import FOREVER, PASSED, Deadline
from ipckit.errors import check, syscall_error
from ipckit.posix._semaphore_lane import CLOSED

if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self

    from ipckit.posix._semaphore_lane import Lane

VALUE_MAX = (1 << 31) - 1  # SEM_VALUE_MAX
_CHUNK = 4096  # posts between two looks at pending signals


class Tokens(Block, Handle):
    """A counter that never falls below 0, used like `threading.Semaphore`."""

    __slots__ = ()

    _lane: Lane  # takes and gives at once
    _sem: Any  # the pointer; NULL once it is closed

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:  # noqa: FBT001, FBT002  # threading's
        """Take a token, waiting for one: sem_wait(3), sem_clockwait(3).

        Args:
            blocking: False: take one if there is one now.
            timeout: seconds, on a clock that no setting of the date disturbs; None waits for ever, 0 never waits.

        Returns:
            False if there was no token in that time.

        Raises:
            ValueError: a timeout was given with ``blocking=False``.
        """
        if timeout is not None:
            check_acquire(blocking, timeout)
        if self._lane.take():
            return True
        # The clock is read only now: nothing has waited yet.
        return self._acquire_waiting(Deadline.after(timeout) if blocking else PASSED)

    def try_acquire(self) -> bool:
        """Take a token if there is one now: sem_trywait(3). Returns whether there was."""
        return self._lane.take() or self._acquire_waiting(PASSED)

    def release(self, n: int = 1) -> None:
        """Give *n* tokens, each of which wakes a waiter: sem_post(3).

        Args:
            n: 1 or more. They are given one by one; another process may take some before the last is given.

        Raises:
            SyscallError: there would be more than 2147483647 (EOVERFLOW).
        """
        if n != 1:
            self._release_many(n)
        elif not self._lane.give():
            self._post_failed()

    @property
    def value(self) -> int:
        """The tokens there are now: sem_getvalue(3). 0 also while processes wait."""
        result = quick.ipk_posix_sem_value(self._sem)
        if result < 0:
            self._check_open()
        return check(result, "sem_getvalue", self._filename())

    def _enter_waiting(self) -> Self:
        self._acquire_waiting(FOREVER)
        return self

    def _acquire_waiting(self, deadline: Deadline) -> bool:
        sem, taken = self._sem, ffi.new("uint32_t *")
        try:
            with self._in_use():
                while True:
                    # At a deadline that has passed this takes a token that is there, and does not wait.
                    result: int = lib.ipk_posix_sem_wait(sem, deadline.slice_end_ns(), taken)
                    if result == 0:
                        return True
                    if result not in (-errno.ETIMEDOUT, -errno.EINTR):
                        check(result, "sem_clockwait", self._filename())
                    self._check_open()
                    if deadline.expired:
                        return False
        except BaseException:
            if taken[0]:  # a signal handler raised between the token and here
                quick.ipk_posix_sem_post(sem)
            raise
        finally:
            del sem  # a traceback keeps this frame, which must not keep the memory

    def _release_many(self, n: int) -> None:
        check_int(n, "n", 1, VALUE_MAX, "tokens")
        if self.value + n > VALUE_MAX:  # refuse before the first, where it can be known
            raise self._overflow()
        for start in range(0, n, _CHUNK):
            for _ in range(min(_CHUNK, n - start)):
                if not self._lane.give():
                    self._post_failed()

    def _post_failed(self) -> None:
        self._check_open()
        raise self._overflow()

    def _overflow(self) -> Exception:
        return syscall_error(errno.EOVERFLOW, "sem_post", self._filename())

    def _release(self) -> None:
        # The old lane, and the memory with it, goes when no call is inside any more. The slots are the subclass's.
        self._lane = CLOSED
        self._sem = ffi.NULL
