"""What a semaphore set tells of itself, and what is set there without an operation: semctl(2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ipckit._arguments import check_int
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.sysv._handle import SysvHandle
from ipckit.sysv._owner import set_owner
from ipckit.sysv._set_lane import VALUE_MAX, last_index, most

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipckit.sysv._kind import Facts


class SetStatus(NamedTuple):
    """What semctl(2) IPC_STAT tells. Times are whole seconds since 1970, 0 for never."""

    key: int
    """-2**31 to 2**31 - 1; 0 if it is private."""
    uid: int
    gid: int
    creator_uid: int
    creator_gid: int
    mode: int
    """Permission bits."""
    size: int
    """Semaphores in the set."""
    last_op_time: int
    """Of `op`; never 0 in a set that is complete."""
    change_time: int
    """When it was made, or a value or the mode was set."""


class ControlledSet(SysvHandle):
    """A handle of a set, which asks for its values and its status and sets them."""

    __slots__ = ("_size",)

    def __init__(self, number: int, facts: Facts, name: str | None, *, remove_on_close: bool = False) -> None:
        super().__init__(number, facts, name, remove_on_close=remove_on_close)
        status = ffi.new("struct ipk_sysv_sem_status *")
        if quick.ipk_sysv_sem_stat(number, status):
            self._size: int | None = None  # unknown: there is no right to read, or the set is gone
        else:
            self._size = status.size

    @property
    def size(self) -> int:
        """Semaphores in the set; they are numbered from 0."""
        if self._size is None:
            self._size = self.stat().size
        return self._size

    def values(self) -> tuple[int, ...]:
        """The tokens of all, at one moment: GETALL."""
        into = ffi.new("uint16_t[]", self.size)
        self._checked(quick.ipk_sysv_sem_values(self._id, into), "semctl")
        return tuple(into)

    def set_values(self, values: Sequence[int]) -> None:
        """Set the tokens of all, as one: SETALL. What processes had to undo is forgotten.

        Args:
            values: `size` numbers from 0 to 32767.
        """
        self._check_open()
        data = ffi.new("uint16_t[]", list(first_values(self.size, values)))
        self._checked(quick.ipk_sysv_sem_set_values(self._id, data), "semctl")

    def value(self, index: int) -> int:
        """The tokens of one: GETVAL."""
        return self._ask(index, lib.IPK_SYSV_SEM_VALUE)

    def set_value(self, index: int, value: int) -> None:
        """Set the tokens of one: SETVAL. What processes had to undo on it is forgotten."""
        self._check_index(index)
        check_int(value, "value", 0, VALUE_MAX, "tokens")
        self._checked(quick.ipk_sysv_sem_set_value(self._id, index, value), "semctl")

    def last_pid(self, index: int) -> int:
        """The process that last changed it, 0 for none: GETPID."""
        return self._ask(index, lib.IPK_SYSV_SEM_PID)

    def waiting(self, index: int) -> int:
        """How many threads wait to take from it: GETNCNT. One that waits on several is counted at one of them."""
        return self._ask(index, lib.IPK_SYSV_SEM_WAITING)

    def waiting_for_zero(self, index: int) -> int:
        """How many threads wait until it has none: GETZCNT."""
        return self._ask(index, lib.IPK_SYSV_SEM_WAITING_ZERO)

    def stat(self) -> SetStatus:
        """Owner, mode, size and times, all of one moment: semctl(2) IPC_STAT.

        Raises:
            AccessError: it takes the right to read (EACCES).
            RemovedError: the set was removed (EIDRM).
        """
        status = ffi.new("struct ipk_sysv_sem_status *")
        self._checked(quick.ipk_sysv_sem_stat(self._id, status), "semctl")
        return SetStatus(*ffi.unpack(ffi.cast("int64_t *", status), len(SetStatus._fields)))

    def set(self, *, mode: int | None = None, uid: int | None = None, gid: int | None = None) -> None:
        """Change the mode, owner or group of the set, and leave what is None: semctl(2) IPC_SET.

        Not atomic with another process that does the same.

        Args:
            mode: permission bits.
            uid: the new owner; the creator keeps an owner's rights.
            gid: the new group.

        Raises:
            AccessError: only owner, creator and CAP_SYS_ADMIN may (EPERM).
        """
        status = ffi.new("struct ipk_sysv_sem_status *")
        self._checked(quick.ipk_sysv_sem_stat(self._id, status), "semctl")
        set_owner(status, mode, uid, gid)
        self._checked(quick.ipk_sysv_sem_set(self._id, status), "semctl")

    def _ask(self, index: int, what: int) -> int:
        self._check_index(index)
        return self._checked(quick.ipk_sysv_sem_ask(self._id, index, what), "semctl")

    def _check_index(self, index: int) -> None:
        self._check_open()
        check_int(index, "index", 0, last_index(self._size), "of a semaphore in the set")

    def _checked(self, result: int, call: str) -> int:
        if result < 0:
            raise self._failure(result, call)
        return result


def first_values(size: int, values: Sequence[int] | None) -> tuple[int, ...]:
    """The values of a set of that *size*, zeros for None, if they are such as it can have."""
    check_int(size, "size", 1, most().semmsl, "semaphores; sysctl kernel.sem")
    if values is None:
        return (0,) * size
    if len(values) != size:
        raise ValueError(f"values must be {size} numbers, one for each semaphore, not {len(values)}")
    return tuple(check_int(value, "values", 0, VALUE_MAX, "tokens") for value in values)
