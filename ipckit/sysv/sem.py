"""System V semaphore sets: sysvipc(7), semget(2), semop(2)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ipckit import interrupt
from ipckit._arguments import check_timeout
from ipckit._names import check_mode
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._retry import pause
from ipckit._wait import Deadline
from ipckit.errors import AlreadyExistsError, NotFoundError, syscall_error
from ipckit.sysv._kind import READ, WRITE, Facts, Kind
from ipckit.sysv._member import SemaphoreMember
from ipckit.sysv._sem_control import ControlledSet, first_values
from ipckit.sysv._sem_start import forget, is_started, start
from ipckit.sysv._set_lane import NOT_PLAIN, VALUE_MAX, Pairs, lane_of, most, packed, too_many

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typing_extensions import Self

_PATIENCE = 1.0  # seconds that `open` gives a creator between its semget and its first semop
_EAGAIN, _ETIMEDOUT = -errno.EAGAIN, -errno.ETIMEDOUT


def _get(key: int, mode: int) -> int:
    return quick.ipk_sysv_sem_get(key, 0, 0, mode)


def _stat(number: int) -> Facts | int:
    status = ffi.new("struct ipk_sysv_sem_status *")
    result = quick.ipk_sysv_sem_stat(number, status)
    # No time: that of a change is also the time when a value was set.
    return result or Facts(status.key, status.creator_uid, 0)


def _remove(number: int) -> int:
    result = quick.ipk_sysv_sem_remove(number)
    if result == 0:
        forget(number)
    return result


class SemaphoreSet(ControlledSet):
    """Several semaphores, of 0 to 32767 tokens each, on which one operation takes and gives at once, or not at all.

    The kernel orders the operations of all threads and processes; whoever waits longest is not promised to be first.
    With ``undo=True`` the kernel takes an operation back when the process ends, by SIGKILL too: a lock whose owner
    dies is free. What is to be undone belongs to the process, all of its threads, and not to a child of fork(2); it
    is forgotten when somebody sets values. The set stays until it is removed. A wait ends with RemovedError when any
    process removes the set, and with ClosedError when another thread closes the handle.

    >>> with SemaphoreSet.create(size=3, values=[1, 1, 0], remove_on_close=True) as forks:
    ...     forks.op([(0, -1), (1, -1)], undo=True, timeout=1.0)
    ...     forks.try_op([(1, -1), (2, +1)]), forks.values()
    (False, (0, 0, 0))
    """

    __slots__ = ("_lane",)

    _kind = Kind("sem", _get, _stat, _remove, change_tells=False)

    def __init__(self, number: int, facts: Facts, name: str | None, *, remove_on_close: bool = False) -> None:
        super().__init__(number, facts, name, remove_on_close=remove_on_close)
        self._lane = lane_of(number)

    @classmethod
    def create(
        cls,
        key: int | str | None = None,
        *,
        size: int = 1,
        values: Sequence[int] | None = None,
        mode: int = 0o600,
        remove_on_close: bool = False,
    ) -> Self:
        """Create a set, exclusively. Nobody who opens it by this class sees it before it has its values.

        Args:
            key: a number, as from `ftok`, or a name such as "/forks", which is hashed to one. None makes a private
                set: others reach it by its `id`, by fork, or by pickling.
            size: semaphores, 1 or more; at most the first number of sysctl kernel.sem.
            values: tokens of each at first, *size* numbers from 0 to 32767; None is all 0.
            mode: permission bits, exactly: `op` takes the one to write, to look takes the one to read.
            remove_on_close: `close` removes the set, in the process that created it.

        Raises:
            AlreadyExistsError: *key* is taken (EEXIST).
            LimitError: there are too many sets, or semaphores in all of them: sysctl kernel.sem (ENOSPC).
        """
        initial = first_values(size, values)
        check_mode(mode)
        found = cls._kind.create(key, lambda numeric: lib.ipk_sysv_sem_get(numeric, size, 1, mode))
        made = cls(*found, remove_on_close=remove_on_close)
        try:
            start(made._id, initial, made._subject(), known=key is not None)
        except BaseException:  # a mode without the owner's right to write, a full /dev/shm, Ctrl-C
            made.remove()
            made.close()
            raise
        return made

    @classmethod
    def open(cls, key: int | str, *, started: bool = True) -> Self:
        """Open an existing set.

        Args:
            key: the number or the name that it was created with.
            started: wait up to a second until the set has seen its first operation, which is how a creator says that
                the values are complete (and ours do at once). False takes a set as it is, such as one of ipcmk(1).

        Raises:
            NotFoundError: there is no set on that key, or the one there is not that of the name; or its maker died
                before it had its values (ENOENT): `open_or_create` completes it.
            AccessError: its mode forbids to read or to write it (EACCES).
        """
        deadline = Deadline.after(_PATIENCE)
        turn = 0
        while True:
            found = cls(*cls._kind.find(key, READ | WRITE))
            if not started or is_started(found._id):
                return found
            if not pause(deadline, turn):
                remedy = "it was made but never given its values; open_or_create completes it, started=False takes it"
                error = syscall_error(errno.ENOENT, "semget", found._subject(), remedy=remedy)
                found.close()
                raise error
            found.close()
            turn += 1

    @classmethod
    def open_or_create(  # type: ignore[override]  # the base class leaves open what `create` takes
        cls,
        key: int | str,
        *,
        size: int = 1,
        values: Sequence[int] | None = None,
        mode: int = 0o600,
        remove_on_close: bool = False,
    ) -> Self:
        """Open the set on *key*, or create it; give one whose maker died in between these *values*.

        Raises:
            ValueError: the set that is there has another size.
            BusyError: its maker was stopped just before it gave the values (EBUSY).
        """
        initial = first_values(size, values)
        while True:  # each turn that fails means that another process made or removed it between our two calls
            try:
                found = cls.open(key, started=False)
                break
            except NotFoundError:
                pass
            try:
                return cls.create(key, size=size, values=values, mode=mode, remove_on_close=remove_on_close)
            except AlreadyExistsError:
                if cls._kind.stranger(key):
                    raise
        if found._size not in (size, None):
            error = ValueError(f"size must be that of the set which is there, {found._size}, not {size}")
            found.close()
            raise error
        try:
            start(found._id, initial, found._subject(), known=True)
        except BaseException:
            found.close()
            raise
        return found

    def close(self) -> None:
        """Let go of the set in this process; remove it only if `create` was told ``remove_on_close``."""
        self._lane.close()  # at once, and not only after the last wait has left
        super().close()

    def op(self, ops: Iterable[tuple[int, int]], *, undo: bool = False, timeout: float | None = None) -> None:
        """Do all of *ops* as one, in their order, waiting until that is possible: semtimedop(2).

        Args:
            ops: pairs of a semaphore's index and a number: above 0 is given, below 0 is taken, 0 waits until the
                semaphore has none. At most 500 (sysctl kernel.sem).
            undo: take it back when this process ends (SEM_UNDO).
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: it was not possible in that time; nothing was changed (ETIMEDOUT).
            SyscallError: a semaphore would have more than 32767 (ERANGE).
            RemovedError: the set was removed (EIDRM).
        """
        if timeout is not None:
            check_timeout(timeout)
        pairs = tuple(ops)
        result = self._lane.op(pairs, undo)
        if result and not self._done(result, pairs, undo, Deadline.after(timeout)):
            raise syscall_error(errno.ETIMEDOUT, "semop", self._subject())

    def try_op(self, ops: Iterable[tuple[int, int]], *, undo: bool = False) -> bool:
        """Do all of *ops* if that is possible now. Returns whether it was; otherwise as `op`."""
        pairs = tuple(ops)
        result = self._lane.op(pairs, undo)
        return not result or self._done(result, pairs, undo, None)

    def member(self, index: int, *, undo: bool = False) -> SemaphoreMember:
        """One semaphore of the set, used like `threading.Semaphore`: ``with forks.member(0, undo=True):``.

        Args:
            index: 0 to `size` - 1.
            undo: what this process took through it is given back when the process ends (SEM_UNDO).
        """
        self._check_index(index)
        return SemaphoreMember(self, index, undo)

    def _done(self, result: int, pairs: Pairs, undo: bool, deadline: Deadline | None) -> bool:  # noqa: FBT001
        """Do after all what a first try, with this result, did not; False if that was not possible in time."""
        self._check_open()
        if result == _EAGAIN and deadline is None:
            return False
        ops = packed(pairs, self._size, undo=undo)
        if result == NOT_PLAIN:
            result = quick.ipk_sysv_sem_op(self._id, ops, len(ops), 0, ffi.NULL)
        if result == _EAGAIN and deadline is not None:
            result = self._wait(ops, pairs, undo, deadline)
        if result == 0:
            return True
        if result in (_EAGAIN, _ETIMEDOUT):
            return False
        if result == -errno.E2BIG:
            raise too_many(len(ops), most().semopm)
        if result == -errno.EFBIG:  # the size was not known, for want of the right to read it
            raise ValueError("index must be that of a semaphore in the set, which has fewer")
        if result == -errno.ERANGE:
            remedy = f"a semaphore has at most {VALUE_MAX}, and a process at most that to undo"
            raise self._failure(result, "semop", remedy)
        raise self._failure(result, "semop")

    def _wait(self, ops: Any, pairs: Pairs, undo: bool, deadline: Deadline) -> int:  # noqa: FBT001
        """Do *ops*, which are those of *pairs*, until the deadline at most; 0, or -errno."""
        done = ffi.new("uint32_t *")
        try:
            return interrupt.until(
                self, deadline, lambda until_ns: lib.ipk_sysv_sem_op(self._id, ops, len(ops), until_ns, done)
            )
        except BaseException:
            if done[0]:  # a signal handler raised between the operation and here
                self._give_back(pairs, undo)
            raise

    def _give_back(self, pairs: Pairs, undo: bool) -> None:  # noqa: FBT001
        """Give what an operation has taken that gave nothing; what was given, others may have by now."""
        taken = tuple((index, -delta) for index, delta in pairs if delta)
        if taken and all(delta > 0 for _, delta in taken):
            ops = packed(taken, self._size, undo=undo)
            quick.ipk_sysv_sem_op(self._number, ops, len(ops), 0, ffi.NULL)
