"""Segments as multiprocessing.shared_memory has them, without its resource tracker: shm_overview(7)."""

from __future__ import annotations

import errno
import operator
import os
import secrets
from typing import TYPE_CHECKING, Any

from ipckit._names import NAME_MAX
from ipckit._region import Region
from ipckit._shmfile import DIRECTORY, publish, reserve
from ipckit.errors import AlreadyExistsError, NotFoundError, SyscallError, syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

_MODE = 0o600
_ATTACH = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW  # what shm_open(3) is


class SharedMemory:
    """As `multiprocessing.shared_memory.SharedMemory`; the segments of the one can be attached to by the other.

    A segment stays until somebody calls `unlink`, whoever exits or is killed: nothing tracks it, and `track` is
    accepted and ignored. `unlink` removes the name only while it still leads to this very segment.

    All processes see the same bytes, and nothing orders their accesses. Safe to share between threads and over
    fork(2). `close` raises BufferError while slices of `buf` are alive; an array that took the whole of `buf`
    (``numpy.ndarray(..., buffer=shm.buf)``) keeps the memory where it is instead, so that it can be used afterwards.
    Memory is reserved by the creator: a full /dev/shm is OSError (ENOSPC) there, and not SIGBUS later.

    >>> from ipckit.compat.shared_memory import SharedMemory
    >>> shm = SharedMemory(create=True, size=10)
    >>> shm.buf[:5] = b"hello"
    >>> other = SharedMemory(shm.name)
    >>> bytes(other.buf[:5])
    b'hello'
    >>> other.close()
    >>> shm.close()
    >>> shm.unlink()
    """

    def __init__(self, name: str | None = None, create: bool = False, size: int = 0, *, track: bool = True) -> None:  # noqa: FBT001, FBT002, ARG002
        """Create a segment, or attach to the one of that name.

        Args:
            name: without a leading slash; None makes a unique one.
            create: make it, exclusively, with permission bits 0600; else it must exist.
            size: bytes, if *create*; ignored otherwise.
            track: ignored: nothing is tracked.

        Raises:
            FileExistsError: *name* is taken (EEXIST).
            FileNotFoundError: there is no segment of that name (ENOENT).
            ValueError: *size* is none, *name* is missing, or the segment is empty.
        """
        size = operator.index(size)
        if size < 0 or (create and size == 0):
            raise ValueError("'size' must be a positive integer")
        if name is None and not create:
            raise ValueError("'name' can only be None if create=True")
        if create:
            self._take(*_created(name, size, b""), created=True)
        else:
            self._take(*_attached(name or ""), created=False)

    @classmethod
    def _holding(cls, name: str | None, content: bytes) -> Self:
        """Create a segment that holds *content* before anybody can attach to it."""
        memory = cls.__new__(cls)
        memory._take(*_created(name, len(content), content), created=True)
        return memory

    def _take(self, name: str, fd: int, *, created: bool) -> None:
        self._name = name
        try:
            found = os.fstat(fd)
            if found.st_size == 0:
                raise ValueError("cannot mmap an empty file")
            self._identity = found.st_dev, found.st_ino
            self._size = found.st_size
            self._region: Region | None = Region(fd, found.st_size, subject=name)
        except BaseException:
            if created:
                os.unlink(_path(name))
            raise
        finally:
            os.close(fd)

    @property
    def buf(self) -> memoryview:
        """The memory as bytes; None once this is closed."""
        region = self._region
        return region.buf if region else None  # type: ignore[return-value]  # as the standard library's

    @property
    def name(self) -> str:
        """What others attach to."""
        return self._name

    @property
    def size(self) -> int:
        """Bytes of the segment, as it was attached to."""
        return self._size

    def close(self) -> None:
        """Let go of the segment in this process; it stays. Closing again does nothing.

        Raises:
            BufferError: slices of `buf`, or arrays with a buffer of their own, are alive; nothing is closed.
        """
        region = self._region
        if region is None:
            return
        try:
            region.end("close")
        except BufferError:
            if region.viewed():
                raise
        self._region = None

    def unlink(self) -> None:
        """Remove the name, for all; also after `close`. The memory goes when the last process has let go.

        Raises:
            FileNotFoundError: there is no segment of that name, or it is another one by now (ENOENT).
        """
        path = _path(self._name)
        try:
            found = os.stat(path, follow_symlinks=False)
            if (found.st_dev, found.st_ino) != self._identity:
                raise _stranger(self._name)
            os.unlink(path)
        except NotFoundError:
            raise
        except OSError as error:
            raise syscall_error(error.errno or 0, "shm_unlink", self._name) from None

    def __del__(self) -> None:
        try:
            self.close()
        except (AttributeError, BufferError):  # its constructor failed, or it goes with its views
            pass

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, size={self.size})"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _reattached, (type(self), self._name, self._identity)


def _reattached(cls: type[SharedMemory], name: str, identity: tuple[int, int]) -> SharedMemory:
    memory = cls(name)
    if memory._identity != identity:
        memory.close()
        raise _stranger(name)
    return memory


def _stranger(name: str) -> NotFoundError:
    return NotFoundError(errno.ENOENT, "the segment was unlinked, and its name now belongs to another one", name)


def _created(name: str | None, size: int, content: bytes) -> tuple[str, int]:
    def fill(fd: int) -> None:
        reserve(fd, 0, size, made)
        os.pwrite(fd, content, 0)

    while True:
        made = f"psm_{secrets.token_hex(4)}" if name is None else name
        try:
            return made, publish(_path(made), _MODE, fill, made)
        except AlreadyExistsError:
            if name is not None:
                raise


def _attached(name: str) -> tuple[str, int]:
    try:
        return name, os.open(_path(name), _ATTACH)
    except SyscallError:
        raise
    except OSError as error:
        raise syscall_error(error.errno or 0, "shm_open", name) from None


def _path(name: str) -> str:
    """The segment's file; what shm_open(3) says of a name that is none."""
    file = name.lstrip("/")
    if "\0" in file:
        raise ValueError("embedded null character")
    if not file or "/" in file or file in {".", ".."}:
        raise syscall_error(errno.EINVAL, "shm_open", name)
    if len(os.fsencode(file)) > NAME_MAX:
        raise syscall_error(errno.ENAMETOOLONG, "shm_open", name)
    return f"{DIRECTORY}/{file}"
