"""Operations on a semaphore set, from pairs of numbers to one attempt: semop(2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ipckit._arguments import check_int
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.features import SemLimits, limits

if TYPE_CHECKING:
    from ipckit.sysv._member import SemaphoreMember

VALUE_MAX = 32767  # SEMVMX
NOT_PLAIN = 1  # native/lane/sysv_sem.c has the same number
_INDEX_MAX = (1 << 16) - 1
_OPS_MAX: int = lib.IPK_SYSV_SEM_OPS
_USUAL = SemLimits(32000, 1024000000, 500, 32000)  # of Linux, where /proc does not tell

Pairs = tuple[tuple[int, int], ...]


class Lane(Protocol):
    """What a set asks of its lane."""

    def op(self, pairs: Pairs, undo: bool, /) -> int:  # noqa: FBT001
        """Try to do all of *pairs*, without waiting.

        Returns:
            0; -errno; NOT_PLAIN if these are not pairs of ints in a tuple: then nothing was tried.
        """

    def enter(self, member: SemaphoreMember, /) -> SemaphoreMember:
        """Take a token for a ``with`` block, waiting for one."""

    def leave(self, member: SemaphoreMember, /) -> None:
        """Give the token of a ``with`` block."""

    def close(self) -> None:
        """Have every later call say -EINVAL."""


class CffiLane:
    """The lane for an installation without the extension: slower; otherwise the same."""

    __slots__ = ("_id",)

    def __init__(self, id: int) -> None:
        self._id = id

    def op(self, pairs: Pairs, undo: bool, /) -> int:  # noqa: FBT001
        try:
            ops = packed(pairs, None, undo=undo)
        except (TypeError, ValueError):
            return NOT_PLAIN
        return quick.ipk_sysv_sem_op(self._id, ops, len(ops), 0, ffi.NULL)

    def enter(self, member: SemaphoreMember, /) -> SemaphoreMember:
        result = self.op(member._take, member._undo)
        return member._enter_waiting(result) if result else member

    def leave(self, member: SemaphoreMember, /) -> None:
        if result := self.op(member._give, member._undo):
            member._leave_failed(result)

    def close(self) -> None:
        self._id = -1


def lane_of(id: int) -> Lane:
    """The fastest lane of this installation for the set *id*."""
    try:
        from ipckit._lane import SetLane
    except ImportError:
        return CffiLane(id)
    return SetLane(id)


def packed(pairs: Pairs, size: int | None, *, undo: bool) -> Any:
    """What the C core takes for *pairs*.

    Args:
        size: semaphores in the set; None if that is not known.

    Raises:
        TypeError: they are not pairs of ints.
        ValueError: there are none, or too many; a number is out of range.
    """
    if not 1 <= len(pairs) <= _OPS_MAX:
        raise too_many(len(pairs), _OPS_MAX)
    last = last_index(size)
    for index, delta in pairs:
        check_int(index, "index", 0, last, "of a semaphore in the set")
        check_int(delta, "delta", -VALUE_MAX, VALUE_MAX, "tokens")
    return ffi.new("struct ipk_sysv_sem_op[]", [(index, delta, undo) for index, delta in pairs])


def last_index(size: int | None) -> int:
    """The highest number of a semaphore in a set of that *size*; where that is not known, of any."""
    return _INDEX_MAX if size is None else size - 1


def most() -> SemLimits:
    """What one set, and one operation, has at most."""
    return limits().sem or _USUAL


def too_many(count: int, allowed: int) -> ValueError:
    """The error for an operation of so many pairs."""
    return ValueError(f"ops must be 1 to {allowed} pairs (the third number of sysctl kernel.sem), not {count}")
