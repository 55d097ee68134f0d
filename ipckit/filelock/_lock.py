"""What all locks on files have in common: fcntl_locking(2), flock(2)."""

from __future__ import annotations

import errno
import os
import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ipckit._arguments import check_acquire, check_int
from ipckit._block import Block
from ipckit._handle import FdHandle
from ipckit._names import check_mode
from ipckit._wait import FOREVER, PASSED, Deadline
from ipckit.errors import NotFoundError, syscall_error
from ipckit.filelock._lane import lane_of
from ipckit.filelock._opening import checked, opened
from ipckit.interrupt import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from typing_extensions import Self

    from ipckit.filelock._holders import Holder

L = TypeVar("L", bound="FileLock")

_OFFSET_MAX = (1 << 63) - 1
_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


class FileLock(Block, FdHandle):
    """A lock on a file, not yet taken; used as `threading.Lock` is, and closed by `close`.

    ``with lock:`` takes it exclusively and gives it back, ``with lock.shared():`` lets others read meanwhile.
    """

    __slots__ = ("_give", "_lane", "_length", "_lent", "_path", "_start", "_take")

    pollable = False
    _call: ClassVar[str]
    _kind: ClassVar[int]

    def __init__(
        self, path_or_fd: str | os.PathLike[str] | int, *, start: int = 0, length: int = 0, mode: int = 0o600
    ) -> None:
        """Open the file, or use a descriptor of it, without locking anything.

        Args:
            path_or_fd: a path, whose file is created where there is none; or a descriptor, which stays yours to
                close, and whose owner (see the class) the lock then has; `close` gives the lock back.
            start: the first byte of the range.
            length: bytes; 0 is up to the end of the file, however long it grows.
            mode: permission bits of a file that is created here (umask(2) applies).

        Raises:
            AccessError: the file's mode forbids reading and writing it (EACCES).
        """
        check_int(start, "start", 0, _OFFSET_MAX, "bytes")
        check_int(length, "length", 0, _OFFSET_MAX - start, "bytes")
        check_mode(mode)
        self._lent = isinstance(path_or_fd, int)
        if isinstance(path_or_fd, int):
            self._path, fd = "", checked(path_or_fd)
        else:
            self._path, fd = opened(path_or_fd, mode)
        super().__init__(fd)
        self._start = start
        self._length = length
        self._lane = lane_of(fd, self._kind, start, length)
        self._take = self._lane.take
        self._give = self._lane.give
        _locks.add(self)

    @property
    def name(self) -> str:
        """The path as it was given; "" where a descriptor was."""
        return self._path

    @property
    def held(self) -> str | None:
        """``"exclusive"``, ``"shared"``, or None: what this handle has taken and not given back."""
        held = self._lane.held
        return None if held is None else "shared" if held else "exclusive"

    def acquire(self, *, shared: bool = False, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take the lock, waiting for it; one that this handle has already is converted.

        Args:
            shared: let others have it shared at the same time.
            blocking: False: take it if that is possible now.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            False if somebody else kept it for that time.

        Raises:
            ValueError: a timeout was given with ``blocking=False``.
            DeadlockError: record locks only: to wait would never end (EDEADLK).
            AccessError: the descriptor is not open for writing (exclusive) or reading (shared) (EBADF).
            LimitError: no more locks (ENOLCK).
        """
        if timeout is not None:
            check_acquire(blocking, timeout)
        deadline = None if timeout is None else Deadline.after(timeout)
        take = self._take  # two steps: CPython caches where a slot is for these, and not for a call of it
        if rc := take(shared):
            return self._acquire_waiting(-rc, shared, (deadline or FOREVER) if blocking else PASSED)
        return True

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Take the lock if that is possible now. Returns whether it was."""
        return self.acquire(shared=shared, blocking=False)

    def release(self) -> None:
        """Give the lock back.

        Raises:
            AccessError: this handle does not hold it (EPERM).
        """
        if self._lane.held is None:
            self._check_open()
            raise syscall_error(errno.EPERM, self._call, repr(self), remedy="this handle does not hold the lock")
        give = self._give
        if rc := give():
            raise self._failure(-rc)

    def shared(self, timeout: float | None = None) -> AbstractContextManager[Self]:
        """For a ``with`` block: hold the lock shared.

        Raises:
            TimeoutExpired: somebody else kept it for *timeout* seconds (ETIMEDOUT).
        """
        return Turn(self, shared=True, timeout=timeout)

    def holder(self) -> Holder | None:
        """Who keeps this handle from an exclusive lock now; None where nobody does. A snapshot: it may have changed.

        The processes are found in /proc and so may be missing where they are other users' or in another container.
        """
        raise NotImplementedError

    def _enter(self, *, shared: bool, timeout: float | None) -> Self:
        """Take the lock for a ``with`` block; a signal handler's exception leaves what this handle had before."""
        lane = self._lane
        had = lane.held
        try:
            if not self.acquire(shared=shared, timeout=timeout):
                raise syscall_error(errno.ETIMEDOUT, self._call, repr(self))
        except BaseException:
            if lane.held is not None and lane.held is not had:
                self._restore(had)
            raise
        return self

    def _enter_waiting(self) -> Self:
        return self._enter(shared=False, timeout=None)

    def _acquire_waiting(self, number: int, shared: bool, deadline: Deadline) -> bool:  # noqa: FBT001
        """Go on after an attempt that failed with the errno *number*."""
        from ipckit._native import ffi, lib  # whoever never waits never loads it

        if number not in {errno.EAGAIN, errno.EACCES}:  # fcntl_locking(2) allows both to a lock that is taken
            raise self._failure(number)
        self._attempt_failed()
        where = (self._fd, self._kind, not shared, self._start, self._length)
        taken = ffi.new("uint32_t *")
        with self._in_use():  # so that a close in another thread finds the lock, or comes before it
            try:
                result = until(self, deadline, lambda end_ns: lib.ipk_filelock_wait(*where, end_ns, taken))
            except BaseException:
                if taken[0]:  # a signal handler raised between the lock and here
                    self._restore(self._lane.held)
                raise
            if result == 0:
                self._lane.held = shared
                self._lane.here = True
                return True
        if result == -errno.ETIMEDOUT:
            return False
        raise self._failure(-result)

    def _restore(self, had: bool | None) -> None:  # noqa: FBT001
        """Have what this handle had before it waited; that never waits."""
        if had is None:
            self._give()
        else:
            self._take(had)

    def _attempt_failed(self) -> None:
        """The lock could not be converted, or taken."""

    def _after_fork_in_child(self) -> None:
        self._lane.here = False

    def _failure(self, number: int) -> Exception:
        self._check_open()
        if number == errno.EBADF and self._fd_is_open():
            remedy = "an exclusive lock needs a descriptor open for writing, a shared one a descriptor open for reading"
            return syscall_error(errno.EACCES, self._call, repr(self), remedy=remedy)
        return syscall_error(number, self._call, repr(self))

    def _fd_is_open(self) -> bool:
        try:
            os.fstat(self._fd)
        except OSError:
            return False
        return True

    def _release(self) -> None:
        if self._lent and self._lane.held is not None and self._lane.here:  # a forked child leaves the parent's alone
            self._give()  # fails where the descriptor is closed, and the lock with it
        self._lane.close()
        if self._lent:
            self._fd = -1
        else:
            super()._release()

    def _describe(self) -> str:
        where = repr(self._path) if self._path else f"fd={self._fd}"
        held = self.held
        return f"{where} {held}" if held else where

    def _identity(self) -> tuple[int, int]:
        found = os.fstat(self._fd)
        return found.st_dev, found.st_ino

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        if self._lent:
            raise TypeError(f"cannot pickle a {type(self).__name__} on a descriptor of yours; make one by path")
        return _reopened, (type(self), self._path, self._range(), self._identity())

    def _range(self) -> dict[str, int]:
        return {"start": self._start, "length": self._length}


class Turn(Block, Generic[L]):
    """A lock for a ``with`` block: what `shared`, `reading` and `writing` return, for one block after the other."""

    __slots__ = ("_lane", "_lock", "_shared", "_timeout")

    def __init__(self, lock: L, *, shared: bool, timeout: float | None) -> None:
        self._lock = lock
        self._lane = lock._lane
        self._shared = shared
        self._timeout = timeout

    def __enter__(self) -> L:  # type: ignore[override]  # the lock is what was entered
        return self._lock._enter(shared=self._shared, timeout=self._timeout)

    def release(self) -> None:
        """Asked by the lane where it could not give the lock back: say why."""
        self._lock.release()


def _tell_all() -> None:
    for lock in _locks:
        lock._after_fork_in_child()


os.register_at_fork(after_in_child=_tell_all)


def _reopened(cls: type[FileLock], path: str, where: dict[str, int], identity: tuple[int, int]) -> FileLock:
    """In the process that unpickles: a lock of its own, not taken, on the same file."""
    lock = cls(path, **where)
    if lock._identity() != identity:
        lock.close()
        raise NotFoundError(errno.ENOENT, "the path now leads to another file than when it was pickled", path)
    return lock
