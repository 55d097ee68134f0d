"""The bare futex word: futex(2), futex_waitv(2), native/include/ipckit/futex.h."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from ipckit._arguments import check_int
from ipckit._handle import Handle
from ipckit._located import located
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import Deadline
from ipckit.errors import SyscallError, check, syscall_error
from ipckit.sync._atomic import Exchanged
from ipckit.sync._object import ObjectHandle, Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

_MAX = (1 << 32) - 1
_LEAST = -(1 << 31)
_WAITERS_MAX = (1 << 31) - 1
_AWAKE = (0, -errno.EAGAIN)  # woken, or just changed
_GO_ON = (-errno.ETIMEDOUT, -errno.EINTR)  # what ends a slice, and not the wait


class Futex(ObjectHandle):
    """A 32-bit word in shared memory, and the kernel's queue of those who sleep on it: what all locks are made of.

    The protocol is yours: change the word, then `wake`. `wait` sleeps only while the word has the value that you
    expect, so a change that comes before the sleep is not missed. A wake-up may come without a change, and a change
    without a wake-up: look at the word again. Within memory of yours it is four bytes and nothing else, at any multiple
    of 4, which C programs use by futex(2); never with FUTEX_PRIVATE_FLAG, for those wake-ups do not meet these waiters.

    Ordering: `load`, `store`, `exchange`, `compare_exchange` and `fetch_add` are atomic and sequentially consistent.

    A waiter leaves the kernel's queue every 50 ms, looks around, and comes back if the word still is what it expected.
    A wake-up that changes nothing may fall into that moment; a waiter that `requeue` moved returns from it. Nobody owns
    a word: a killed waiter is gone from the queue, and what a killed process had stored is there.

    Threads: safe to share, and lock-free; all but the waits may be called in a signal handler. fork(2): the child has
    the handle.

    >>> with Futex.create("/ipckit-doc-futex", value=7, unlink_on_close=True) as futex:
    ...     futex.wait(6), futex.fetch_add(1), futex.compare_exchange(8, 1).exchanged, futex.wake()
    (False, 7, True, 0)
    """

    __slots__ = ("_word",)

    _KIND = lib.IPK_SYNC_FUTEX
    _WHAT = "futex"

    SIZE: Final = 4
    """Bytes that a word takes within memory of yours."""
    ALIGNMENT: Final = 4
    """What its offset there is a multiple of."""
    ANY: Final[int] = lib.IPK_FUTEX_ANY
    """The bitset that meets every other."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        view = place.view
        self._word = view if place.within is not None else ffi.gc(quick.ipk_futex_word(view), lambda _: view)

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        value: int = 0,
        within: Any = None,
        offset: int = 0,
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Self:
        """Create a word, exclusively; within memory of yours: store *value* there, whatever the bytes were.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``. None: anonymous, for children
                and for whoever gets its descriptor.
            value: the word at first, 0 to 4294967295.
            within: memory of yours to use instead: a handle with a `buf`, or any writable buffer, such as mmap.mmap.
            offset: bytes from the beginning of *within*, a multiple of 4.
            mode: permission bits of the file, exactly, whatever the umask.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        check_int(value, "value", 0, _MAX, "32 bits")
        if within is not None:
            word = _within(name, within, offset)
            quick.ipk_futex_store(word.view, value)
            return cls(word)

        def fill(memory: Any) -> None:
            quick.ipk_futex_store(ffi.cast("uint32_t *", ffi.cast("char *", memory) + lib.IPK_SYNC_ALIGNMENT), value)

        return cls(cls._make(name, None, offset, mode, unlink_on_close, fill=fill))

    @classmethod
    def open(cls, name: str | None = None, *, within: Any = None, offset: int = 0) -> Self:
        """Open the word of that name, or use the four bytes at that offset of memory of yours, whatever they are.

        Raises:
            NotFoundError: there is none of that name (ENOENT).
            AccessError: its mode forbids it (EACCES).
            LayoutError: there is something else of that name, or another layout version.
        """
        return cls(cls._find(name, None, offset) if within is None else _within(name, within, offset))

    # --- the word ---------------------------------------------------------------------------------------------------

    def load(self) -> int:
        """The word."""
        value: int = quick.ipk_futex_load(self._opened_word())
        return value

    def store(self, value: int) -> None:
        """Set the word; whoever sleeps on it sleeps on until `wake`."""
        quick.ipk_futex_store(self._opened_word(), check_int(value, "value", 0, _MAX, "32 bits"))

    def exchange(self, value: int) -> int:
        """Set the word; return what it was."""
        before: int = quick.ipk_futex_exchange(self._opened_word(), check_int(value, "value", 0, _MAX, "32 bits"))
        return before

    def compare_exchange(self, expected: int, desired: int) -> Exchanged:
        """Set the word to *desired* if it is *expected*; return whether it was, and what it was."""
        check_int(expected, "expected", 0, _MAX, "32 bits")
        check_int(desired, "desired", 0, _MAX, "32 bits")
        seen = quick.ipk_futex_compare_exchange(self._opened_word(), expected, desired)
        return Exchanged(seen == expected, seen)

    def fetch_add(self, delta: int = 1) -> int:
        """Add *delta*, which may be negative, modulo 2^32; return what the word was."""
        check_int(delta, "delta", _LEAST, _MAX, "32 bits")
        before: int = quick.ipk_futex_add(self._opened_word(), delta & _MAX)
        return before

    # --- its queue --------------------------------------------------------------------------------------------------

    def wait(self, expected: int, timeout: float | None = None, bitset: int = ANY) -> bool:
        """Sleep while the word is *expected*, until a wake-up.

        Args:
            expected: 0 to 4294967295.
            timeout: seconds; None waits for ever, 0 never waits.
            bitset: not 0; only wakes whose bitset has a bit in common reach this waiter.

        Returns:
            False if the word was something else from the first; True after a sleep. Look at the word again.

        Raises:
            TimeoutExpired: nobody woke it in that time (ETIMEDOUT).
        """
        check_int(expected, "expected", 0, _MAX, "32 bits")
        check_int(bitset, "bitset", 1, _MAX, "bits")
        deadline = Deadline.after(timeout)
        if quick.ipk_futex_load(self._opened_word()) != expected:
            return False
        rc = -errno.ETIMEDOUT
        with self._in_use():  # no name for the pointer here: a traceback would keep the memory
            while True:
                if deadline.expired or rc not in _GO_ON:
                    break
                rc = lib.ipk_futex_wait(self._word, expected, deadline.slice_end_ns(), bitset)
                self._check_open()
        if rc in _AWAKE:
            return True
        raise self._failure(-errno.ETIMEDOUT if rc in _GO_ON else rc, "futex")

    def wake(self, n: int = 1, bitset: int = ANY) -> int:
        """Wake at most *n* of those who sleep on the word, and whose bitset has a bit in common with *bitset*.

        Returns:
            How many there were.
        """
        check_int(n, "n", 0, _MAX, "waiters")
        check_int(bitset, "bitset", 1, _MAX, "bits")
        return check(quick.ipk_futex_wake(self._opened_word(), n, bitset), "futex", self._filename())

    def requeue(self, expected: int, to: Futex, *, wake: int = 1, move: int = _WAITERS_MAX) -> int:
        """Wake some of those who sleep on the word, and move others to the queue of another one: FUTEX_CMP_REQUEUE.

        So many need not run now, if they could only queue up there. A waiter that was moved sleeps there for what is
        left of its slice of 50 ms, until a wake of *to*, and then returns: it finds this word changed.

        Args:
            expected: what this word must be.
            to: the other one.
            wake: how many to wake.
            move: how many more to move, at most.

        Returns:
            How many were woken or moved.

        Raises:
            WouldBlockError: the word is not *expected* (EAGAIN).
        """
        check_int(expected, "expected", 0, _MAX, "32 bits")
        check_int(wake, "wake", 0, _WAITERS_MAX, "waiters")
        check_int(move, "move", 0, _WAITERS_MAX, "waiters")
        rc: int = quick.ipk_futex_requeue(self._opened_word(), expected, wake, move, to._opened_word())
        if rc == -errno.EAGAIN:
            remedy = f"the word is not {expected}: load it, and decide anew"
            raise syscall_error(errno.EAGAIN, "futex", self._filename(), remedy=remedy)
        if rc < 0:
            raise self._failure(rc, "futex")
        return rc

    @staticmethod
    def wait_any(futexes: Sequence[tuple[Futex, int]], timeout: float | None = None) -> int:
        """Sleep while every word is what is expected of it, until any is woken: futex_waitv(2).

        On a kernel without that call (before Linux 5.16), and for more than 128 words, all are looked at at intervals
        of 1 to 30 ms: a change is then seen so much later, and a wake-up without a change may not be seen.

        Args:
            futexes: words and what is expected of each, at least one.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            The index of a word that was woken, or is not as expected.

        Raises:
            TimeoutExpired: there was none in that time (ETIMEDOUT).
        """
        if not futexes:
            raise ValueError("futexes must be at least one: to wait for any of none would never end")
        deadline = Deadline.after(timeout)
        entries = ffi.new("struct ipk_futex_wait_entry[]", len(futexes))
        words = [futex._opened_word() for futex, _ in futexes]  # they keep the memory, whoever closes meanwhile
        try:
            for entry, word, (_, expected) in zip(entries, words, futexes, strict=True):
                entry.expected = check_int(expected, "expected", 0, _MAX, "32 bits")
                entry.address = int(ffi.cast("uintptr_t", word))
            while True:
                rc: int = lib.ipk_futex_wait_any(entries, len(entries), deadline.at_ns)
                if rc >= 0:
                    return rc
                for futex, _ in futexes:
                    futex._check_open()
                if rc in (-errno.EAGAIN, -errno.EINTR):
                    continue
                raise futexes[0][0]._failure(rc, "futex_waitv")
        finally:
            word = None
            words.clear()  # a traceback must not keep it

    # --- the rest of its life ---------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """The descriptor of the memory's file, to hand over to another process; it cannot be polled."""
        self._check_open()
        if self._within is None:
            return super().fileno()
        fd: int = self._within.fileno()
        return fd

    def _opened_word(self) -> Any:
        word = self._word
        if word is None:
            self._check_open()
        return word

    def _failure(self, rc: int, call: str) -> SyscallError:
        return syscall_error(-rc, call, self._filename())

    def _release(self) -> None:
        self._word = None
        super()._release()

    def _identity(self) -> tuple[int, int]:
        # Nothing in four bytes tells a word from another one.
        return super()._identity() if self._within is None else (0, 0)


def _within(name: str | None, within: Any, offset: int) -> Place:
    if name is not None:
        raise ValueError("name must be None where within is given: the word is found by its offset")
    if not isinstance(within, Handle) and not hasattr(within, "__buffer__"):
        memoryview(within).release()  # what is no buffer is a TypeError
    word = located(within, offset, Futex.SIZE, Futex.ALIGNMENT)
    return Place(word, None, "", within, offset, unlink=False)  # type: ignore[arg-type]  # nobody's life matters to it
