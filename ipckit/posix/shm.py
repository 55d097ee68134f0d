"""POSIX shared memory: shm_overview(7)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ipckit._arguments import check_int
from ipckit._handle import new_name, reopen
from ipckit._mapped import SIZE_MAX, MappedHandle
from ipckit._names import check_mode, posix_name
from ipckit._region import Region
from ipckit._shmfile import DIRECTORY, publish, reserve
from ipckit.errors import syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self


class SharedMemory(MappedHandle):
    """A named segment of memory, /dev/shm/NAME, that every process which opens it sees and changes.

    Nothing orders the accesses of different processes; use a semaphore, a lock, or a structure made for it. Safe to
    share between threads and across fork(2): all see the same bytes. Its memory is reserved when it is created or
    grown, so a full /dev/shm is an error there. Opening registers nothing that would unlink it later.

    The mode is the trust boundary: who may write the segment may also truncate it, and to touch a page beyond the
    end of a truncated segment is SIGBUS. While views of `buf` are alive, also those of `view`, `structure` and `array`,
    `close` and `resize` raise BufferError and change nothing.

    `fileno` is the segment's file descriptor; poll(2) and epoll(7) know nothing about it.

    >>> with SharedMemory.create("/ipckit-doc-shm", size=4096, unlink_on_close=True) as memory:
    ...     memory.buf[:5] = b"hello"
    ...     with SharedMemory.open("/ipckit-doc-shm", read_only=True) as other:
    ...         bytes(other.buf[:5])
    b'hello'
    """

    __slots__ = ()

    def __init__(self, name: str, fd: int, *, read_only: bool, unlink_on_close: bool = False) -> None:
        """Map *fd*, which becomes the handle's own."""
        region = Region(fd, os.fstat(fd).st_size, subject=name, read_only=read_only)
        super().__init__(name, fd, region, read_only=read_only, unlink_on_close=unlink_on_close)

    @classmethod
    def create(  # type: ignore[override]  # a segment without a size would be of no use
        cls, name: str | None = None, *, size: int, mode: int = 0o600, unlink_on_close: bool = False
    ) -> Self:
        """Create a segment of zeros, exclusively; it is complete before anybody can open it.

        Args:
            name: "/" and then up to 255 bytes; None makes a unique one, which is yours to unlink all the same.
            size: bytes, 1 or more; not rounded up to pages.
            mode: permission bits, exactly, whatever the umask.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: *name* is taken (EEXIST).
            LimitError: /dev/shm has no room for it (ENOSPC).
        """
        name = posix_name(new_name(name))
        check_int(size, "size", 1, SIZE_MAX, "bytes")
        check_mode(mode)
        fd = publish(DIRECTORY + name, mode, lambda fd: reserve(fd, 0, size, name), name)
        try:
            return cls(name, fd, read_only=False, unlink_on_close=unlink_on_close)
        except BaseException:
            os.close(fd)
            cls.unlink_name(name)
            raise

    @classmethod
    def open(cls, name: str, *, read_only: bool = False) -> Self:
        """Map the existing segment, all of it.

        A segment that another program has created and not yet given a size is mapped empty; see `refresh`.

        Args:
            read_only: ask for no right to write; `buf` is then read-only.

        Raises:
            NotFoundError: there is no segment of that name (ENOENT).
            AccessError: its mode forbids what is asked for (EACCES).
        """
        import posix_ipc

        from ipckit.posix._translate import translated

        posix_name(name)
        try:
            fd = posix_ipc.SharedMemory(name, read_only=read_only).fd
        except Exception as error:
            raise translated(error, "shm_open", name) from None
        try:
            return cls(name, fd, read_only=read_only)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def unlink_name(cls, name: str) -> None:
        """Destroy *name*; the memory goes when the last process that has it open or mapped lets go.

        Raises:
            NotFoundError: there is no segment of that name (ENOENT).
        """
        path = DIRECTORY + posix_name(name)
        try:
            os.unlink(path)  # what shm_unlink(3) is
        except OSError as error:
            raise syscall_error(error.errno or 0, "shm_unlink", name) from None

    def _path(self) -> str:
        return DIRECTORY + self._name

    def _map(self, size: int) -> Region:
        return Region(self._fd, size, subject=self._name, read_only=self._read_only)

    def _describe(self) -> str:
        return f"{self._name!r} size={self._region.buf.nbytes} fd={self._fd}"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        how = {"read_only": True} if self._read_only else {}
        return reopen, (type(self), self._name, self._identity(), how)
