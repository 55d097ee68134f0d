"""Files without a name: memfd_create(2), and pages of other sizes: /proc/sys/vm/nr_hugepages of proc_sys_vm(5)."""

from __future__ import annotations

import errno
import fcntl
import os
import re

from ipckit._seals import Seal
from ipckit._shmfile import reserve
from ipckit.errors import syscall_error

PAGE = os.sysconf("SC_PAGESIZE")
MAP_HUGETLB = 0x40000  # asm-generic/mman.h; the mmap module does not have it

_MFD_ALLOW_SEALING, _MFD_HUGETLB, _MFD_NOEXEC_SEAL, _MFD_EXEC = 2, 4, 8, 16  # linux/memfd.h
_HUGE_SHIFT = 26  # MAP_HUGE_SHIFT, MFD_HUGE_SHIFT: where the logarithm of the page size stands
_POOLS = "/sys/kernel/mm/hugepages"


def page_sizes() -> tuple[int, ...]:
    """The sizes of pages that this machine has, in bytes, the ordinary one first; the others need a pool of pages.

    The kernel's pool for a size is empty unless the administrator fills it, for 2 MiB with sysctl vm.nr_hugepages.
    """
    try:
        found = re.findall(r"hugepages-(\d+)kB", " ".join(os.listdir(_POOLS)))
    except OSError:
        found = []
    return (PAGE, *sorted(int(size) << 10 for size in found))


def check_page_size(page_size: int | None, size: int) -> int:
    """Return *page_size*, the ordinary one for None, if this machine has it and *size* is so many whole pages."""
    if page_size is None or page_size == PAGE:
        return PAGE
    known = page_sizes()
    if page_size not in known:
        raise ValueError(f"page_size must be one of page_sizes(), here {known}, not {page_size!r}")
    check_whole_pages(size, page_size)
    return page_size


def check_whole_pages(size: int, page_size: int) -> None:
    """Refuse a *size* that is no multiple of a huge *page_size*."""
    if page_size > PAGE and size % page_size:
        raise ValueError(f"size must be a multiple of the page size, {page_size} bytes, not {size}")


def huge_flags(page_size: int, flag: int) -> int:
    """What mmap(2) and memfd_create(2) want for pages of that size; *flag* is their own for huge pages."""
    return 0 if page_size == PAGE else flag | (page_size.bit_length() - 1) << _HUGE_SHIFT


def page_size_of(fd: int) -> int:
    """The size of the pages of *fd* in memory: a huge one where it is on hugetlbfs(5)."""
    size = os.fstatvfs(fd).f_bsize
    return size if size > PAGE and size in page_sizes() else PAGE


def too_few(page_size: int) -> str:
    """What to do if there is no memory in pages of that size."""
    if page_size == PAGE:
        return "the machine has not so much memory free"
    try:
        with open(f"{_POOLS}/hugepages-{page_size >> 10}kB/free_hugepages", encoding="ascii") as file:
            free = file.read().strip()
    except OSError:
        free = "none"
    return (
        f"free pages of {page_size} bytes: {free}; raise sysctl vm.nr_hugepages, or have ordinary pages and "
        "advise(Advice.HUGEPAGE)"
    )


def create_memfile(
    name: str,
    size: int,
    *,
    mode: int,
    page_size: int = PAGE,
    seals: Seal | None = Seal(0),  # noqa: B008 - immutable
    executable: bool = False,
) -> int:
    """Make a file in memory, without a name in the system, whose memory is reserved.

    Args:
        name: for /proc/PID/fd and maps only; at most 249 bytes.
        size: bytes.
        mode: permission bits, for those who open it by /proc/PID/fd/N.
        seals: to begin with; None for no sealing ever.
        executable: whether it may be executed; on Linux before 6.3 it may in any case.

    Raises:
        LimitError: too little memory (ENOSPC, ENOMEM), or too many descriptors (EMFILE, ENFILE).
        UnsupportedError: this kernel has none (ENOSYS).
    """
    fd = _new_memfile(name, huge_flags(page_size, _MFD_HUGETLB), executable, page_size)
    try:
        os.fchmod(fd, mode)
        reserve(fd, 0, size, name, full=too_few(page_size))
        seals = Seal.SEAL if seals is None else seals
        if seals:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    except OSError as error:
        os.close(fd)
        if hasattr(error, "syscall"):
            raise
        raise syscall_error(error.errno or 0, "memfd_create", name) from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def _new_memfile(name: str, flags: int, executable: bool, page_size: int) -> int:  # noqa: FBT001
    flags |= os.MFD_CLOEXEC | _MFD_ALLOW_SEALING
    try:
        try:
            return os.memfd_create(name, flags | (_MFD_EXEC if executable else _MFD_NOEXEC_SEAL))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return os.memfd_create(name, flags)  # a kernel before 6.3
    except OSError as error:
        number = error.errno or 0
        remedy = "vm.memfd_noexec forbids executable ones" if number == errno.EACCES and executable else None
        if number in {errno.ENOMEM, errno.ENOSPC} and page_size != PAGE:
            remedy = too_few(page_size)
        raise syscall_error(number, "memfd_create", name, remedy=remedy) from None
