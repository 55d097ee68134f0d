"""POSIX named semaphores: sem_overview(7)."""

from __future__ import annotations

import errno
import os
import secrets
import sysconfig
from typing import TYPE_CHECKING

from ipckit._handle import NamedHandle, new_name
from ipckit._names import check_mode, posix_name
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._shmfile import DIRECTORY
from ipckit._wait import FOREVER, PASSED, Deadline
from ipckit.errors import check, syscall_error
from ipckit.posix._arguments import check_int

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

_VALUE_MAX = (1 << 31) - 1  # SEM_VALUE_MAX
_PREFIX = "sem."  # glibc's: the file of /name is /dev/shm/sem.name
_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
_CHUNK = 4096  # posts between two looks at pending signals

# One crossing into C for each operation that goes through at once, with the GIL kept.
_trywait = quick.ipk_posix_sem_trywait
_post = quick.ipk_posix_sem_post


class Semaphore(NamedHandle):
    """A counter that never falls below 0: `acquire` takes a token or waits for one, `release` gives one.

    Used like `threading.Semaphore`: ``with semaphore:`` acquires and releases. It is closed by `close`, or by
    ``with contextlib.closing(semaphore):``.

    A token has no owner: anyone may release, from a signal handler too, and **a process that dies with a token
    never gives it back**. Where that matters, take a lock that the kernel frees (`OfdLock`, `Mutex`). Who waits
    longest is not promised to be served first. Safe to share between threads and across fork(2).

    >>> semaphore = Semaphore.create("/ipckit-doc-sem", value=1, unlink_on_close=True)
    >>> with semaphore:
    ...     semaphore.acquire(timeout=0.01)
    False
    >>> semaphore.value
    1
    >>> semaphore.close()
    """

    __slots__ = ("_inode", "_owner", "_sem")

    def __init__(self, name: str, sem: Any, inode: tuple[int, int], *, unlink: bool = False) -> None:
        super().__init__(name, unlink_on_close=unlink)
        self._owner = sem
        # A plain pointer crosses into C faster. It is enough where the GIL keeps `close` out of a quick call.
        self._sem = sem if _FREE_THREADED else ffi.cast("void *", sem)
        self._inode = inode

    @classmethod
    def create(
        cls, name: str | None = None, *, value: int = 0, mode: int = 0o600, unlink_on_close: bool = False
    ) -> Self:
        """Create a semaphore, exclusively; it is complete before anybody can open it.

        Args:
            name: "/" and then up to 251 bytes; None makes a unique one, which is yours to unlink all the same.
            value: tokens at first, 0 to 2147483647.
            mode: permission bits, exactly, whatever the umask. To acquire and release takes both read and write.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: *name* is taken (EEXIST).
        """
        name = posix_name(new_name(name), prefix=_PREFIX)
        check_int(value, "value", 0, _VALUE_MAX, "tokens")
        check_mode(mode)
        # Made under a name that nobody knows, so that its mode is right when it gets its own.
        hidden = f"/.ipckit-{secrets.token_hex(8)}"
        sem = _opened(hidden, name, mode, value)
        path = _path(hidden)
        try:
            os.chmod(path, mode)
            found = os.stat(path)
            os.link(path, _path(name))
        except OSError as error:
            raise syscall_error(error.errno or 0, "sem_open", name) from None
        finally:
            os.unlink(path)
        return cls(name, sem, (found.st_dev, found.st_ino), unlink=unlink_on_close)

    @classmethod
    def open(cls, name: str) -> Self:
        """Open an existing semaphore.

        Raises:
            NotFoundError: there is no semaphore of that name (ENOENT).
            AccessError: its mode forbids reading or writing it (EACCES).
        """
        path = _path(posix_name(name, prefix=_PREFIX))
        before = _inode(path)
        while True:
            sem = _opened(name, name)
            after = _inode(path)
            if before == after is not None:
                return cls(name, sem, after)
            # Unlinked, and perhaps made anew, around our sem_open: nothing tells which of them we have.
            before = after

    @classmethod
    def unlink_name(cls, name: str) -> None:
        """Destroy *name*; the semaphore goes when the last process that has it open lets go.

        Raises:
            NotFoundError: there is no semaphore of that name (ENOENT).
        """
        check(lib.ipk_posix_sem_unlink(os.fsencode(posix_name(name, prefix=_PREFIX))), "sem_unlink", name)

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
            if not blocking:
                raise ValueError("timeout must be None where blocking is false: that call never waits")
            if type(timeout) is not float or not timeout >= 0:
                Deadline.after(timeout)  # refuses what is no timeout
        if not _trywait(self._sem):
            return True
        # The clock is read only now: nothing has waited yet.
        return self._acquire_waiting(Deadline.after(timeout) if blocking else PASSED)

    def try_acquire(self) -> bool:
        """Take a token if there is one now: sem_trywait(3). Returns whether there was."""
        return not _trywait(self._sem) or self._acquire_waiting(PASSED)

    def release(self, n: int = 1) -> None:
        """Give *n* tokens, each of which wakes a waiter: sem_post(3).

        Args:
            n: 1 or more. They are given one by one; another process may take some before the last is given.

        Raises:
            SyscallError: there would be more than 2147483647 (EOVERFLOW).
        """
        if n == 1:
            if _post(self._sem):
                self._post_failed()
            return
        self._release_many(n)

    @property
    def value(self) -> int:
        """The tokens there are now: sem_getvalue(3). 0 also while processes wait."""
        result = quick.ipk_posix_sem_value(self._sem)
        if result < 0:
            self._check_open()
        return check(result, "sem_getvalue", self._name)

    def __enter__(self) -> Self:
        if _trywait(self._sem):
            self._acquire_waiting(FOREVER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _post(self._sem):
            self._post_failed()

    def _acquire_waiting(self, deadline: Deadline) -> bool:
        with self._in_use():
            while True:
                # At a deadline that has passed this takes a token that is there, and does not wait.
                result: int = lib.ipk_posix_sem_wait(self._sem, deadline.slice_end_ns())
                if result == 0:
                    return True
                if result not in (-errno.ETIMEDOUT, -errno.EINTR):
                    check(result, "sem_clockwait", self._name)
                self._check_open()
                if deadline.expired:
                    return False

    def _release_many(self, n: int) -> None:
        check_int(n, "n", 1, _VALUE_MAX, "tokens")
        if self.value + n > _VALUE_MAX:  # refuse before the first, where it can be known
            raise syscall_error(errno.EOVERFLOW, "sem_post", self._name)
        for start in range(0, n, _CHUNK):
            for _ in range(min(_CHUNK, n - start)):
                if _post(self._sem):
                    self._post_failed()

    def _post_failed(self) -> None:
        self._check_open()
        raise syscall_error(errno.EOVERFLOW, "sem_post", self._name)

    def _release(self) -> None:
        self._sem = self._owner = ffi.NULL  # the last reference closes it: see _opened

    def _identity(self) -> tuple[int, int]:
        return self._inode


def _path(name: str) -> str:
    return f"{DIRECTORY}/{_PREFIX}{name[1:]}"


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _opened(name: str, subject: str, mode: int | None = None, value: int = 0) -> Any:
    """Open *name*, or create it where *mode* is given.

    sem_close(3) unmaps the memory. It runs when the last reference to the result goes, so never under a thread
    that is inside a call with it, not even on a Python without a GIL.
    """
    out = ffi.new("void **")
    creating = mode is not None
    check(lib.ipk_posix_sem_open(os.fsencode(name), creating, mode or 0, value, out), "sem_open", subject)
    return ffi.gc(out[0], lib.ipk_posix_sem_close)
