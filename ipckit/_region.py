"""A piece of mapped memory, and how it ends without a crash: mmap(2), munmap(2)."""

from __future__ import annotations

import mmap
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ipckit.errors import syscall_error

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_FILE = -1


def _holders(cell: list[mmap.mmap]) -> int:
    """How many hold the mapping in *cell*, as this interpreter counts them."""
    return sys.getrefcount(cell[0])


_ALONE = _holders([mmap.mmap(_NO_FILE, 1)])


class Region:
    """Memory that is mapped until nobody can touch it any more.

    The mapping is never ended by munmap(2) at once, only let go of: then it goes with the last that holds it, which
    need not have asked for a buffer. (``numpy.ndarray(buffer=view)`` keeps the mmap object, and no buffer of it.)
    """

    __slots__ = ("_cell", "_subject", "buf")

    def __init__(
        self,
        fd: int,
        size: int,
        *,
        subject: str,
        offset: int = 0,
        shared: bool = True,
        read_only: bool = False,
        flags: int = 0,
    ) -> None:
        """Map *size* bytes of *fd*, or of no file if that is -1.

        Args:
            size: bytes; 0, which mmap(2) refuses, is a region without memory.
            offset: bytes; a multiple of the page size.
            flags: further ones of mmap(2).
            subject: the name to blame in errors.
        """
        self._subject = subject
        self._cell: list[mmap.mmap] = []
        self.buf = memoryview(b"" if read_only else bytearray())
        if size == 0:
            return
        flags |= mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE
        protection = mmap.PROT_READ if read_only else mmap.PROT_READ | mmap.PROT_WRITE
        try:
            if sys.version_info >= (3, 13) and fd != _NO_FILE:  # before, each mapping takes a descriptor of its own
                mapped = mmap.mmap(fd, size, flags, protection, offset=offset, trackfd=False)
            else:
                mapped = mmap.mmap(fd, size, flags, protection, offset=offset)
        except OSError as error:
            raise syscall_error(error.errno or 0, "mmap", subject) from None
        except ValueError:  # the mmap module asks fstat(2); somebody was faster than our own question
            raise ValueError(f"size must be at most what the file has, and it was cut short: {subject!r}") from None
        self._cell.append(mapped)
        self.buf = memoryview(mapped)

    def viewed(self) -> bool:
        """Whether somebody has a buffer of the memory, and not just the mmap object; `buf` is a new view then."""
        try:
            self.buf.release()
        except BufferError:
            return True
        for mapped in self._cell:
            try:
                mapped.resize(-1)  # refused in any case: because a buffer is out, or else as a size
            except BufferError:
                return True
            except (TypeError, ValueError):
                return False
            finally:
                self.buf = memoryview(mapped)
        return False

    def end(self, action: str) -> None:
        """Let go of the memory if nobody else has it.

        Raises:
            BufferError: somebody has. The region is as before, but `buf` is a new view.
        """
        with self._alone(action) as cell:
            cell.clear()

    def move(self, size: int) -> None:
        """Give private memory without a file another *size*, perhaps at another address: mremap(2).

        Raises:
            BufferError: as `end`.
            LimitError: there is not so much memory (ENOMEM); the region is as before, but `buf` is a new view.
        """
        with self._alone("resize") as cell:
            try:
                if cell:  # else another thread closes the handle
                    cell[0].resize(size)
            except OSError as error:
                raise syscall_error(error.errno or 0, "mremap", self._subject) from None

    @contextmanager
    def _alone(self, action: str) -> Iterator[list[mmap.mmap]]:
        """Have the mapping for oneself; what is left of it in the list goes back."""
        try:
            cell = [self._cell.pop()]
        except IndexError:  # there is none, or another thread is at it
            yield []
            return
        try:
            self.buf.release()  # refuses where an array was made of it
            if _holders(cell) > _ALONE:
                raise BufferError
            yield cell
        except BufferError:
            what = f"{self._subject!r} while views of its buf are alive; release its slices and arrays first"
            raise BufferError(f"cannot {action} {what}") from None
        finally:
            self.buf = memoryview(cell[0]) if cell else memoryview(b"")
            if cell:
                self._cell.append(cell.pop())  # or whoever keeps the exception would keep the mapping
