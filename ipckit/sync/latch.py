"""A latch in shared memory: a gate that opens when enough has been counted: native/include/ipckit/latch.h."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from ipckit._arguments import check_int, check_timeout
from ipckit._native import lib
from ipckit._native_quick import lib as quick
from ipckit._wait import FOREVER, PASSED, Deadline
from ipckit.errors import check
from ipckit.sync._object import SyncHandle

if TYPE_CHECKING:
    from typing_extensions import Self

_MAX: int = lib.IPK_LATCH_MAX


class Latch(SyncHandle):
    """A number that is counted down, and opens a gate for good when it is 0.

    Whoever has done its part counts down; whoever needs all parts waits. Once open it stays open; for rounds take a
    `Barrier`. A process that dies before it has counted down is not noticed, for nobody knows who was to count: wait
    with a timeout, or take a `Barrier`. Waiters may be killed anywhere; who is killed as it opens the gate costs them
    some 50 ms.

    Ordering: what anybody stored before it counted down is seen by whoever finds the gate open.

    Threads: safe to share, and lock-free, so `count_down` may be called in a signal handler. fork(2): the child has the
    handle.

    >>> with Latch.create("/ipckit-doc-latch", count=2, unlink_on_close=True) as latch:
    ...     latch.count_down(), latch.wait(timeout=0), latch.count_down(), latch.wait()
    (1, False, 0, True)
    """

    __slots__ = ()

    _KIND = lib.IPK_SYNC_LATCH
    _WHAT = "latch"

    SIZE: Final[int] = lib.IPK_LATCH_SIZE
    """Bytes that a latch takes within memory of yours, at a multiple of 64."""

    @classmethod
    def create(  # type: ignore[override]  # what is to be counted, nobody can guess
        cls,
        name: str | None = None,
        *,
        count: int,
        within: Any = None,
        offset: int = 0,
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Self:
        """Create a latch, exclusively.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``. None: anonymous, for children
                and for whoever gets its descriptor.
            count: what is to be counted down, 0 to 2147483647; at 0 the gate is open.
            within: memory of yours to put it into instead, zeroed, as for `Mutex.create`.
            offset: bytes from the beginning of *within*, a multiple of 64.
            mode: permission bits of the file, exactly, whatever the umask.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken, or there is an object at that offset (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        check_int(count, "count", 0, _MAX, "times to count down")

        def fill(memory: Any) -> None:
            quick.ipk_latch_format(memory, count)

        return cls(cls._make(name, within, offset, mode, unlink_on_close, fill=fill))

    @property
    def count(self) -> int:
        """What is left to count; 0: the gate is open."""
        left: int = quick.ipk_latch_count(self._opened())
        return left

    def count_down(self, n: int = 1) -> int:
        """Take *n* off the count, or all that is left of it; wake whoever waits when nothing is. Never waits.

        Returns:
            What is left.
        """
        check_int(n, "n", 1, _MAX, "times to count down")
        left: int = quick.ipk_latch_count_down(self._opened(), n)
        return left

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the gate is open.

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            False if it was not opened in that time.
        """
        if timeout is not None:
            check_timeout(timeout)
        if not quick.ipk_latch_count(self._opened()):
            return True
        deadline = FOREVER if timeout is None else Deadline.after(timeout)
        if deadline is PASSED:
            return False
        with self._in_use():
            while True:
                rc = lib.ipk_latch_wait(self._view, deadline.at_ns)
                if rc != -errno.EAGAIN:
                    break
                self._check_open()
        if rc == -errno.ETIMEDOUT:
            return False
        check(rc, "wait", self._filename())
        return True
