"""POSIX named semaphores: sem_overview(7)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ipckit._arguments import check_int
from ipckit._handle import NamedHandle, new_name
from ipckit._names import check_mode, posix_name
from ipckit._native import ffi, lib
from ipckit._shmfile import DIRECTORY, publish, reserve
from ipckit.errors import LayoutError, check
from ipckit.posix._semaphore_lane import lane_of
from ipckit.posix._tokens import VALUE_MAX, Tokens

if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self

_SIZE: int = lib.ipk_posix_sem_size()
_PREFIX = "sem."  # glibc's: the file of /name is /dev/shm/sem.name


class Semaphore(Tokens, NamedHandle):
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

    __slots__ = ("_inode", "_lane", "_sem")

    def __init__(self, name: str, sem: Any, inode: tuple[int, int], *, unlink: bool = False) -> None:
        super().__init__(name, unlink_on_close=unlink)
        self._sem = sem
        self._lane = lane_of(sem)
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
        check_int(value, "value", 0, VALUE_MAX, "tokens")
        check_mode(mode)
        sem: Any = None

        def fill(fd: int) -> None:
            nonlocal sem
            reserve(fd, 0, _SIZE, name)
            sem = _mapped(fd, name)
            check(lib.ipk_posix_sem_init(sem, value), "sem_init", name)

        # sem_open(3) would give it its name before its mode, which the umask narrows.
        fd = publish(_path(name), mode, fill, name)
        try:
            found = os.fstat(fd)
        finally:
            os.close(fd)
        return cls(name, sem, (found.st_dev, found.st_ino), unlink=unlink_on_close)

    @classmethod
    def open(cls, name: str) -> Self:
        """Open an existing semaphore.

        Raises:
            NotFoundError: there is no semaphore of that name (ENOENT).
            AccessError: its mode forbids reading or writing it (EACCES).
            LayoutError: the file of that name is too short for one.
        """
        path = _path(posix_name(name, prefix=_PREFIX))
        before = _file(path)
        while True:
            sem = _opened(name)
            after = _file(path)
            if before == after is not None:
                if after.size < _SIZE:  # sem_open(3) does not look; to touch what is not there is SIGBUS
                    raise LayoutError(f"{name!r} is no semaphore: its file has {after.size} bytes, not {_SIZE}")
                return cls(name, sem, after.inode)
            # Unlinked, and perhaps made anew, around our sem_open: nothing tells which of them we have.
            before = after

    @classmethod
    def unlink_name(cls, name: str) -> None:
        """Destroy *name*; the semaphore goes when the last process that has it open lets go.

        Raises:
            NotFoundError: there is no semaphore of that name (ENOENT).
        """
        check(lib.ipk_posix_sem_unlink(os.fsencode(posix_name(name, prefix=_PREFIX))), "sem_unlink", name)

    def _is_ours(self) -> bool:
        found = _file(_path(self._name))
        return found is not None and found.inode == self._inode  # nobody else's while its memory is mapped

    def _identity(self) -> tuple[int, int]:
        return self._inode


def _path(name: str) -> str:
    return f"{DIRECTORY}/{_PREFIX}{name[1:]}"


class _File(NamedTuple):
    """What tells the file of a semaphore from others, and its bytes."""

    inode: tuple[int, int]
    size: int


def _file(path: str) -> _File | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return _File((found.st_dev, found.st_ino), found.st_size)


def _opened(name: str) -> Any:
    """What sem_open(3) gives for *name*.

    sem_close(3) unmaps the memory. It runs when the last reference to the result goes, so never under a thread
    that is inside a call with it, not even on a Python without a GIL.
    """
    out = ffi.new("void **")
    check(lib.ipk_posix_sem_open(os.fsencode(name), out), "sem_open", name)
    return ffi.gc(out[0], lib.ipk_posix_sem_close)


def _mapped(fd: int, name: str) -> Any:
    """The semaphore's file in memory; unmapped as `_opened` says of sem_close(3)."""
    out = ffi.new("void **")
    check(lib.ipk_posix_sem_map(fd, out), "mmap", name)
    return ffi.gc(out[0], lib.ipk_posix_sem_unmap)
