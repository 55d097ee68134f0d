"""Handles of files that are mapped: their memory, its views, its size."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, ClassVar

from ipckit._arguments import check_int
from ipckit._handle import NamedHandle, leads_to
from ipckit._shmfile import refuse_to_shrink, set_size
from ipckit._views import Views
from ipckit.errors import syscall_error

if TYPE_CHECKING:
    from ipckit._region import Region

SIZE_MAX = (1 << 63) - 1  # off_t


class MappedHandle(Views, NamedHandle):
    """A descriptor and the region that is mapped of it.

    A subclass says how to map in `_map`. While views are alive, what would take the memory from under them raises
    BufferError and changes nothing.
    """

    __slots__ = ("_fd", "_read_only", "_region")

    pollable: ClassVar[bool] = False

    def __init__(self, name: str, fd: int, region: Region, *, read_only: bool, unlink_on_close: bool) -> None:
        super().__init__(name, unlink_on_close=unlink_on_close)
        self._fd = fd
        self._region = region
        self._read_only = read_only

    @property
    def buf(self) -> memoryview:
        """The memory. `close` ends this view; views and arrays made of it must be gone by then."""
        self._check_open()
        return self._region.buf

    @property
    def size(self) -> int:
        """Bytes mapped here. Another process may have resized the file since: `refresh` tells."""
        self._check_open()
        return self._region.buf.nbytes

    @property
    def read_only(self) -> bool:
        """Whether the memory can't be written through this handle."""
        return self._read_only

    def resize(self, size: int, *, shrink: bool = False) -> None:
        """Set the file's size and map it anew, so that `buf` is another view afterwards.

        New bytes are zero. Other processes keep their mapping until they call `refresh`. One process at a time
        may resize, and no other thread may use this handle meanwhile.

        Args:
            size: bytes, 1 or more.
            shrink: allow less than now. Any process that touches what is cut off dies of SIGBUS.

        Raises:
            ValueError: *size* is less than now, and *shrink* is false.
            LimitError: there is no room for it (ENOSPC); all is as before.
            BufferError: views of `buf` are alive.
            AccessError: it was opened read-only (EACCES), or a seal forbids it (EPERM).
        """
        check_int(size, "size", 1, SIZE_MAX, "bytes")
        self._check_open()
        if self._read_only:
            raise syscall_error(errno.EACCES, "ftruncate", self._subject, remedy="it was opened with read_only=True")
        with self._in_use():
            before = os.fstat(self._fd).st_size
            refuse_to_shrink(before, size, shrink)
            self._region.end("resize")  # first, because it refuses where views are alive
            try:
                set_size(self._fd, before, size, self._subject, full=self._when_full())
            finally:
                self._region = self._map(self._room())

    def refresh(self) -> int:
        """Map what the file is now, after another process resized it.

        Returns:
            Bytes mapped. `buf` is another view if that has changed.

        Raises:
            BufferError: the size has changed, and views of `buf` are alive.
        """
        with self._in_use():
            size = self._room()
            if size != self._region.buf.nbytes:
                self._region.end("refresh")
                self._region = self._map(size)
            return size

    def fileno(self) -> int:
        """The file descriptor; it stays ours to close. Not pollable."""
        self._check_open()
        return self._fd

    def close(self) -> None:
        """Unmap the memory in this process; unlink its name only if `create` was told ``unlink_on_close``.

        Raises:
            BufferError: views of `buf` are alive; the handle stays open and usable.
        """
        if not self._closed:
            self._region.end("close")
        super().close()

    def _map(self, size: int) -> Region:
        """Map so many bytes of the file."""
        raise NotImplementedError

    def _room(self) -> int:
        """How many bytes there are to map."""
        return os.fstat(self._fd).st_size

    def _when_full(self) -> str | None:
        """What the caller can do where there is no room."""
        return None

    @property
    def _subject(self) -> str:
        """What to blame in errors."""
        return self._name

    def _path(self) -> str:
        """Where the file is."""
        return self._name

    def _is_ours(self) -> bool:
        return leads_to(self._path(), self._fd)

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _identity(self) -> object:
        found = os.fstat(self._fd)
        return found.st_dev, found.st_ino
