"""POSIX unnamed semaphores, in memory that processes share: sem_overview(7), sem_init(3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit._arguments import check_int
from ipckit._handle import Handle
from ipckit._located import located
from ipckit._native import lib
from ipckit.errors import check
from ipckit.posix._semaphore_lane import lane_of
from ipckit.posix._tokens import VALUE_MAX, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer, Self

SIZE: int = lib.ipk_posix_sem_size()
ALIGNMENT: int = lib.ipk_posix_sem_alignment()


class UnnamedSemaphore(Tokens):
    """A semaphore in shared memory of yours: as many as fit, each `SIZE` bytes at a multiple of `ALIGNMENT`.

    Whoever has the memory has the semaphore, and nothing else belongs to it: no name, no descriptor. It must be made
    before others open it, and exactly once: nothing in its bytes tells a semaphore from other bytes. C programs use it
    by sem_wait(3) and sem_post(3). Used like `threading.Semaphore`; a token has no owner, and **a process that dies
    with a token never gives it back**. Safe to share between threads and across fork(2), if the mapping is shared.

    As long as the handle is open, the memory can't be unmapped: closing that raises BufferError.

    >>> from ipckit.posix import SharedMemory
    >>> with SharedMemory.create("/ipckit-doc-unnamed", size=4096, unlink_on_close=True) as memory:
    ...     semaphore = UnnamedSemaphore.create(memory, 64, value=1)
    ...     other = UnnamedSemaphore.open(memory, 64)
    ...     with semaphore:
    ...         other.acquire(timeout=0.01)
    ...     semaphore.close(), other.close()
    False
    (None, None)
    """

    __slots__ = ("_lane", "_offset", "_sem", "_within")

    def __init__(self, within: Any, offset: int) -> None:
        sem = located(within, offset, SIZE, ALIGNMENT)
        super().__init__()
        self._within = within
        self._offset = offset
        self._sem = sem
        self._lane = lane_of(sem)

    @classmethod
    def create(cls, within: Handle | Buffer, offset: int = 0, *, value: int = 0) -> Self:
        """Make a semaphore in bytes that nobody uses: sem_init(3).

        Args:
            within: the memory: a `SharedMemory`, `Mapping` or other handle with a `buf`, or any writable buffer, such
                as mmap.mmap. Private memory is accepted, and is of use to threads only.
            offset: bytes from its beginning.
            value: tokens at first, 0 to 2147483647.

        Raises:
            ValueError: the semaphore would not fit, or not be aligned, or the memory is read-only.
        """
        check_int(value, "value", 0, VALUE_MAX, "tokens")
        made = cls(within, offset)
        check(lib.ipk_posix_sem_init(made._sem, value), "sem_init", made._describe())
        return made

    @classmethod
    def open(cls, within: Handle | Buffer, offset: int = 0) -> Self:
        """Use the semaphore that another process, or another handle, made at that place; arguments as for `create`."""
        return cls(within, offset)

    def _release(self) -> None:
        super()._release()
        self._within = None

    def _describe(self) -> str:
        return f"at {self._offset} of {type(self._within).__name__}"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        if not isinstance(self._within, Handle):
            raise TypeError(
                f"cannot pickle {type(self).__name__} in a {type(self._within).__name__}: give the child the memory, "
                "by inheritance or as an argument of multiprocessing.Process or through send_fds, and open it there"
            )
        return type(self).open, (self._within, self._offset)
