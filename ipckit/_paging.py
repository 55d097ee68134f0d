"""What the kernel does with mapped pages on request: msync(2), madvise(2), mlock(2)."""

from __future__ import annotations

import enum
import errno
import os
from typing import TYPE_CHECKING

from ipckit.errors import check, syscall_error

if TYPE_CHECKING:
    from ipckit._use import Use

PAGE = os.sysconf("SC_PAGESIZE")


class Advice(enum.IntEnum):
    """How memory will be used: madvise(2).

    What makes a later access crash (MADV_DONTFORK, MADV_REMOVE, guards) is left out.
    """

    NORMAL = 0
    RANDOM = 1
    SEQUENTIAL = 2
    WILLNEED = 3
    DONTNEED = 4
    """Forget the pages: private memory of no file is zero afterwards; what a file holds is read again."""
    FREE = 8
    """As DONTNEED, once memory is short (private memory of no file, Linux 4.5)."""
    HUGEPAGE = 14
    """Use huge pages where the kernel finds some: nothing to configure, and no promise."""
    NOHUGEPAGE = 15
    DONTDUMP = 16
    DODUMP = 17
    WIPEONFORK = 18
    """Zeros for a forked child (private memory of no file, Linux 4.14)."""
    KEEPONFORK = 19
    COLD = 20
    PAGEOUT = 21
    POPULATE_READ = 22
    """Bring the pages in now; an error, and not SIGBUS, where that can't be (Linux 5.14)."""
    POPULATE_WRITE = 23
    """The same, ready to be written (Linux 5.14)."""
    COLLAPSE = 25
    """Make huge pages of it now (Linux 6.1)."""


def advise(memory: memoryview, advice: Advice, subject: object) -> None:
    """Tell the kernel how *memory*, which begins with a page, will be used.

    Raises:
        UnsupportedError: the kernel, or this kind of memory, does not know *advice* (EINVAL).
        SyscallError: there is nothing behind a page (EFAULT), or another errno of madvise(2).
    """
    from ipckit._native import ffi, lib

    with ffi.from_buffer(memory) as start:
        rc = lib.ipk_memory_advise(start, memory.nbytes, advice) if memory.nbytes else 0
    if rc == -errno.EINVAL:
        remedy = f"this kernel, or this kind of memory, does not know {advice.name}, or it is locked"
        raise syscall_error(errno.EOPNOTSUPP, "madvise", subject, remedy=remedy)
    if rc == -errno.EFAULT:
        remedy = "the file is shorter than what is mapped, or its file system is full"
        raise syscall_error(errno.EFAULT, "madvise", subject, remedy=remedy)
    check(rc, "madvise", subject)


class Paging:
    """The requests, for a handle that has a `buf` which begins with a page."""

    __slots__ = ()

    if TYPE_CHECKING:

        def _in_use(self) -> Use: ...

        @property
        def buf(self) -> memoryview:
            """The memory."""

        @property
        def page_size(self) -> int:
            """Bytes in one page."""

        @property
        def _subject(self) -> str:
            """What to blame in errors."""

    def flush(self, offset: int = 0, size: int | None = None) -> None:
        """Write what was changed to the file, and wait until it is there: msync(2) with MS_SYNC.

        Other processes need no flush to see it. Private memory has nothing to write.

        Args:
            offset: bytes from the start.
            size: bytes; None for all from *offset* on.

        Raises:
            SyscallError: the device failed (EIO).
        """
        from ipckit._native import ffi, lib

        with self._in_use(), self._part(offset, size, lead=offset % PAGE) as part, ffi.from_buffer(part) as start:
            if part.nbytes:
                check(lib.ipk_memory_sync(start, part.nbytes), "msync", self._subject)

    def advise(self, advice: Advice, offset: int = 0, size: int | None = None) -> None:
        """Tell the kernel how memory will be used: madvise(2).

        Args:
            advice: such as `Advice.SEQUENTIAL`.
            offset: bytes from the start, a multiple of the page size.
            size: bytes; None for all from *offset* on. The kernel takes it for whole pages.

        Raises:
            UnsupportedError: the kernel, or this kind of memory, does not know the advice (EINVAL).
            SyscallError: what was to be populated is not there (EFAULT): the file is shorter, or its file system full.
        """
        advice = Advice(advice)
        with self._in_use(), self._part(offset, size) as part:
            if offset % self.page_size:
                raise ValueError(f"offset must be a multiple of the page size, {self.page_size} bytes, not {offset}")
            advise(part, advice, self._subject)

    def lock(self, offset: int = 0, size: int | None = None, *, on_fault: bool = False) -> None:
        """Keep the pages in memory, and bring them in now: mlock(2). Nothing is inherited over fork(2).

        Locks do not count: one `unlock` undoes them all.

        Args:
            offset: bytes from the start; the page in which it lies is locked whole.
            size: bytes; None for all from *offset* on.
            on_fault: lock each page when it is first touched (mlock2(2), Linux 4.4).

        Raises:
            LimitError: more than RLIMIT_MEMLOCK would be locked, or memory is short (ENOMEM).
            AccessError: RLIMIT_MEMLOCK is 0 (EPERM).
        """
        from ipckit._native import ffi, lib

        with self._in_use(), self._part(offset, size) as part, ffi.from_buffer(part) as start:
            rc = lib.ipk_memory_lock(start, part.nbytes, on_fault)
        if rc < 0:
            remedy = "raise RLIMIT_MEMLOCK (ulimit -l)" if rc in {-errno.ENOMEM, -errno.EPERM} else None
            raise syscall_error(-rc, "mlock", self._subject, remedy=remedy)

    def unlock(self, offset: int = 0, size: int | None = None) -> None:
        """Let the pages leave memory again: munlock(2)."""
        from ipckit._native import ffi, lib

        with self._in_use(), self._part(offset, size) as part, ffi.from_buffer(part) as start:
            check(lib.ipk_memory_unlock(start, part.nbytes), "munlock", self._subject)

    def _part(self, offset: int, size: int | None, *, lead: int = 0) -> memoryview:
        """The bytes from *offset* on, and *lead* bytes before them."""
        buf = self.buf
        if not 0 <= offset <= buf.nbytes:
            raise ValueError(f"offset must be 0 to {buf.nbytes}, where the memory ends, not {offset}")
        size = buf.nbytes - offset if size is None else size
        if not 0 <= size <= buf.nbytes - offset:
            raise ValueError(f"size must be 0 to {buf.nbytes - offset}, where the memory ends, not {size}")
        return buf[offset - lead : offset + size]
