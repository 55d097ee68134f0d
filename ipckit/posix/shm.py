"""POSIX shared memory: shm_overview(7)."""

from __future__ import annotations

import errno
import mmap
import os
import sys
from typing import TYPE_CHECKING, Any

from ipckit._handle import NamedHandle, new_name, reopen
from ipckit._names import check_mode, posix_name
from ipckit._shmfile import DIRECTORY, publish, reserve
from ipckit.errors import syscall_error
from ipckit.posix._arguments import check_int

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

_SIZE_MAX = (1 << 63) - 1  # off_t


class SharedMemory(NamedHandle):
    """A named segment of memory, /dev/shm/NAME, that every process which opens it sees and changes.

    Nothing orders the accesses of different processes; use a semaphore, a lock, or a structure made for it. Safe to
    share between threads and across fork(2): all see the same bytes. Its memory is reserved when it is created or
    grown, so a full /dev/shm is an error there. Opening registers nothing that would unlink it later.

    The mode is the trust boundary: who may write the segment may also truncate it, and to touch a page beyond the
    end of a truncated segment is SIGBUS. While views of `buf` are alive, `close` and `resize` raise BufferError and
    change nothing.

    `fileno` is the segment's file descriptor; poll(2) and epoll(7) know nothing about it.

    >>> with SharedMemory.create("/ipckit-doc-shm", size=4096, unlink_on_close=True) as memory:
    ...     memory.buf[:5] = b"hello"
    ...     with SharedMemory.open("/ipckit-doc-shm", read_only=True) as other:
    ...         bytes(other.buf[:5])
    b'hello'
    """

    __slots__ = ("_buf", "_fd", "_map", "_read_only")

    def __init__(self, name: str, fd: int, *, read_only: bool, unlink: bool) -> None:
        super().__init__(name, unlink_on_close=unlink)
        self._fd = fd
        self._read_only = read_only
        self._map, self._buf = self._new_mapping(os.fstat(fd).st_size)

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
        check_int(size, "size", 1, _SIZE_MAX, "bytes")
        check_mode(mode)
        fd = publish(DIRECTORY + name, mode, lambda fd: reserve(fd, 0, size, name), name)
        try:
            return cls(name, fd, read_only=False, unlink=unlink_on_close)
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
            return cls(name, fd, read_only=read_only, unlink=False)
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

    @property
    def buf(self) -> memoryview:
        """The memory. `close` ends this view; views and arrays made of it must be gone by then."""
        self._check_open()
        return self._buf

    @property
    def size(self) -> int:
        """Bytes mapped here. Another process may have resized the segment since: `refresh` tells."""
        self._check_open()
        return self._buf.nbytes

    def resize(self, size: int, *, shrink: bool = False) -> None:
        """Set the segment's size and map it anew, so that `buf` is another view afterwards.

        New bytes are zero. Other processes keep their mapping until they call `refresh`. One process at a time
        may resize, and no other thread may use this handle meanwhile.

        Args:
            size: bytes, 1 or more.
            shrink: allow less than now. Any process that touches what is cut off dies of SIGBUS.

        Raises:
            ValueError: *size* is less than now, and *shrink* is false.
            LimitError: /dev/shm has no room for it (ENOSPC); the segment is as before.
            BufferError: views of `buf` are alive.
            AccessError: the segment was opened read-only (EACCES).
        """
        check_int(size, "size", 1, _SIZE_MAX, "bytes")
        self._check_open()
        if self._read_only:
            raise syscall_error(errno.EACCES, "ftruncate", self._name, remedy="it was opened with read_only=True")
        with self._in_use():
            before = os.fstat(self._fd).st_size
            if size < before and not shrink:
                raise ValueError(f"size is {before} bytes now; pass shrink=True to cut the segment to {size}")
            self._unmap("resize")  # first, because it refuses where views are alive
            try:
                if size > before:
                    reserve(self._fd, before, size, self._name)
                else:
                    os.ftruncate(self._fd, size)
            finally:
                self._map, self._buf = self._new_mapping(os.fstat(self._fd).st_size)

    def refresh(self) -> int:
        """Map what the segment is now, after another process resized it.

        Returns:
            Its size in bytes. `buf` is another view if that has changed.

        Raises:
            BufferError: the size has changed, and views of `buf` are alive.
        """
        with self._in_use():
            size = os.fstat(self._fd).st_size
            if size != self._buf.nbytes:
                self._unmap("refresh")
                self._map, self._buf = self._new_mapping(size)
            return size

    def fileno(self) -> int:
        """The segment's file descriptor; it stays ours to close. Not pollable."""
        self._check_open()
        return self._fd

    def close(self) -> None:
        """Unmap the segment in this process; unlink its name only if `create` was told ``unlink_on_close``.

        Raises:
            BufferError: views of `buf` are alive; the handle stays open and usable.
        """
        if not self._closed:
            self._unmap("close")
        super().close()

    def _new_mapping(self, size: int) -> tuple[mmap.mmap | None, memoryview]:
        if size == 0:  # mmap(2) refuses it
            return None, memoryview(b"" if self._read_only else bytearray())
        access = mmap.ACCESS_READ if self._read_only else mmap.ACCESS_WRITE
        try:
            if sys.version_info >= (3, 13):  # before that, each mapping takes a descriptor of its own
                mapped = mmap.mmap(self._fd, size, access=access, trackfd=False)
            else:
                mapped = mmap.mmap(self._fd, size, access=access)
        except OSError as error:
            raise syscall_error(error.errno or 0, "mmap", self._name) from None
        return mapped, memoryview(mapped)

    def _unmap(self, action: str) -> None:
        """End the mapping if no view of it is alive; else raise BufferError, and `buf` is a new view of it."""
        try:
            self._buf.release()  # refuses where an array was made of it; a slice of it is known to the mmap only
            if self._map is not None:
                self._map.close()
        except BufferError:
            if self._map is not None:
                self._buf = memoryview(self._map)
            raise BufferError(
                f"cannot {action} {self._name!r} while views of its buf are alive; release its slices and arrays first"
            ) from None
        self._map, self._buf = None, memoryview(b"")

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)

    def _identity(self) -> tuple[int, int]:
        found = os.fstat(self._fd)
        return found.st_dev, found.st_ino

    def _describe(self) -> str:
        return f"{self._name!r} size={self._buf.nbytes} fd={self._fd}"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        how = {"read_only": True} if self._read_only else {}
        return reopen, (type(self), self._name, self._identity(), how)
