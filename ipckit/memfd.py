"""Files in memory without a name, which can be sealed: memfd_create(2), F_ADD_SEALS of fcntl(2)."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final

from ipckit._arguments import check_int
from ipckit._handle import FdHandle
from ipckit._mapped import SIZE_MAX
from ipckit._memfile import check_page_size, check_whole_pages, create_memfile, page_size_of, page_sizes, too_few
from ipckit._names import check_mode, checked_path
from ipckit._seals import Seal, seal_against, seals_of
from ipckit._shmfile import refuse_to_shrink, set_size
from ipckit.errors import syscall_error
from ipckit.mapping import Mapping

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

__all__ = ["NAME_MAX", "Memfd", "Seal", "page_sizes"]

NAME_MAX: Final = 249
"""Bytes in the longest name."""

_PREFIX = "/memfd:"
_SUFFIX = " (deleted)"


class Memfd(FdHandle):
    """A file in memory that only its descriptors lead to, and that can be sealed against change.

    Whoever gets the descriptor, by inheritance, pickling to a child or `send_fds`, has the same file: its content,
    size and seals. Every operation of the kernel on it is atomic with respect to seals; nothing orders reads and
    writes of different processes. Safe to share between threads. It goes with the last descriptor and mapping.

    A receiver that does not trust the sender checks `seals` first: with `Seal.SHRINK` to touch a mapping can't be
    SIGBUS, and with `Seal.WRITE` too the content stays what it is.

    >>> with Memfd.create("config", size=5) as memfd:
    ...     memfd.write(b"hello")
    ...     memfd.add_seals(Seal.SHRINK | Seal.GROW | Seal.WRITE)
    ...     with memfd.map(read_only=True) as memory:
    ...         bytes(memory.buf)
    5
    b'hello'
    """

    __slots__ = ()

    pollable = False

    @classmethod
    def create(
        cls,
        name: str = "ipckit",
        *,
        size: int = 0,
        allow_sealing: bool = True,
        mode: int = 0o600,
        page_size: int | None = None,
        executable: bool = False,
    ) -> Self:
        """Make a file of zeros, for which memory is reserved.

        Args:
            name: shown in /proc/PID/fd and /proc/PID/maps, and nothing else; it need not be unique; at most 249 bytes.
            size: bytes, 0 or more.
            allow_sealing: whether `add_seals` works.
            mode: permission bits, exactly, whatever the umask: who may open it by `path`.
            page_size: bytes, one of `page_sizes`, of which *size* is a multiple.
            executable: whether it may be executed (MFD_EXEC). If not, that is sealed (MFD_NOEXEC_SEAL; before Linux
                6.3 there is no such seal, and only *mode* keeps it from being executed).

        Raises:
            LimitError: too little memory, or too few pages of that size (ENOSPC, ENOMEM), or too many descriptors
                (EMFILE, ENFILE).
            AccessError: sysctl vm.memfd_noexec forbids executable ones (EACCES).
        """
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, not {type(name).__name__}")
        if len(os.fsencode(name)) > NAME_MAX or "\0" in name:
            raise ValueError(f"name must have at most {NAME_MAX} bytes and no NUL: {name!r}")
        check_int(size, "size", 0, SIZE_MAX, "bytes")
        check_mode(mode)
        if mode & 0o111 and not executable:
            raise ValueError(f"mode must have no execute bits, or executable=True be given: {mode:#o}")
        page = check_page_size(page_size, size)
        seals = Seal(0) if allow_sealing else None
        return cls(create_memfile(name, size, mode=mode, page_size=page, seals=seals, executable=executable))

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, read_only: bool = False) -> Self:
        """Open another process's memfd by the `path` that it told: an open file description of one's own.

        Args:
            path: ``/proc/PID/fd/N``; the process must live, and have it open still.
            read_only: ask for no right to write, not even through a mapping.

        Raises:
            NotFoundError: the process is gone, or has no such descriptor (ENOENT).
            AccessError: the mode, or ptrace(2)'s rules for /proc/PID, forbid it (EACCES).
            ValueError: it is no memfd.
        """
        name = checked_path(path)
        flags = (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        try:
            fd = os.open(name, flags)
        except OSError as error:
            raise syscall_error(error.errno or 0, "open", name) from None
        try:
            return cls.from_fd(fd)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Take over the descriptor *fd* of a memfd, such as `receive_fds` gives.

        Raises:
            ValueError: *fd* is no memfd; it stays open.
        """
        if seals_of(fd) is None or not _link(fd).startswith(_PREFIX):
            raise ValueError(f"fd must be a memfd, and descriptor {fd} is not")
        os.set_inheritable(fd, False)
        return cls(fd)

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return _link(self.fileno()).removeprefix(_PREFIX).removesuffix(_SUFFIX)

    @property
    def path(self) -> str:
        """Where other processes can `open` it while this one has it open: ``/proc/PID/fd/N``."""
        return f"/proc/{os.getpid()}/fd/{self.fileno()}"

    @property
    def size(self) -> int:
        """Bytes, as of now."""
        return os.fstat(self.fileno()).st_size

    @property
    def page_size(self) -> int:
        """Bytes in one page of its memory."""
        return page_size_of(self.fileno())

    @property
    def seals(self) -> Seal:
        """What nobody can do any more."""
        return seals_of(self.fileno()) or Seal(0)

    def add_seals(self, seals: Seal) -> None:
        """Take from everybody, this process too and for good, what *seals* say: F_ADD_SEALS.

        Raises:
            BusyError: `Seal.WRITE`, and somebody has a writable mapping (EBUSY).
            AccessError: it has `Seal.SEAL`, or was opened read-only (EPERM).
            UnsupportedError: this kernel does not know such a seal (EINVAL).
        """
        with self._in_use():
            try:
                fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, Seal(seals))
            except OSError as error:
                number = error.errno or 0
                remedy = {
                    errno.EBUSY: "close every writable shared mapping of it first, or take Seal.FUTURE_WRITE",
                    errno.EPERM: seal_against(number, self._fd, Seal.SEAL) or "it was opened read-only",
                }.get(number)
                if number == errno.EINVAL:
                    number, remedy = errno.EOPNOTSUPP, f"this kernel does not know one of {Seal(seals)!r}"
                raise syscall_error(number, "fcntl(F_ADD_SEALS)", repr(self), remedy=remedy) from None

    def resize(self, size: int, *, shrink: bool = False) -> None:
        """Set the size; new bytes are zero, and memory is reserved for them.

        Mappings keep theirs until `Mapping.refresh`.

        Args:
            size: bytes, 0 or more.
            shrink: allow less than now. Any process that touches what is cut off dies of SIGBUS.

        Raises:
            ValueError: *size* is less than now, and *shrink* is false.
            AccessError: a seal forbids it (EPERM); the message names it.
            LimitError: there is no room for it (ENOSPC); the size is as before.
        """
        check_int(size, "size", 0, SIZE_MAX, "bytes")
        with self._in_use():
            page = page_size_of(self._fd)
            check_whole_pages(size, page)
            before = os.fstat(self._fd).st_size
            refuse_to_shrink(before, size, shrink)
            set_size(self._fd, before, size, repr(self), full=too_few(page))

    def read(self, size: int | None = None, offset: int = 0) -> bytes:
        """Return up to *size* bytes from *offset* on (None: up to the end); fewer where it ends: pread(2)."""
        with self._in_use():
            size = max(0, os.fstat(self._fd).st_size - offset) if size is None else size
            try:
                return _read(self._fd, size, offset)
            except OSError as error:
                raise syscall_error(error.errno or 0, "pread", repr(self)) from None

    def write(self, data: Buffer, offset: int = 0) -> int:
        """Write all of *data* from *offset* on, growing the file where it must: pwrite(2).

        Returns:
            Its length in bytes.

        Raises:
            AccessError: a seal forbids to write, or to grow (EPERM); the message names it. Or it was opened read-only
                (EACCES).
            LimitError: there is no room for it (ENOSPC); `completed` tells how much was written.
        """
        with self._in_use(), memoryview(data).cast("B") as view:
            done = 0
            try:
                while True:
                    if done == view.nbytes:
                        return done
                    done += os.pwrite(self._fd, view[done:], offset + done)
            except OSError as error:
                raise self._refusal(error, done) from None

    def _refusal(self, error: OSError, done: int) -> Exception:
        number, remedy = error.errno or 0, None
        if number == errno.EBADF:
            number, remedy = errno.EACCES, "it was opened with read_only=True"
        elif number == errno.EPERM:
            remedy = seal_against(number, self._fd, Seal.WRITE, Seal.FUTURE_WRITE, Seal.GROW)
        elif number == errno.EINVAL and page_size_of(self._fd) > os.sysconf("SC_PAGESIZE"):
            number, remedy = errno.EOPNOTSUPP, "huge pages are written through a mapping"
        failure = syscall_error(number, "pwrite", repr(self), remedy=remedy)
        failure.completed = done
        return failure

    def map(
        self,
        *,
        size: int | None = None,
        offset: int = 0,
        read_only: bool = False,
        shared: bool = True,
        populate: bool = False,
    ) -> Mapping:
        """Map it; the mapping has a descriptor of its own, and outlives this handle.

        Args:
            size: bytes; None for all from *offset* on.
            offset: bytes from the start, a multiple of `page_size`.
            read_only: views are read-only. With `Seal.WRITE`, needed for shared memory.
            shared: False for private memory that begins with what is there; always allowed.
            populate: bring in every page now.

        Raises:
            AccessError: a seal forbids to write (EPERM), or it was opened read-only (EACCES).
            ValueError: it is empty, or shorter than *offset* and *size* say.
        """
        with self._in_use():
            return Mapping.of(self._fd, size=size, offset=offset, read_only=read_only, shared=shared, populate=populate)

    def _describe(self) -> str:
        return f"{self.name!r} size={self.size} fd={self._fd}"


def _link(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError as error:
        raise syscall_error(error.errno or 0, "readlink", f"fd {fd}") from None


def _read(fd: int, size: int, offset: int) -> bytes:
    parts = []
    while size > 0 and (part := os.pread(fd, size, offset)):
        parts.append(part)
        size -= len(part)
        offset += len(part)
    return b"".join(parts)
