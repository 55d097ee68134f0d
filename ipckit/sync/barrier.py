"""A barrier in shared memory that breaks when a party dies: native/include/ipckit/barrier.h."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ipckit._arguments import check_int
from ipckit._compiled import methods_in_c
from ipckit._native import lib
from ipckit._native_quick import lib as quick
from ipckit._wait import FOREVER, Deadline
from ipckit.errors import BrokenBarrierError
from ipckit.sync._inspected import inspected
from ipckit.sync._meeting_lane import ACT, CLOSED, Wait, barrier_lane_of, new_wait
from ipckit.sync._object import Place, SyncHandle, failure
from ipckit.sync._ownership import AGAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self


@methods_in_c
class Barrier(SyncHandle):
    """So many parties wait for one another, again and again: nobody passes before all have come.

    Used like `threading.Barrier`, between unrelated processes. It **breaks for all** who wait, and who come later,
    until somebody calls `reset`: when a wait's time is up, when a wait ends by an exception or because its handle was
    closed, by `abort`, and when a party dies: one that waits, or one that took part in the last round and has not come
    again, for whom the others would wait for ever. They learn of a death within some 50 ms. A process that took part,
    and shall not come again, closes its handle; its end without that is as its death.

    Ordering: what any party stored before its wait is seen by all after theirs. The last party's arrival is one step
    for all: those who wait have all passed, or none has.

    Threads: safe to share; a party is a thread. fork(2): the child has the handle, and has taken part in nothing.

    >>> with Barrier.create("/ipckit-doc-barrier", parties=1, unlink_on_close=True) as barrier:
    ...     barrier.wait(), barrier.wait(timeout=1.0)
    (0, 0)
    """

    __slots__ = ("_action", "_lane", "_parties", "_spares")

    _KIND = lib.IPK_SYNC_BARRIER
    _OPTIONS = frozenset({"action"})
    _WHAT = "barrier"

    def __init__(self, place: Place, action: Callable[[], object] | None = None) -> None:
        super().__init__(place)
        self._action = action
        self._lane = barrier_lane_of(place.view)
        self._spares: list[Wait] = []
        self._parties: int = inspected(place).count

    @staticmethod
    def size(parties: int) -> int:
        """Bytes that a barrier for so many parties takes within memory of yours, at a multiple of 64."""
        check_int(parties, "parties", 1, lib.IPK_BARRIER_MAX_PARTIES, "parties that wait for one another")
        bytes_: int = quick.ipk_sync_size(lib.IPK_SYNC_BARRIER, parties)
        return bytes_

    @classmethod
    def create(  # type: ignore[override]  # how many parties, nobody can guess
        cls,
        name: str | None = None,
        *,
        parties: int,
        action: Callable[[], object] | None = None,
        within: Any = None,
        offset: int = 0,
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Self:
        """Create a barrier that nobody waits at, exclusively.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``. None: anonymous, for children
                and for whoever gets its descriptor.
            parties: how many wait for one another, 1 to 4096; a party takes 64 bytes.
            action: called by the last party to come, before any passes; of this handle, and it travels in its pickle.
                If it raises, the barrier is broken.
            within: memory of yours to put it into instead, zeroed, `size` bytes of it, as for `Mutex.create`.
            offset: bytes from the beginning of *within*, a multiple of 64.
            mode: permission bits of the file, exactly, whatever the umask.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken, or there is an object at that offset (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        cls.size(parties)
        return cls(cls._make(name, within, offset, mode, unlink_on_close, count=parties), action)

    @classmethod
    def open(
        cls,
        name: str | None = None,
        *,
        within: Any = None,
        offset: int = 0,
        action: Callable[[], object] | None = None,
    ) -> Self:
        """Open the barrier of that name, or at that offset of memory of yours; arguments as for `create`.

        Raises:
            NotFoundError: there is none (ENOENT).
            AccessError: its mode forbids it (EACCES).
            LayoutError: there is something else, or another layout version.
        """
        return cls(cls._find(name, within, offset), action)

    @property
    def parties(self) -> int:
        """How many wait for one another."""
        return self._parties

    @property
    def n_waiting(self) -> int:
        """How many wait at this moment."""
        waiting: int = quick.ipk_barrier_waiting(self._opened())
        return waiting

    @property
    def broken(self) -> bool:
        """Whether nobody passes until `reset`."""
        return bool(quick.ipk_barrier_broken(self._opened()))

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all parties have come.

        Args:
            timeout: seconds, after which the barrier is broken for all; None waits for ever, 0 never waits.

        Returns:
            How many had come before: 0 to `parties` - 1, another number for each.

        Raises:
            BrokenBarrierError: the barrier is broken, was reset, or our time is up.
        """
        deadline = FOREVER if timeout is None else Deadline.after(timeout)
        # As `with self._in_use():` does, for a fifth of its time; `append` would let a signal handler raise behind it.
        self._users += (self._here,)
        try:
            self._check_open()
            try:
                wait = self._spares.pop()
            except IndexError:
                wait = self._new_wait()
            try:
                rc = self._lane.arrive(wait.address, deadline.at_ns)
                if rc < 0 or rc == ACT:
                    rc = self._further(rc, wait, deadline)
            except BaseException:
                quick.ipk_barrier_leave(self._view, wait.struct)
                raise
            self._spares.append(wait)
        finally:
            self._users.pop()
            if self._closed:
                self._release_unless_used()
        if rc < 0:
            raise self._refused(rc, "wait")
        return rc

    def reset(self) -> None:
        """Make the barrier whole and empty; whoever waits gets BrokenBarrierError. Nobody is missed any more."""
        self._end(reset=True)

    def abort(self) -> None:
        """Break the barrier: whoever waits gets BrokenBarrierError, and whoever comes, until `reset`."""
        self._end(reset=False)

    def _new_wait(self) -> Wait:
        """What one wait needs; to make it takes as long as the rest of a wait that need not sleep."""
        wait = new_wait()
        wait.struct.acts = self._action is not None
        return wait

    def _further(self, rc: int, wait: Wait, deadline: Deadline) -> int:
        """Wait on after a slice, and act if we are the last."""
        rc = self._waited(rc, wait, deadline)
        if rc != ACT:
            return rc
        assert self._action is not None
        self._action()
        rc = quick.ipk_barrier_release(self._view, wait.struct)
        if rc == -errno.EAGAIN:
            rc = self._waited(rc, wait, FOREVER)
        index: int = wait.struct.index
        return rc if rc < 0 else index

    def _waited(self, rc: int, wait: Wait, deadline: Deadline) -> int:
        while rc in AGAIN:
            self._check_open()
            rc = self._lane.wait(wait.address, deadline.at_ns)
        return rc

    def _end(self, *, reset: bool) -> None:
        self._check_open()
        with self._in_use():
            while True:
                rc = lib.ipk_barrier_end(self._view, reset)
                if rc not in AGAIN:
                    break
                self._check_open()
        if rc < 0:
            raise self._refused(rc, "reset" if reset else "abort")

    def _refused(self, rc: int, call: str) -> Exception:
        self._check_open()
        if rc == -errno.ETIMEDOUT:
            return BrokenBarrierError(f"the time given is up, and {self!r} broken for it; reset() makes it whole")
        if rc == -errno.ECANCELED:
            return BrokenBarrierError(
                f"{self!r} is broken, or was reset: a wait was given up, a party died, or abort() was called; "
                "reset() makes it whole"
            )
        return failure(rc, call, self._filename())

    def _release(self) -> None:
        lane, self._lane = self._lane, CLOSED
        lane.close()
        quick.ipk_barrier_forget(self._view)
        super()._release()

    def _how(self) -> dict[str, Any]:
        return {} if self._action is None else {"action": self._action}
