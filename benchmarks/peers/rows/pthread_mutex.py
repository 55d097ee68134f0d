"""The C library's robust mutex, in C: what a lock that knows of its owner's death costs without Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cffi import FFI

from benchmarks.peers.rows._compiled import compiled
from ipckit.bench.measurements import warm_up
from ipckit.bench.row import Lock
from ipckit.posix.shm import SharedMemory

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = Path(__file__).with_suffix(".c")
FUNCTIONS = """
size_t mutex_size(void);
int mutex_make(void *place);
int mutex_acquire(void *place);
int mutex_release(void *place);
long long mutex_pairs(void *place, long long count);
"""


class RobustMutex(Lock):
    """The pairs are counted in C; the hand-off is called for from Python, as that of the others."""

    name = "pthread mutex (C)"
    about = "pthread_mutex_t, robust and for several processes: pairs in a loop in C, the hand-off through cffi"
    family = "pthread"

    def __init__(self) -> None:
        self.library = str(compiled(SOURCE, "-shared", "-fPIC"))
        functions = self._functions()[1]
        self.memory = SharedMemory.create(size=functions.mutex_size(), unlink_on_close=True)
        functions.mutex_make(self._place())

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        functions, place = self._functions()[1], self._place()
        return lambda: functions.mutex_acquire(place), lambda: functions.mutex_release(place)

    def pairs(self, count: int) -> int:
        functions, place = self._functions()[1], self._place()
        functions.mutex_pairs(place, warm_up(count))
        return int(functions.mutex_pairs(place, count))

    def _functions(self) -> tuple[FFI, Any]:
        ffi = FFI()
        ffi.cdef(FUNCTIONS)
        return ffi, ffi.dlopen(self.library)

    def _place(self) -> Any:
        return FFI().from_buffer(self.memory.buf)
