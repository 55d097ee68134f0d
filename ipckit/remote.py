"""The memory of another process, read and written without its help: process_vm_readv(2), process_vm_writev(2)."""

from __future__ import annotations

import errno
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from ipckit._arguments import check_int
from ipckit._handle import FdHandle
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.errors import check, syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from typing_extensions import Buffer, Self

__all__ = ["ProcessMemory", "address_of"]

_ADDRESS_MAX = (1 << 64) - 1
_SIZE_MAX = (1 << 63) - 1
_SPANS = 1024  # IOV_MAX
_uncleared = ffi.new_allocator(should_clear_after_alloc=False)
_YAMA = "/proc/sys/kernel/yama/ptrace_scope"


class ProcessMemory(FdHandle):
    """A process's hold on the memory of another one, by its addresses.

    The kernel copies; the other process does not notice, and nothing keeps it from changing its memory meanwhile: a
    copy of more than a machine word may be half old and half new. It must be allowed to trace that process, as
    ptrace(2) says: the same user and no more capabilities than this one, not made undumpable, and with the Yama
    security module as /proc/sys/kernel/yama/ptrace_scope says (1: only descendants, or who calls prctl(2)
    PR_SET_PTRACER; 2: only with CAP_SYS_PTRACE; 3: nobody).

    The handle is of the process that `open` found, and never of a later one that has got its pid. `fileno` is its
    pidfd, which poll(2) calls readable once it has ended. Safe to share between threads and over fork(2); whether a
    child may trace that process is asked at each call.

    >>> import os
    >>> text = bytearray(b"hello")
    >>> with ProcessMemory.open(os.getpid()) as memory:  # in practice, another process
    ...     memory.write(address_of(text), b"J")
    ...     memory.read(address_of(text), 5)
    1
    b'Jello'
    """

    __slots__ = ("_pid",)

    def __init__(self, fd: int, pid: int) -> None:
        super().__init__(fd)
        self._pid = pid

    @classmethod
    def open(cls, pid: int) -> Self:
        """Take hold of the process *pid*, and ask whether its memory may be read.

        Raises:
            NoProcessError: there is none (ESRCH).
            AccessError: this process may not trace it (EPERM).
            ValueError: *pid* is below 1, or a thread's that is not its process's first.
            UnsupportedError: this kernel lacks pidfd_open(2) (before Linux 5.3), or process_vm_readv(2) (ENOSYS).
        """
        check_int(pid, "pid", 1, (1 << 31) - 1, "a process")
        fd = quick.ipk_pidfd_open(pid)
        if fd in {-errno.EINVAL, -errno.ENOENT}:
            raise ValueError(f"pid must be that of a process, and {pid} is that of a thread of one")
        check(fd, "pidfd_open", f"process {pid}")
        memory = cls(fd, pid)
        try:
            # Rights are checked before the address is looked at, and nothing is mapped at the last one.
            memory.read(_ADDRESS_MAX, 1)
        except OSError as error:
            if error.errno != errno.EFAULT:
                memory.close()
                raise
        return memory

    @property
    def pid(self) -> int:
        """The process."""
        return self._pid

    def read(self, address: int, size: int) -> bytes:
        """Copy *size* bytes from *address* of the process.

        Raises:
            SyscallError: a part of it is not mapped, or not readable (EFAULT); `completed` tells how much is.
            NoProcessError: the process has ended (ESRCH).
            AccessError: this process may not trace it (EPERM).
        """
        buffer = _uncleared("char[]", _checked(address, size))
        self._copy("process_vm_readv", lib.ipk_remote_read, buffer, address, size)
        return bytes(ffi.buffer(buffer))

    def readinto(self, address: int, buffer: Buffer) -> int:
        """Copy from *address* into *buffer*, all of it; return its length.

        Raises:
            TypeError: *buffer* is read-only.
            SyscallError, NoProcessError, AccessError: as `read`; the first `completed` bytes have been copied.
        """
        with memoryview(buffer).cast("B") as view:
            if view.readonly:
                raise TypeError(f"buffer must be one that can be written, not {type(buffer).__name__}")
            with ffi.from_buffer(view, require_writable=True) as local:
                size = _checked(address, view.nbytes)
                return self._copy("process_vm_readv", lib.ipk_remote_read, local, address, size)

    def readv(self, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Copy several pieces, with one system call for each 1024 of them.

        Args:
            spans: pairs of address and size in bytes.

        Raises:
            SyscallError, NoProcessError, AccessError: as `read`; `completed` counts the bytes of all pieces.
        """
        ends = list(accumulate((_checked(address, size) for address, size in spans), initial=0))
        buffer = bytearray(ends[-1])
        with ffi.from_buffer(buffer) as local:
            self._transfer("process_vm_readv", lib.ipk_remote_read, local, spans)
        return [bytes(memoryview(buffer)[start:end]) for start, end in pairwise(ends)]

    def write(self, address: int, data: Buffer) -> int:
        """Copy *data* to *address* of the process; return its length in bytes.

        Raises:
            SyscallError: a part of it is not mapped, or not writable (EFAULT); `completed` tells how much was written.
            NoProcessError: the process has ended (ESRCH).
            AccessError: this process may not trace it (EPERM).
        """
        with ffi.from_buffer(data) as local:
            size = _checked(address, len(local))
            return self._copy("process_vm_writev", lib.ipk_remote_write, local, address, size)

    def writev(self, pieces: Sequence[tuple[int, Buffer]]) -> int:
        """Copy several pieces, with one system call for each 1024 of them, in order.

        Args:
            pieces: pairs of address and data.

        Returns:
            The bytes of all pieces.

        Raises:
            SyscallError, NoProcessError, AccessError: as `write`; `completed` counts the bytes of all pieces.
        """
        views = [memoryview(piece).cast("B") for _, piece in pieces]
        spans = [(address, view.nbytes) for (address, _), view in zip(pieces, views, strict=True)]
        with ffi.from_buffer(b"".join(views)) as local:
            return self._transfer("process_vm_writev", lib.ipk_remote_write, local, spans)

    def _copy(self, syscall: str, call: Callable[..., int], local: Any, address: int, size: int) -> int:
        """Copy one piece, which as a rule takes one call."""
        with self._in_use():
            span = ffi.new("struct ipk_remote_span *", (address, size))
            done: int = call(self._pid, self._fd, local, span, 1)
        return size if done == size else self._transfer(syscall, call, local, [(address, size)], max(done, 0))

    def _transfer(
        self, syscall: str, call: Callable[..., int], local: Any, spans: Iterable[tuple[int, int]], done: int = 0
    ) -> int:
        """Go on until all *spans* are done; where the kernel stops in the middle, ask it again from there for why.

        Args:
            done: so many bytes are done already.
        """
        left = [(address, size) for address, size in spans if _checked(address, size)][::-1]
        with self._in_use():
            if done:
                _drop(left, done)
            while True:
                if not left:
                    return done
                batch = left[: -_SPANS - 1 : -1]
                rc = call(self._pid, self._fd, local + done, ffi.new("struct ipk_remote_span[]", batch), len(batch))
                if rc <= 0:
                    raise self._failure(-rc or errno.EFAULT, syscall, done)
                done += rc
                _drop(left, rc)

    def _failure(self, number: int, syscall: str, done: int) -> Exception:
        remedy = None
        if number == errno.EPERM:
            remedy = f"ptrace(2) asks for the same user, no capabilities that this process lacks, {_scope()}"
        elif number == errno.EFAULT:
            remedy = f"not mapped, or not permitted, after {done} bytes"
        failure = syscall_error(number, syscall, f"process {self._pid}", remedy=remedy)
        failure.completed = done
        return failure

    def _describe(self) -> str:
        return f"pid={self._pid} fd={self._fd}"

    def _facts(self) -> tuple[Any, ...]:
        return (self._pid,)


def address_of(buffer: Buffer) -> int:
    """Where *buffer* lies in this process's memory: what to tell those who shall read or write it from outside.

    The address is good for as long as the buffer lives and keeps its size.
    """
    with ffi.from_buffer(buffer) as start:
        return int(ffi.cast("uintptr_t", start))


def _checked(address: int, size: int) -> int:
    check_int(address, "address", 0, _ADDRESS_MAX, "bytes")
    return check_int(size, "size", 0, _SIZE_MAX, "bytes")


def _drop(left: list[tuple[int, int]], done: int) -> None:
    """Take the first *done* bytes from the spans, the first of which is the last of the list."""
    while done:
        address, size = left.pop()
        if done < size:
            left.append((address + done, size - done))
            return
        done -= size


def _scope() -> str:
    try:
        with open(_YAMA, encoding="ascii") as file:
            return f"and what {_YAMA} permits, which is {file.read().strip()}"
    except OSError:
        return "and a target that is dumpable"
