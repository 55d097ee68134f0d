"""Kill a process after each instruction of an operation, and see the others go on: ptrace(2)."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit._native import ffi
from ipckit._native import lib as blocking
from ipckit._native_quick import lib as quick
from ipckit.errors import TimeoutExpired, check
from ipckit.posix.shm import SharedMemory
from ipckit.testing.checkpoints import pause
from ipckit.testing.spawning import spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ipckit.testing.children import Child

_ADDRESSES = 16  # bytes: where the markers are in the child
_PATIENCE_NS = 20_000_000_000


class KillSweep(NamedTuple):
    """What `kill_sweep` did."""

    kills: int
    """victims, each killed at another place"""
    instructions: int
    """of the operation, in its last run"""
    slowest: float
    """seconds: the longest that `survive` took"""


def kill_sweep(
    operate: Callable[..., object],
    *,
    arrange: Callable[[], Sequence[Any]],
    survive: Callable[..., object],
    watch: Callable[..., memoryview] | None = None,
    unblock: Callable[..., object] | None = None,
) -> KillSweep:
    """Run *operate* in a child again and again; kill it each time at another place, and have others *survive* it.

    The child is stepped instruction by instruction, interpreter and all. It is killed at the start, after each system
    call that it makes, in each that it sleeps in, after each instruction that changed the watched memory, and at the
    end; kills between two such places would leave the same behind. The last victim is let go, and ends by itself.

    Args:
        operate: what the victim does; a function at the top level of a module. It may be some ten thousand
            instructions long: one run takes about a second per twenty thousand.
        arrange: makes what the operation works on, anew for each victim; its results are the arguments of all others.
        survive: called when the victim is dead; it raises if something is wrong, and should close what was arranged.
        watch: returns the memory whose changes count, which is released before `survive`; None: system calls count.
        unblock: ends a system call in which the victim sleeps; needed only if it comes to that.

    Raises:
        ChildFailed: *operate* raised.
        UnsupportedError: a machine whose instructions ipckit doesn't know (EOPNOTSUPP).
        AccessError: to trace one's own children is forbidden (EPERM): see ptrace_scope in ptrace(2).

    >>> from ipckit.posix import SharedMemory
    >>> def survive(memory: SharedMemory) -> None:
    ...     assert bytes(memory.buf[:4]) in (b"old.", b"new.")
    ...     memory.close()
    >>> def arrange() -> list[SharedMemory]:
    ...     memory = SharedMemory.create(size=4096, unlink_on_close=True)
    ...     memory.buf[:4] = b"old."
    ...     return [memory]
    >>> from ipckit.testing.killing import overwrite
    >>> kill_sweep(overwrite, arrange=arrange, survive=survive, watch=lambda memory: memory.buf[:64]).kills
    3
    """
    kills = 0
    slowest = 0.0
    while True:
        arranged = arrange()
        victim = _Victim(operate, arranged, watch, unblock)
        killed = victim.kill_at(kills)
        start = time.monotonic()
        survive(*arranged)
        slowest = max(slowest, time.monotonic() - start)
        if not killed:
            return KillSweep(kills, victim.step.steps, slowest)
        kills += 1


def overwrite(memory: SharedMemory) -> None:
    """What the example of `kill_sweep` kills."""
    memory.buf[:4] = b"new."


class _Victim:
    def __init__(
        self,
        operate: Callable[..., object],
        arranged: Sequence[Any],
        watch: Callable[..., memoryview] | None,
        unblock: Callable[..., object] | None,
    ) -> None:
        self.step = ffi.new("struct ipk_step *")
        self._operate = operate
        self._arranged = arranged
        self._watch = watch
        self._unblock = unblock

    def kill_at(self, place: int) -> bool:
        """Kill it at that place; return whether it came there, or had completed before."""
        with (
            SharedMemory.create(size=_ADDRESSES, unlink_on_close=True) as addresses,
            spawn(_be_stepped, self._operate, tuple(self._arranged), addresses) as child,
            self._watch(*self._arranged) if self._watch else memoryview(b"") as watched,
        ):
            child.wait_reached("ready")
            begin, end = struct.unpack("=QQ", addresses.buf)
            self._bring_to(child, begin)
            with ffi.from_buffer(watched) as memory:
                came = self._step_to(child, place, end, memory)
            if came:
                child.kill()
                child.join()
            else:
                self._check(child, blocking.ipk_step_let_go(child.pid))
                child.result()
        return came

    def _bring_to(self, child: Child, address: int) -> None:
        self._check(child, blocking.ipk_step_seize(child.pid, self.step))
        child.resume("ready")
        deadline = time.monotonic_ns() + _PATIENCE_NS
        self._check(child, blocking.ipk_step_run_to(child.pid, self.step, address, deadline))

    def _step_to(self, child: Child, place: int, end: int, memory: Any) -> bool:
        last = ffi.from_buffer(bytearray(ffi.buffer(memory)))
        places = 0
        while places < place:
            if self.step.address == end:
                return False
            rc = blocking.ipk_step_to_change(child.pid, self.step, end, memory, last, len(memory))
            places += 1
            if self._check(child, rc) == quick.IPK_STEP_BLOCKED and places < place:
                self._wait_out(child)
                places += 1
        return True

    def _wait_out(self, child: Child) -> None:
        if self._unblock is not None:
            self._unblock(*self._arranged)
        deadline = time.monotonic_ns() + _PATIENCE_NS
        rc = self._check(child, blocking.ipk_step_wait(child.pid, self.step, deadline))
        if rc == quick.IPK_STEP_BLOCKED:
            raise TimeoutExpired(0, "the victim sleeps, and unblock did not end it", f"process {child.pid}")

    def _check(self, child: Child, rc: int) -> int:
        check(rc, "ptrace", f"process {child.pid}")
        if rc == quick.IPK_STEP_ENDED:
            child.join()  # raises what the operation raised
            raise RuntimeError(f"the operation ended the process after {self.step.steps} instructions")
        return rc


def _be_stepped(operate: Callable[..., object], args: tuple[Any, ...], addresses: SharedMemory) -> None:
    struct.pack_into("=QQ", addresses.buf, 0, quick.ipk_step_begins_at(), quick.ipk_step_ends_at())
    pause("ready")
    quick.ipk_step_begin()
    try:
        operate(*args)
    finally:
        quick.ipk_step_end()
