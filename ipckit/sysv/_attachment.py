"""A System V segment in the memory of this process: shmat(2), shmdt(2)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit._handle import Handle
from ipckit._memfile import MAP_HUGETLB, PAGE, huge_flags
from ipckit._native import ffi, lib
from ipckit._paging import Paging
from ipckit._region import Region
from ipckit._views import Views
from ipckit.errors import ClosedError
from ipckit.sysv._handle import reopen

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.sysv._kind import Facts
    from ipckit.sysv.shm import SharedMemory

_NO_FILE = -1
_MAP_NORESERVE = 0x4000  # asm-generic/mman-common.h; not every mmap module has it


class Memory(NamedTuple):
    """What is attached, and the size of its pages in bytes."""

    region: Region
    page_size: int


class Attachment(Paging, Views, Handle):
    """The bytes of a System V segment, attached in this process until `close` detaches them.

    What `SharedMemory.attach` returns. Each is an attachment of its own, and independent of the handle that made it.
    Nothing orders the accesses of different processes. Safe to share between threads; a child of fork(2) has the same
    bytes attached and detaches for itself, exec(2) and the end of the process detach.

    While views of `buf` are alive, also those of `view`, `structure` and `array`, `close` raises BufferError and
    changes nothing; the memory stays as long as any of them can be touched.
    """

    __slots__ = ("_page_size", "_read_only", "_region", "_segment")

    def __init__(self, segment: tuple[type[SharedMemory], int, str | None], memory: Memory, *, read_only: bool) -> None:
        super().__init__()
        self._segment = segment
        self._region, self._page_size = memory
        self._read_only = read_only

    @property
    def buf(self) -> memoryview:
        """The memory. `close` ends this view; views and arrays made of it must be gone by then."""
        self._check_open()
        buf = self._region.buf
        if not buf.nbytes:  # another thread is just about to have closed it
            raise ClosedError(f"{type(self).__name__} is closed")
        return buf

    @property
    def size(self) -> int:
        """Bytes, as they were asked for when the segment was created."""
        return self.buf.nbytes

    @property
    def read_only(self) -> bool:
        """Whether the memory can't be written through this attachment."""
        return self._read_only

    @property
    def page_size(self) -> int:
        """Bytes in one page."""
        return self._page_size

    def close(self) -> None:
        """Detach the segment from this process: shmdt(2). It stays where else it is attached, and until it is removed.

        Raises:
            BufferError: views of `buf` are alive; the attachment stays usable.
        """
        if not self._closed:
            self._region.end("detach")
        super().close()

    def detach(self) -> None:
        """As `close`, but to detach again is an error, as it is for shmdt(2).

        Raises:
            ClosedError: it is detached.
            BufferError: as for `close`.
        """
        self._check_open()
        self.close()

    @property
    def _subject(self) -> str:
        _, number, name = self._segment
        return name or f"id {number}"

    def _describe(self) -> str:
        _, number, name = self._segment
        named = "" if name is None else f"{name!r} "
        return f"{named}id={number} size={self._region.buf.nbytes}{' read-only' if self._read_only else ''}"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        cls, number, name = self._segment  # as long as it is attached, the number is that of no other
        return _attach_again, (cls, number, cls._kind.facts(number), name, self._read_only)


def _attach_again(cls: type[SharedMemory], number: int, facts: Facts, name: str | None, read_only: bool) -> Attachment:  # noqa: FBT001
    """The attachment in the process that unpickles, of the very same segment."""
    with reopen(cls, number, facts, name) as segment:
        return segment.attach(read_only)  # type: ignore[attr-defined,no-any-return]


def attached(number: int, size: int, subject: str, *, read_only: bool) -> Memory | int:
    """Attach the segment *number*, which has *size* bytes.

    It takes the place of memory that an mmap object has mapped and will unmap, which detaches it. So its lifetime, its
    buffers and their refusal to be written are those of every other mapping.

    Returns:
        The memory; or ``-errno``: -EOPNOTSUPP for huge pages of which the last is not used up, or -EINVAL.
    """
    found = _attached(number, size, PAGE, subject, read_only=read_only)
    if found != -errno.EINVAL:
        return found
    page_size = lib.ipk_sysv_shm_page_size(number)
    if page_size <= PAGE:
        return page_size if page_size < 0 else found
    if size % page_size:
        return -errno.EOPNOTSUPP
    return _attached(number, size, page_size, subject, read_only=read_only)


def _attached(number: int, size: int, page_size: int, subject: str, *, read_only: bool) -> Memory | int:
    flags = _MAP_NORESERVE | huge_flags(page_size, MAP_HUGETLB)
    region = Region(_NO_FILE, size, subject=subject, shared=False, read_only=read_only, flags=flags)
    with ffi.from_buffer(region.buf) as start:
        result = lib.ipk_sysv_shm_attach(number, start, size, read_only)
    return result if result < 0 else Memory(region, result)
