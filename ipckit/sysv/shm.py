"""System V shared memory: sysvipc(7), shmget(2), shmat(2), shmctl(2)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit._arguments import check_int
from ipckit._mapped import SIZE_MAX
from ipckit._memfile import PAGE, check_page_size, huge_flags, too_few
from ipckit._names import check_mode
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.errors import AlreadyExistsError, NotFoundError, SyscallError, syscall_error
from ipckit.features import limits
from ipckit.sysv._attachment import Attachment, attached
from ipckit.sysv._handle import SysvHandle, reopen
from ipckit.sysv._kind import READ, WRITE, Facts, Kind
from ipckit.sysv._owner import set_owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

_SHM_HUGETLB = 0o4000  # linux/shm.h


class SegmentStatus(NamedTuple):
    """What shmctl(2) IPC_STAT tells. Times are whole seconds since 1970, 0 for never; pids are 0 for none."""

    key: int
    """-2**31 to 2**31 - 1; 0 if it is private, or removed."""
    uid: int
    gid: int
    creator_uid: int
    creator_gid: int
    mode: int
    """Permission bits."""
    size: int
    """Bytes, as they were asked for; the memory is that of whole pages."""
    attached: int
    """How often it is attached now, by all processes together."""
    creator_pid: int
    last_pid: int
    """Who attached or detached it last."""
    last_attach_time: int
    last_detach_time: int
    change_time: int
    """When it was made, or `SharedMemory.set` was last called."""
    locked: bool
    """Whether it is kept in memory: `SharedMemory.lock`."""
    removed: bool
    """Whether it is gone for all who have not attached it, and goes when the last of these detaches it."""


def _get(key: int, mode: int) -> int:
    return quick.ipk_sysv_shm_find(key, mode)


def _stat(number: int) -> Facts | int:
    status = ffi.new("struct ipk_sysv_shm_status *")
    return quick.ipk_sysv_shm_stat(number, status) or Facts(status.key, status.creator_uid, status.change_s)


class SharedMemory(SysvHandle):
    """A segment of memory that processes attach, and then see and change together.

    The handle is its address; `attach` gives the bytes. Nothing orders the accesses of different processes: use a
    semaphore, a lock, or a structure made for it. The segment and its content stay until it is removed, whoever dies;
    removed while it is attached, it loses its key and lives until the last process detaches it. To attach registers
    nothing that would remove it. Safe to share between threads and across fork(2).

    A segment has one size for all its life, and no process can truncate it: what is attached can always be touched. (If
    the machine or a cgroup runs out of memory then, the kernel ends a process; it reserves none here.)

    >>> with SharedMemory.create(size=5000, remove_on_close=True) as segment:
    ...     with segment.attach() as memory, segment.attach(read_only=True) as other:
    ...         memory.buf[:5] = b"hello"
    ...         bytes(other.buf[:5]), segment.stat().attached
    (b'hello', 2)
    """

    __slots__ = ("_read_only", "_size")

    _kind = Kind("shm", _get, _stat, quick.ipk_sysv_shm_remove)

    def __init__(
        self,
        number: int,
        facts: Facts,
        name: str | None,
        *,
        remove_on_close: bool = False,
        read_only: bool = False,
    ) -> None:
        super().__init__(number, facts, name, remove_on_close=remove_on_close)
        self._read_only = read_only
        status = ffi.new("struct ipk_sysv_shm_status *")
        # Unknown where there is no right to read, or the segment is gone.
        self._size: int | None = None if quick.ipk_sysv_shm_stat(number, status) else status.size

    @classmethod
    def create(  # type: ignore[override]  # a segment without a size would be of no use
        cls,
        key: int | str | None = None,
        *,
        size: int,
        mode: int = 0o600,
        page_size: int | None = None,
        remove_on_close: bool = False,
    ) -> Self:
        """Create a segment of zeros, exclusively.

        Args:
            key: a number, as from `ftok`, or a name such as "/frames", which is hashed to one. None makes a private
                segment: others reach it by its `id`, by fork, or by pickling.
            size: bytes, 1 to sysctl kernel.shmmax; not rounded up to pages.
            mode: permission bits, exactly: to attach takes the one to read, and the one to write unless read-only.
            page_size: bytes, one of `mapping.page_sizes`, of which *size* is a multiple; None for ordinary ones.
            remove_on_close: `close` removes the segment, in the process that created it; attachments stay.

        Raises:
            AlreadyExistsError: *key* is taken (EEXIST).
            LimitError: there are too many segments or too many pages in all of them, sysctls kernel.shmmni and
                kernel.shmall (ENOSPC); too little memory, or too few huge pages, sysctl vm.nr_hugepages (ENOMEM).
            AccessError: huge pages take CAP_IPC_LOCK, or the group of sysctl vm.hugetlb_shm_group (EPERM).
        """
        _check_size(size)
        check_mode(mode)
        page_size = check_page_size(page_size, size)
        huge = huge_flags(page_size, _SHM_HUGETLB)
        try:
            made = cls._kind.create(key, lambda numeric: lib.ipk_sysv_shm_make(numeric, size, mode, huge))
        except SyscallError as error:
            raise _explained(error, page_size) from None
        return cls(*made, remove_on_close=remove_on_close)

    @classmethod
    def open(cls, key: int | str, *, read_only: bool = False) -> Self:
        """Open an existing segment; it is complete from the moment it is there.

        Args:
            key: the number or the name that it was created with.
            read_only: ask for no right to write; every attachment of this handle is then read-only.

        Raises:
            NotFoundError: there is no segment on that key, or the one there is not that of the name (ENOENT).
            AccessError: its mode forbids what is asked for (EACCES).
        """
        return cls(*cls._kind.find(key, READ if read_only else READ | WRITE), read_only=read_only)

    @classmethod
    def open_or_create(  # type: ignore[override]  # the base class leaves open what `create` takes
        cls,
        key: int | str,
        *,
        size: int,
        mode: int = 0o600,
        page_size: int | None = None,
        remove_on_close: bool = False,
    ) -> Self:
        """Open the segment on *key*, or create it; arguments as for `create`.

        Raises:
            ValueError: the segment that is there is smaller.
        """
        _check_size(size)
        while True:  # each turn that fails means that another process made or removed it between our two calls
            try:
                found = cls.open(key)
            except NotFoundError:
                pass
            else:
                if found._size is None or size <= found._size:
                    return found
                error = ValueError(f"size must be at most that of the existing segment, {found._size}, not {size}")
                found.close()
                raise error
            try:
                return cls.create(key, size=size, mode=mode, page_size=page_size, remove_on_close=remove_on_close)
            except AlreadyExistsError:
                if cls._kind.stranger(key):
                    raise

    @property
    def size(self) -> int:
        """Bytes, as they were asked for.

        Raises:
            AccessError: it takes the right to read (EACCES).
        """
        if self._size is None:
            self._size = self.stat().size
        return self._size

    @property
    def read_only(self) -> bool:
        """Whether the handle was opened so."""
        return self._read_only

    def attach(self, read_only: bool = False) -> Attachment:  # noqa: FBT001, FBT002  # the one thing there is to say
        """Attach the segment to this process, at an address of the kernel's choice: shmat(2).

        As often as you like; the process has each attachment until it is closed.

        Args:
            read_only: `Attachment.buf` is read-only, as it is in any case if the handle was opened so.

        Raises:
            AccessError: its mode forbids what is asked for (EACCES).
            LimitError: there is no room in the address space (ENOMEM).
            RemovedError: the segment is gone (EIDRM). One that was removed and is still attached can be attached.
            UnsupportedError: it has huge pages, made by another program, and its size is not a multiple of theirs.
        """
        self._check_open()
        read_only = read_only or self._read_only
        memory = attached(self._id, self.size, self._subject(), read_only=read_only)
        if not isinstance(memory, int):
            return Attachment((type(self), self._number, self._name), memory, read_only=read_only)
        remedy = None
        if memory == -errno.EACCES and not read_only:
            remedy = "attach(read_only=True) asks for less"
        elif memory == -errno.EOPNOTSUPP:
            remedy = f"it has huge pages, and its size of {self._size} bytes is not a multiple of theirs"
        raise self._failure(memory, "shmat", remedy)

    def stat(self) -> SegmentStatus:
        """Owner, mode, size, attachments and times, all of one moment: shmctl(2) IPC_STAT.

        Raises:
            AccessError: it takes the right to read (EACCES).
            RemovedError: the segment is gone (EIDRM).
        """
        status = self._status()
        found = SegmentStatus(*ffi.unpack(ffi.cast("int64_t *", status), len(SegmentStatus._fields)))
        return found._replace(locked=bool(found.locked), removed=bool(found.removed))

    def set(self, *, mode: int | None = None, uid: int | None = None, gid: int | None = None) -> None:
        """Change the mode, owner or group of the segment, and leave what is None: shmctl(2) IPC_SET.

        Not atomic with another process that does the same. Who has attached it keeps it. Handles that were pickled
        before can't be unpickled after it: the kernel tells the time of a change, and none of creation.

        Args:
            mode: permission bits.
            uid: the new owner; the creator keeps an owner's rights.
            gid: the new group.

        Raises:
            AccessError: only owner, creator and CAP_SYS_ADMIN may (EPERM).
            RemovedError: the segment is gone (EIDRM).
        """
        status = self._status()
        set_owner(status, mode, uid, gid)
        result = quick.ipk_sysv_shm_set(self._id, status)
        if result:
            raise self._failure(result, "shmctl")
        self._changed_s = self._kind.facts(self._number, self._subject()).changed_s

    def lock(self) -> None:
        """Keep the segment in memory, each page once it was touched: shmctl(2) SHM_LOCK. It does not count.

        Raises:
            LimitError: more than RLIMIT_MEMLOCK would be locked (ENOMEM).
            AccessError: it takes the owner or creator, and RLIMIT_MEMLOCK above 0; or CAP_IPC_LOCK (EPERM).
            RemovedError: the segment is gone (EIDRM).
        """
        self._set_locked(locked=True)

    def unlock(self) -> None:
        """Let the segment leave memory again: shmctl(2) SHM_UNLOCK.

        Raises:
            AccessError: it takes the owner or creator, or CAP_IPC_LOCK (EPERM).
            RemovedError: the segment is gone (EIDRM).
        """
        self._set_locked(locked=False)

    def _set_locked(self, *, locked: bool) -> None:
        result = lib.ipk_sysv_shm_lock(self._id, locked)
        if result:
            remedy = "raise RLIMIT_MEMLOCK (ulimit -l)" if result == -errno.ENOMEM else None
            raise self._failure(result, "shmctl", remedy)

    def _status(self) -> Any:
        status = ffi.new("struct ipk_sysv_shm_status *")
        result = quick.ipk_sysv_shm_stat(self._id, status)
        if result:
            raise self._failure(result, "shmctl")
        return status

    def _describe(self) -> str:
        return f"{super()._describe()} size={self._size}"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        how, arguments = super().__reduce__()
        return (_reopen_read_only if self._read_only else how), arguments


def _reopen_read_only(cls: type[SharedMemory], number: int, facts: Facts, name: str | None) -> SharedMemory:
    handle = reopen(cls, number, facts, name)
    handle._read_only = True  # type: ignore[attr-defined]
    return handle  # type: ignore[return-value]


def _check_size(size: int) -> None:
    most = min(limits().shmmax or SIZE_MAX, SIZE_MAX)
    check_int(size, "size", 1, most, "bytes; sysctl kernel.shmmax")


def _explained(error: SyscallError, page_size: int) -> SyscallError:
    """The same failure of shmget(2), with what the caller can do."""
    if error.errno == errno.ENOMEM:
        remedy = too_few(page_size)
    elif error.errno == errno.EPERM and page_size > PAGE:
        remedy = "huge pages take CAP_IPC_LOCK, or the group of sysctl vm.hugetlb_shm_group"
    else:
        return error
    return syscall_error(error.errno, "shmget", error.filename, remedy=remedy)
