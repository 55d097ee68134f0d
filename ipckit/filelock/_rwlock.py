"""Readers and writers of a file, in programs that know nothing of each other."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ipckit._arguments import check_acquire
from ipckit._wait import PASSED, Deadline
from ipckit.errors import syscall_error
from ipckit.filelock._lock import Turn
from ipckit.filelock._ranges import OfdLock

if TYPE_CHECKING:
    import os
    from contextlib import AbstractContextManager

    from typing_extensions import Self


class FileRWLock(OfdLock):
    """Many readers or one writer, agreed upon through a lock file; a waiting writer keeps new readers out.

    The owner is the handle's open file description, as with `OfdLock`: each thread takes a handle of its own, and the
    kernel frees the lock of whoever dies. Other programs take part with OFD locks on two bytes of the file, which may
    be empty: byte 1 is the gate, byte 0 the lock. A reader takes the gate shared, then the lock shared; a writer both
    exclusively; both give the gate back once they have the lock. So neither readers nor writers starve.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     mine, other = FileRWLock(file.name), FileRWLock(file.name)
    ...     with mine.reading(), other.reading():
    ...         other.held
    ...     with mine.writing():
    ...         other.try_acquire(shared=True)
    ...     mine.close(), other.close()
    'shared'
    False
    (None, None)
    """

    __slots__ = ("_gate",)

    def __init__(self, path: str | os.PathLike[str], *, mode: int = 0o600) -> None:
        """Open the lock file without locking anything.

        Args:
            path: the lock file; created where there is none. Nobody should rename or unlink it.
            mode: permission bits of a file that is created here (umask(2) applies).

        Raises:
            AccessError: the file's mode forbids reading and writing it (EACCES).
        """
        if isinstance(path, int):
            raise TypeError("path must be a path: a descriptor may share its description, and its locks, with others")
        super().__init__(path, start=0, length=1, mode=mode)
        self._gate = OfdLock(self._fd, start=1, length=1)

    def acquire(self, *, shared: bool = False, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take the lock, waiting for it; an exclusive one that this handle has already becomes a shared one.

        Args:
            shared: as a reader.
            blocking: False: take it if that is possible now.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            False if somebody else kept it for that time.

        Raises:
            ValueError: a timeout was given with ``blocking=False``.
            DeadlockError: a reader asks to write (EDEADLK): two that did so would wait for each other.
        """
        if timeout is not None:
            check_acquire(blocking, timeout)
        deadline = Deadline.after(timeout) if blocking else PASSED
        if self._lane.held is not None:
            return self._convert(shared=shared)
        gate = self._gate
        with self._in_use():
            try:
                if not gate.acquire(shared=shared, timeout=deadline.left()):
                    return False
                return super().acquire(shared=shared, timeout=deadline.left())
            finally:
                gate._lane.give()  # one call, before which no signal handler comes; it may have nothing to give

    def __enter__(self) -> Self:
        return self._enter(shared=False, timeout=None)  # by way of the gate

    def reading(self, timeout: float | None = None) -> AbstractContextManager[Self]:
        """For a ``with`` block: hold the lock as one of its readers.

        Raises:
            TimeoutExpired: a writer had it, or waited for it, for *timeout* seconds (ETIMEDOUT).
        """
        return self.shared(timeout)

    def writing(self, timeout: float | None = None) -> AbstractContextManager[Self]:
        """For a ``with`` block: hold the lock as its only writer.

        Raises:
            TimeoutExpired: others had it for *timeout* seconds (ETIMEDOUT).
        """
        return Turn(self, shared=False, timeout=timeout)

    def close(self) -> None:
        """Let go of the file, and of the lock; a wait in another thread ends with ClosedError."""
        self._gate.close()
        super().close()

    def __del__(self) -> None:
        if gate := getattr(self, "_gate", None):
            gate.close()
        super().__del__()

    def _convert(self, *, shared: bool) -> bool:
        if self._lane.held and not shared:
            remedy = "give the shared lock back first: two readers that both want to write would wait for each other"
            raise syscall_error(errno.EDEADLK, self._call, repr(self), remedy=remedy)
        return super().acquire(shared=shared)

    def _range(self) -> dict[str, int]:
        return {}
