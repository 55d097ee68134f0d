"""Memory mappings of files and of no file: mmap(2), msync(2), madvise(2), mlock(2), mremap(2)."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Any, Final

from ipckit._access import Access
from ipckit._arguments import check_int
from ipckit._handle import Handle, descriptor_for_child, received_descriptor, reopen
from ipckit._mapped import SIZE_MAX, MappedHandle
from ipckit._memfile import (
    PAGE,
    check_page_size,
    check_whole_pages,
    create_memfile,
    page_size_of,
    page_sizes,
    too_few,
)
from ipckit._names import check_mode, checked_path
from ipckit._paging import Advice, Paging
from ipckit._seals import Seal
from ipckit._shmfile import fill_holes, publish, refuse_to_shrink, reserve
from ipckit.errors import syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from typing_extensions import Self

    from ipckit._region import Region

    class HasFileno(Protocol):
        def fileno(self) -> int: ...


__all__ = ["PAGE_SIZE", "Advice", "Mapping", "page_sizes"]

PAGE_SIZE: Final = PAGE
"""Bytes in an ordinary page of this machine."""

_NO_FILE = -1
_FILE_FULL = "the file system is full"
_ONE_SIZE = "only what is shared and all of a file, or private and of no file and of ordinary pages, has another size"


class Mapping(Paging, MappedHandle):
    r"""Memory that is a file, or of no file; shared with all who map it, or this process's own.

    Shared memory is the same bytes for every process and every fork(2) of one; nothing orders their accesses. Private
    memory is copied, page by page, when it is written or forked. Safe to share between threads.

    A mapping's memory is reserved when `create` makes it or `resize` lets it grow: a full file system or machine is
    LimitError there. A file with a name may be truncated by whoever may write it, and to touch a page beyond its end
    is SIGBUS: its mode is the trust boundary. Shared memory of no file is sealed against that.

    While views are alive, `close`, `resize` and `refresh` raise BufferError and change nothing.

    >>> with Mapping.create(size=4096) as memory:
    ...     memory.view("d")[0] = 1.5
    ...     bytes(memory.buf[:8])
    b'\x00\x00\x00\x00\x00\x00\xf8?'
    """

    __slots__ = ("_access", "_page_size")

    def __init__(
        self, fd: int, name: str, region: Region, access: Access, *, page_size: int, unlink_on_close: bool = False
    ) -> None:
        super().__init__(name, fd, region, read_only=access.read_only, unlink_on_close=unlink_on_close)
        self._access = access
        self._page_size = page_size

    # --- making one -------------------------------------------------------------------------------------------------

    @classmethod
    def create(  # type: ignore[override]  # a mapping without a size would be of no use
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        size: int,
        shared: bool = True,
        mode: int = 0o600,
        page_size: int | None = None,
        populate: bool = False,
        unlink_on_close: bool = False,
    ) -> Self:
        """Map new memory, all zeros.

        Args:
            path: of a file to make, exclusively, which is complete before it has its name; None for memory of no
                file. (Shared, that is an unnamed file of the kernel's, here with a descriptor, so that it can
                travel and grow.)
            size: bytes, 1 or more; not rounded up to pages.
            shared: False for private memory, which no other process ever sees.
            mode: permission bits of the file, exactly, whatever the umask.
            page_size: bytes, one of `page_sizes`, of which *size* is a multiple; for memory of no file only.
            populate: bring in every page now, and not when it is first touched.
            unlink_on_close: `close` unlinks the path too, in the process that created it.

        Raises:
            AlreadyExistsError: *path* is taken (EEXIST).
            LimitError: there is no room for it (ENOSPC, ENOMEM), or too few pages of that size.
        """
        check_int(size, "size", 1, SIZE_MAX, "bytes")
        check_mode(mode)
        access = Access(shared=shared, populate=populate)
        if path is None:
            page = check_page_size(page_size, size)
            if not shared:
                return cls._adopt(_NO_FILE, "", access._replace(size=size), page_size=page)
            return cls._adopt(
                create_memfile("ipckit-mapping", size, mode=mode, page_size=page, seals=Seal.SHRINK), "", access
            )
        name = checked_path(path)
        if page_size not in {None, PAGE}:
            raise ValueError("page_size is for memory of no file; a file has the pages of its file system")
        fd = publish(name, mode, lambda fd: reserve(fd, 0, size, name, full=_FILE_FULL), name)
        try:
            return cls._adopt(fd, name, access, unlink_on_close=unlink_on_close)
        except BaseException:
            os.unlink(name)
            raise

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        size: int | None = None,
        offset: int = 0,
        read_only: bool = False,
        shared: bool = True,
        populate: bool = False,
        fill: bool = False,
    ) -> Self:
        """Map an existing file, or a part of it.

        Args:
            size: bytes; None for all from *offset* on.
            offset: bytes from the file's start, a multiple of the page size.
            read_only: ask for no right to write; views are then read-only.
            shared: False for private memory that begins with what the file holds; writing it changes no file, and
                needs no right to.
            populate: bring in every page now; a page that can't be had is then an error, not a SIGBUS later.
            fill: give the file memory where it has holes, so that a file system that fills up meanwhile is
                no SIGBUS when one is written.

        Raises:
            NotFoundError: there is no such file (ENOENT).
            AccessError: its mode forbids what is asked for (EACCES).
            ValueError: the file is shorter than *offset* and *size* say, or is no file.
            LimitError: the file system has no room for the holes (ENOSPC).
        """
        name = checked_path(path)
        access = Access(size, offset, read_only, shared, populate).checked()
        # O_NONBLOCK: what turns out to be a FIFO must not keep us.
        flags = (os.O_RDWR if shared and not read_only else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        try:
            fd = os.open(name, flags)
        except OSError as error:
            raise syscall_error(error.errno or 0, "open", name) from None
        if fill and shared and not read_only:
            try:
                fill_holes(fd, name, full=_FILE_FULL)
            except BaseException:
                os.close(fd)
                raise
        return cls._adopt(fd, name, access)

    @classmethod
    def open_or_create(cls, path: str | os.PathLike[str], **how: Any) -> Self:  # type: ignore[override] # no name
        """Map the file at *path*, or make it if there is none; *how* is for `create` alone."""
        return super().open_or_create(checked_path(path), **how)

    @classmethod
    def of(
        cls,
        file: int | HasFileno,
        *,
        size: int | None = None,
        offset: int = 0,
        read_only: bool = False,
        shared: bool = True,
        populate: bool = False,
    ) -> Self:
        """Map an open file: a descriptor, or an object with a ``fileno``, which stays the caller's to close.

        Args:
            size: bytes; None for all from *offset* on.
            offset: bytes from the file's start, a multiple of the page size.
            read_only: a descriptor that is open for reading only needs this, or ``shared=False``.
            shared: as for `open`.
            populate: as for `open`.

        Raises:
            AccessError: the descriptor, or a seal, does not permit to write (EACCES, EPERM).
            ValueError: the file is shorter than *offset* and *size* say, or can't be mapped.
        """
        access = Access(size, offset, read_only, shared, populate).checked()
        given = file if isinstance(file, int) else file.fileno()
        try:
            fd = os.dup(given)
        except OSError as error:
            raise syscall_error(error.errno or 0, "fcntl", f"fd {given}") from None
        return cls._adopt(fd, "", access)

    @classmethod
    def _adopt(
        cls,
        fd: int,
        name: str,
        access: Access,
        *,
        page_size: int | None = None,
        unlink_on_close: bool = False,
    ) -> Self:
        """Map *fd*, which becomes the handle's own, also where that fails; -1 is no file."""
        try:
            page = page_size or page_size_of(fd)
            subject = _what(fd, name)
            region = access.map(fd, access.extent(fd, subject), page, subject)
            return cls(fd, name, region, access, page_size=page, unlink_on_close=unlink_on_close)
        except BaseException:
            if fd >= 0:
                os.close(fd)
            raise

    @classmethod
    def unlink_name(cls, path: str | os.PathLike[str]) -> None:
        """Remove *path*; mappings of the file go on working.

        Raises:
            NotFoundError: there is nothing (ENOENT).
            ValueError: there is something that is no file.
        """
        name = checked_path(path)
        try:
            if not stat.S_ISREG(os.lstat(name).st_mode):
                raise ValueError(f"path must be a file's, and something else is there: {name!r}")
            os.unlink(name)
        except OSError as error:
            raise syscall_error(error.errno or 0, "unlink", name) from None

    def unlink(self) -> None:
        """Remove the path; handles that are open, this one too, go on working."""
        if not self._name:
            raise ValueError("this mapping has no path to unlink; it goes with its last handle")
        super().unlink()

    # --- what it is -------------------------------------------------------------------------------------------------

    @property
    def shared(self) -> bool:
        """Whether others see what is written, and the file, too."""
        return self._access.shared

    @property
    def offset(self) -> int:
        """Where in the file the memory begins, in bytes."""
        return self._access.offset

    @property
    def page_size(self) -> int:
        """Bytes in one page of this memory."""
        return self._page_size

    def fileno(self) -> int:
        """The descriptor of the file; it stays ours to close. Not pollable.

        Raises:
            ValueError: private memory of no file has none.
        """
        fd = super().fileno()
        if fd < 0:
            raise ValueError("private memory of no file has no descriptor")
        return fd

    # --- another size -----------------------------------------------------------------------------------------------

    def resize(self, size: int, *, shrink: bool = False) -> None:
        """Set the size, and map anew: `buf` is another view afterwards, and new bytes are zero.

        Others who map the file keep what they have until they call `refresh`. One process at a time may resize, and
        no other thread may use this handle meanwhile. Private memory of no file moves to where there is room.

        Args:
            size: bytes, 1 or more.
            shrink: allow less than now. Any process that touches what is cut off a file dies of SIGBUS.

        Raises:
            ValueError: *size* is less than now, and *shrink* is false.
            LimitError: there is no room for it (ENOSPC, ENOMEM); all is as before.
            BufferError: views are alive.
            AccessError: it was opened read-only (EACCES), or a seal forbids it (EPERM).
            UnsupportedError: it is a part of a file, private memory of a file, or private and of huge pages.
        """
        self._check_open()
        check_whole_pages(size, self._page_size)
        of_file = self._fd >= 0
        if (of_file and not (self.shared and self._access.whole)) or (not of_file and self._page_size > PAGE):
            raise syscall_error(errno.EOPNOTSUPP, "mremap", self._subject, remedy=_ONE_SIZE)
        if of_file:
            super().resize(size, shrink=shrink)
            return
        check_int(size, "size", 1, SIZE_MAX, "bytes")
        with self._in_use():
            refuse_to_shrink(self._region.buf.nbytes, size, shrink)
            self._region.move(size)
            self._access = self._access._replace(size=size)

    def refresh(self) -> int:
        """Map what the file is now, after another process resized it: all of it, or as much as there is of the part.

        Returns:
            Bytes mapped. `buf` is another view if that has changed.

        Raises:
            BufferError: the size has changed, and views are alive.
            UnsupportedError: it has changed, and this is private memory, of which what was written would be lost.
        """
        self._check_open()
        if not self.shared and self._room() != self.size:
            raise syscall_error(errno.EOPNOTSUPP, "mmap", self._subject, remedy=_ONE_SIZE)
        return super().refresh()

    def _map(self, size: int) -> Region:
        return self._access.map(self._fd, size, self._page_size, self._subject)

    def _room(self) -> int:
        return self._access.room(self._fd)

    def _when_full(self) -> str:
        return _FILE_FULL if self._name else too_few(self._page_size)

    @property
    def _subject(self) -> str:
        return _what(self._fd, self._name)

    def _identity(self) -> object:
        return super()._identity() if self._fd >= 0 else id(self)

    def _describe(self) -> str:
        kind = ("" if self._access.shared else " private") + (" read-only" if self._access.read_only else "")
        fd = f" fd={self._fd}" if self._fd >= 0 else ""
        name = f"{self._name!r} " if self._name else ""
        return f"{name}size={self._region.buf.nbytes}{kind}{fd}"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        if not self._access.shared:
            raise TypeError("cannot pickle a private Mapping: its memory is this process's own, and shared with nobody")
        if self._name:
            how = {
                name: value for name, value in self._access._asdict().items() if value != Access._field_defaults[name]
            }
            return reopen, (type(self), self._name, self._identity(), how)
        travelling = descriptor_for_child(self._fd)
        if travelling is None:
            return Handle.__reduce__(self)
        return type(self)._adopt_travelled, (travelling, self._access)

    @classmethod
    def _adopt_travelled(cls, travelling: Any, access: Access) -> Self:
        return cls._adopt(received_descriptor(travelling), "", access)


def _what(fd: int, name: str) -> str:
    return name or (f"fd {fd}" if fd >= 0 else "private memory")
