"""Which words of memory a thread waits for: futex(2), futex_waitv(2)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from ipckit._syscalls import name_of_number, numbers
from ipckit.inspect._processes.calls import calls
from ipckit.inspect._processes.process_memory import memory_of
from ipckit.inspect._processes.procfs import read_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit._syscalls import Call

_PRIVATE = 128  # FUTEX_PRIVATE_FLAG, FUTEX2_PRIVATE
_CLOCK = 256  # FUTEX_CLOCK_REALTIME
_OPERATIONS = {0: "wait", 6: "lock_pi", 9: "wait_bitset", 11: "wait_requeue_pi", 13: "lock_pi2"}
_INT = 0xFFFFFFFF
_ENTRY = struct.Struct("=QQII")  # struct futex_waitv: val, uaddr, flags, reserved
_MOST = 128  # FUTEX_WAITV_MAX


class Word(NamedTuple):
    """A word that a thread waits for.

    Attributes:
        operation: such as "wait_bitset" or "waitv".
        address: where it lies in the process; None where that could not be seen.
        private: whether the thread said that no other process waits for it.
    """

    operation: str
    address: int | None
    private: bool


class FutexCalls:
    """Finds the threads that wait on futexes.

    Raises:
        UnsupportedError: the numbers of this architecture's calls are not known (ENOSYS).
    """

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names = {number: name_of_number(number) for number in numbers(("futex", "futex_waitv"))}

    def of(self, pid: int) -> Iterator[tuple[int, list[Word]]]:
        """The threads of a process that wait, each with what it waits for.

        Raises:
            PermissionError: it takes the right to ptrace the process.
        """
        for tid, call in calls(pid):
            words = self._words(pid, tid, call)
            if words:
                yield tid, words

    def _words(self, pid: int, tid: int, call: Call) -> list[Word]:
        name, arguments = self._names.get(call.number), call.arguments
        if name == "restart_syscall":  # what a wait with a timeout becomes after SIGSTOP; the registers stay
            name = "futex" if _sleeps_in_futex(pid, tid) else None
        if name == "futex":
            operation = _OPERATIONS.get(arguments[1] & _INT & ~(_PRIVATE | _CLOCK))
            return [Word(operation, arguments[0], bool(arguments[1] & _PRIVATE))] if operation else []
        if name == "futex_wait":
            return [Word("wait_bitset", arguments[0], bool(arguments[3] & _PRIVATE))]
        return _vector(pid, arguments[0], arguments[1] & _INT) if name == "futex_waitv" else []


def _sleeps_in_futex(pid: int, tid: int) -> bool:
    try:
        return b"futex" in read_path(f"/proc/{pid}/task/{tid}/wchan")
    except OSError:
        return False


def _vector(pid: int, address: int, count: int) -> list[Word]:
    data = memory_of(pid, address, min(count, _MOST) * _ENTRY.size) if count else None
    if data is None:
        return [Word("waitv", None, private=False)]
    return [Word("waitv", uaddr, bool(flags & _PRIVATE)) for _, uaddr, flags, _ in _ENTRY.iter_unpack(data)]
