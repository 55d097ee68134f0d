"""How a file is mapped, and what can be wrong with that: mmap(2)."""

from __future__ import annotations

import errno
import mmap
import os
import stat
from typing import NamedTuple

from ipckit._arguments import check_int
from ipckit._mapped import SIZE_MAX
from ipckit._memfile import MAP_HUGETLB, PAGE, check_whole_pages, huge_flags, too_few
from ipckit._paging import Advice, advise
from ipckit._region import Region
from ipckit._seals import Seal, seal_against
from ipckit.errors import SyscallError, UnsupportedError, syscall_error


class Access(NamedTuple):
    """The part of a file, and the rights; what a pickle carries."""

    size: int | None = None  # None: all that there is from offset on
    offset: int = 0
    read_only: bool = False
    shared: bool = True
    populate: bool = False

    @property
    def whole(self) -> bool:
        """Whether all of the file is mapped."""
        return self.size is None and self.offset == 0

    def checked(self) -> Access:
        """Return this, unless its numbers are none."""
        if self.size is not None:
            check_int(self.size, "size", 1, SIZE_MAX, "bytes")
        check_int(self.offset, "offset", 0, SIZE_MAX, "bytes")
        return self

    def room(self, fd: int) -> int:
        """How many of the bytes that are wanted there are."""
        if self.size is not None and (fd < 0 or not stat.S_ISREG(os.fstat(fd).st_mode)):
            return self.size
        room = max(0, os.fstat(fd).st_size - self.offset)
        return room if self.size is None else min(room, self.size)

    def extent(self, fd: int, subject: str) -> int:
        """How many bytes to map at first.

        Raises:
            ValueError: there are not so many, or it is nothing that can be mapped.
        """
        room = self.room(fd)
        if fd >= 0:
            kind = os.fstat(fd).st_mode
            if not (stat.S_ISREG(kind) or stat.S_ISCHR(kind) or stat.S_ISBLK(kind)):
                raise ValueError(f"path must be a file's, and something else is there: {subject!r}")
            if not stat.S_ISREG(kind) and self.size is None:
                raise ValueError(f"size must be given for a device: {subject!r}")
        if room < (self.size or 1):
            raise ValueError(f"size must be at most {room}, what there is from offset {self.offset} on: {subject!r}")
        return room

    def map(self, fd: int, size: int, page_size: int, subject: str) -> Region:
        """Map so many bytes of *fd*; -1 is no file.

        Raises:
            ValueError: offset or size is not of whole pages, where it must be.
            AccessError: the descriptor or a seal does not permit it.
            LimitError: there are too few pages, or too much is mapped (ENOMEM).
            SyscallError: what was to be populated is not there (EFAULT).
        """
        check_whole_pages(size, page_size)
        if self.offset % page_size:
            raise ValueError(f"offset must be a multiple of the page size, {page_size} bytes, not {self.offset}")
        flags = huge_flags(page_size, MAP_HUGETLB) if fd < 0 else 0
        if self.populate:
            flags |= mmap.MAP_POPULATE
        try:
            region = Region(
                fd,
                size,
                subject=subject,
                offset=self.offset,
                shared=self.shared,
                read_only=self.read_only,
                flags=flags,
            )
        except SyscallError as error:
            raise _explained(error, fd, page_size) from None
        if self.populate:
            try:
                advise(region.buf, Advice.POPULATE_READ if self.read_only else Advice.POPULATE_WRITE, subject)
            except UnsupportedError:
                pass  # a kernel before 5.14: MAP_POPULATE did what it could
        return region


def _explained(error: SyscallError, fd: int, page_size: int) -> SyscallError:
    """The same failure of mmap(2), with what the caller can do."""
    number = error.errno or 0
    remedy = seal_against(number, fd, Seal.WRITE, Seal.FUTURE_WRITE) if fd >= 0 else None
    if number == errno.EACCES:
        remedy = "the descriptor is not open for that: read_only=True or shared=False ask for less"
    elif number == errno.ENOMEM and page_size > PAGE:
        remedy = too_few(page_size)
    return syscall_error(number, "mmap", error.filename, remedy=remedy)
