"""Something that is done once by one of many processes: native/include/ipckit/once.h."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from ipckit._native import lib
from ipckit._native_quick import lib as quick
from ipckit._wait import FOREVER, PASSED, Deadline
from ipckit.errors import NotOwnerError, syscall_error
from ipckit.sync._object import SyncHandle, failure
from ipckit.sync._ownership import AGAIN

if TYPE_CHECKING:
    from collections.abc import Callable


class Once(SyncHandle):
    """Something that is done once, by one thread of one process, however many come by.

    `run` does it or waits until it is done. **A runner that dies, or raises, is replaced** by the next that comes or
    waits, so it may have been begun several times, and half done: let the function begin anew, or carry on. Once it has
    been completed it is done for ever, and to ask costs one load.

    Ordering: what the runner stored before it completed is seen by whoever finds it done.

    Threads: safe to share; the runner is a thread. One that ends without completing goes on running: the process lives.
    fork(2): the child has the handle, and runs nothing. `close` of the handle by which it was begun is as the death of
    the runner. execve(2) without that is not: the process goes on running, until it ends.

    >>> with Once.create("/ipckit-doc-once", unlink_on_close=True) as once:
    ...     once.run(lambda: print("table loaded")), once.run(lambda: print("never")), once.done
    table loaded
    (True, False, True)
    """

    __slots__ = ()

    _KIND = lib.IPK_SYNC_ONCE
    _WHAT = "once"

    SIZE: Final[int] = lib.IPK_ONCE_SIZE
    """Bytes that it takes within memory of yours, at a multiple of 64."""

    @property
    def done(self) -> bool:
        """Whether it has been completed."""
        return bool(quick.ipk_once_done(self._opened()))

    def run(self, function: Callable[[], object], timeout: float | None = None) -> bool:
        """Call *function*, unless it is done; if another one runs, wait for that.

        Args:
            function: if it raises, it is not done, and the exception is raised here.
            timeout: seconds to wait for another runner; None waits for ever, 0 never waits.

        Returns:
            Whether it was done by this call.

        Raises:
            TimeoutExpired: another one runs, and the time is up (ETIMEDOUT).
            DeadlockError: this thread runs it already (EDEADLK).
        """
        if not self.begin(timeout):
            return False
        try:
            function()
        except BaseException:
            quick.ipk_once_abandon(self._opened())
            raise
        self.complete()
        return True

    def begin(self, timeout: float | None = None) -> bool:
        """Become the runner, unless it is done; if another one runs, wait for that.

        Returns:
            True: this thread is the runner, and calls `complete` or `abandon`. False: it is done.

        Raises:
            TimeoutExpired, DeadlockError: as `run`.
        """
        deadline = FOREVER if timeout is None else Deadline.after(timeout)
        rc: int = quick.ipk_once_try(self._opened())
        if rc == -errno.EAGAIN:
            with self._in_use():
                rc = self._wait(deadline)
        if rc == -errno.EALREADY:
            return False
        if rc == 0:
            return True
        if rc == -errno.EAGAIN:
            rc = -errno.ETIMEDOUT  # it was not to be waited for
        if rc == -errno.EDEADLK:
            raise syscall_error(-rc, "begin", self._filename(), remedy="this thread runs it already")
        raise failure(rc, "begin", self._filename())

    def try_begin(self) -> bool:
        """Become the runner, if it is not done and nobody runs it now, or only one that died; never waits."""
        rc: int = quick.ipk_once_try(self._opened())
        if rc == -errno.EAGAIN:
            rc = quick.ipk_once_recover(self._view)
        if rc in {0, -errno.EALREADY, -errno.EAGAIN, -errno.EDEADLK}:
            return rc == 0
        raise failure(rc, "try_begin", self._filename())

    def complete(self) -> None:
        """Say that it is done, for ever, and wake whoever waits.

        Raises:
            NotOwnerError: this thread does not run it; a RuntimeError.
        """
        if quick.ipk_once_complete(self._opened()):
            raise NotOwnerError(f"cannot complete {self!r}: this thread does not run it")

    def abandon(self) -> None:
        """Say that it is not done: the next one runs it.

        Raises:
            NotOwnerError: as `complete`.
        """
        if quick.ipk_once_abandon(self._opened()):
            raise NotOwnerError(f"cannot abandon {self!r}: this thread does not run it")

    def _wait(self, deadline: Deadline) -> int:
        view = self._view
        try:
            if deadline is PASSED:
                rc: int = quick.ipk_once_recover(view)
                return rc
            rc = -errno.EAGAIN
            while True:
                if rc not in AGAIN:
                    return rc
                rc = lib.ipk_once_wait(view, deadline.at_ns)
                self._check_open()  # whoever closes meanwhile shall not run
        except BaseException:
            if quick.ipk_once_mine(view):  # an exception of a signal handler came between
                quick.ipk_once_abandon(view)
            raise

    def _release(self) -> None:
        quick.ipk_once_close(self._view)
        super()._release()
