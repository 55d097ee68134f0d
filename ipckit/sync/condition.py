"""A condition variable in shared memory, whose waiters and notifiers may die: native/include/ipckit/condition.h."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Literal

from ipckit._arguments import check_int
from ipckit._compiled import methods_in_c
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import FOREVER, PASSED, Deadline
from ipckit.errors import NotOwnerError, check, syscall_error
from ipckit.sync._inspected import inspected
from ipckit.sync._meeting_lane import CLOSED, NOTIFIED_HEIR, condition_lane_of
from ipckit.sync._object import failure
from ipckit.sync._on_mutex import OnMutex, check_arguments

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from typing_extensions import Self

    from ipckit.sync._home import Home
    from ipckit.sync._object import Make, Place
    from ipckit.sync._ownership import OnOwnerDeath
    from ipckit.sync.mutex import Mutex

    Result = TypeVar("Result")

_MOST = (1 << 32) - 1


class Waited:
    """What `Condition.wait` returns: true if it was notified; and whether an owner of the mutex died."""

    __slots__ = ("notified", "owner_died")

    def __init__(self, *, notified: bool, owner_died: bool) -> None:
        self.notified = notified
        self.owner_died = owner_died

    def __bool__(self) -> bool:
        return self.notified

    def __repr__(self) -> str:
        return f"Waited(notified={self.notified}, owner_died={self.owner_died})"


_NOTIFIED = Waited(notified=True, owner_died=False)


@methods_in_c
class Condition(OnMutex):
    """Wait until another process has changed what a mutex protects, and says so.

    Used like `threading.Condition`, between unrelated processes. It has a mutex of its own, in the same memory, or is
    for a `Mutex` of yours, which every process gives when it opens the condition; both travel together in a pickle.

    * A notification is for those who wait when it is given, the oldest first. Nobody who comes later can take it, and
      nobody else is woken. There is room for `waiters` of them; one more is a LimitError.
    * A waiter that is killed after it was notified, and before it noticed, leaves the notification to the oldest that
      lives, within some 50 ms. Notifiers, and owners of the mutex, may be killed anywhere, at that price.
    * Wake-ups for no reason are rare and possible: wait in a loop, or with `wait_for`.
    * After a wait the mutex is held again, however it ended. Was it inherited from an owner that died, then what
      `on_owner_death` of the mutex says happens: the result of `wait` has `owner_died`, or OwnerDiedError is raised
      with the mutex held, or all is called consistent. `wait_for` has no such result, and raises instead.

    Ordering: what was stored before a notification is seen after the wait, for both hold the mutex. A sleeper is woken
    when the notifier gives the mutex back, not before.

    Threads: safe to share; each waits for itself. fork(2): the child has the handle, and waits for nothing. `close`
    ends the waits of this handle with ClosedError; whoever waited with the condition's own mutex does not get it back
    then.

    >>> condition = Condition.create("/ipckit-doc-condition", unlink_on_close=True)
    >>> with condition:
    ...     condition.wait(timeout=0.01)
    False
    >>> with condition:
    ...     condition.notify_all()
    0
    >>> condition.close()
    """

    __slots__ = ("_lane", "_waiters")

    _KIND = lib.IPK_SYNC_CONDITION
    _WHAT = "condition"
    _NOTIFIED = _NOTIFIED

    def __init__(self, place: Place, mutex: Mutex | None = None, on_owner_death: OnOwnerDeath | None = None) -> None:
        super().__init__(place, mutex, on_owner_death)
        mutex = self._mutex
        mutex._check_open()
        self._lane = condition_lane_of(place.view, mutex._lane, recovers=mutex._policy == "recover")
        self._waiters: int = inspected(place).count

    @staticmethod
    def size(waiters: int) -> int:
        """Bytes that a condition for so many waiters takes within memory of yours, at a multiple of 64."""
        check_int(waiters, "waiters", 1, lib.IPK_CONDITION_MAX_WAITERS, "waiters at a time")
        bytes_: int = quick.ipk_sync_size(lib.IPK_SYNC_CONDITION, waiters)
        return bytes_

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        within: Any = None,
        offset: int = 0,
        mutex: Mutex | None = None,
        waiters: int = 64,
        recursive: bool = False,
        on_owner_death: OnOwnerDeath | None = None,
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Self:
        """Create a condition that nobody waits for, exclusively.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``. None: anonymous, for children
                and for whoever gets its descriptor.
            within: memory of yours to put it into instead, zeroed, `size` bytes of it, as for `Mutex.create`.
            offset: bytes from the beginning of *within*, a multiple of 64.
            mutex: the mutex that it is about; None: one of its own.
            waiters: how many may wait at a time, 1 to 4096; a waiter takes 64 bytes.
            recursive: of its own mutex: whether its owner may acquire it again.
            on_owner_death: of its own mutex, as for `Mutex.create`; "report" by default.
            mode: permission bits of the file, exactly, whatever the umask.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken, or there is an object at that offset (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        cls.size(waiters)
        if mutex is not None and recursive:
            raise ValueError("recursive is for a mutex of the condition's own: make the given one recursive")
        check_arguments(mutex, on_owner_death)
        given = ffi.NULL if mutex is None else mutex._opened()
        options = lib.IPK_MUTEX_RECURSIVE if recursive else 0

        def fill(made: tuple[Any, Any]) -> None:
            check(quick.ipk_condition_format(*made, given, options), "ipk_condition_format", name)

        place = cls._make(name, within, offset, mode, unlink_on_close, count=waiters, fill=fill)
        return cls(place, mutex, on_owner_death)

    @classmethod
    def _format(cls, memory: Any, home: Home, make: Make) -> None:
        # The mutex within needs to know whose it is.
        super()._format(memory, home, make._replace(fill=lambda place: make.fill((place, home.member))))

    @classmethod
    def open(
        cls,
        name: str | None = None,
        *,
        within: Any = None,
        offset: int = 0,
        mutex: Mutex | None = None,
        on_owner_death: OnOwnerDeath | None = None,
    ) -> Self:
        """Open the condition of that name, or at that offset of memory of yours; arguments as for `create`.

        Raises:
            NotFoundError: there is none (ENOENT).
            AccessError: its mode forbids it (EACCES).
            LayoutError: there is something else, or another layout version.
            ValueError: *mutex* is not the one that it was created for.
        """
        check_arguments(mutex, on_owner_death)
        return cls(cls._find(name, within, offset), mutex, on_owner_death)

    @property
    def waiters(self) -> int:
        """How many may wait at a time."""
        return self._waiters

    @property
    def n_waiting(self) -> int:
        """How many wait at this moment and have not been notified, those who died not long ago included."""
        waiting: int = quick.ipk_condition_waiters(self._opened())
        return waiting

    def wait(self, timeout: float | None = None) -> Waited | Literal[False]:
        """Give the mutex back, however often it was acquired; wait to be notified; take it again.

        Args:
            timeout: seconds; None waits for ever, 0 never waits and keeps the mutex. To have the mutex back may take
                longer.

        Returns:
            Something true when notified, and false if that was not to be in that time.

        Raises:
            NotOwnerError: this thread does not hold the mutex; a RuntimeError, as in `threading`.
            LimitError: `waiters` wait already (ENOSPC).
            OwnerDiedError: the mutex is ours, its last owner died, and its policy is "raise" (EOWNERDEAD).
            NotRecoverableError: the mutex was lost meanwhile (ENOTRECOVERABLE); it is not ours.
        """
        deadline = FOREVER if timeout is None else Deadline.after(timeout)
        return self._sleep(deadline)

    def wait_for(self, predicate: Callable[[], Result], timeout: float | None = None) -> Result:
        """Wait until *predicate*, called with the mutex held, is true, or the time is up; return what it said last.

        Raises:
            OwnerDiedError: as `wait`, and also where the policy is "report" (EOWNERDEAD).
        """
        deadline = FOREVER if timeout is None else Deadline.after(timeout)
        self._check_owner("wait_for")
        while not (result := predicate()) and not deadline.expired:
            got = self._sleep(deadline)
            if got is not False and got.owner_died and self._mutex._policy == "report":
                remedy = "the mutex is yours: mark_consistent(), release()"
                raise syscall_error(errno.EOWNERDEAD, "wait_for", self._filename(), remedy=remedy)
        return result

    def notify(self, n: int = 1) -> int:
        """Wake the *n* processes or threads that have waited longest, or fewer if fewer wait.

        Returns:
            How many were notified.

        Raises:
            NotOwnerError: this thread does not hold the mutex.
        """
        if n != 1:
            check_int(n, "n", 0, _MOST, "waiters to notify")
        given = self._lane.notify(n)
        if given < 0:
            raise self._refused(given, "notify")
        return given

    def notify_all(self) -> int:
        """Wake all who wait; they get the mutex one after the other. Returns how many there are."""
        return self.notify(_MOST)

    def _sleep(self, deadline: Deadline) -> Waited | Literal[False]:
        if deadline is PASSED:
            self._check_owner("wait")
            return False
        self._check_both()
        return self._waited(self._lane.wait(deadline.at_ns))

    def _waited(self, rc: int) -> Waited | Literal[False]:
        """What `wait` returns or raises for what its lane returned."""
        if rc in {0, 1}:
            return _NOTIFIED if rc else False
        if rc in {-errno.EOWNERDEAD, NOTIFIED_HEIR}:
            self._mutex._inherited()
            return Waited(notified=rc == NOTIFIED_HEIR, owner_died=True)
        if rc == -errno.ENOTRECOVERABLE:
            raise self._mutex._refused(rc, "acquire")
        raise self._refused(rc, "wait")

    def _check_both(self) -> None:
        if self._closed or self._mutex._closed:
            self._check_open()
            self._mutex._check_open()

    def _check_owner(self, call: str) -> None:
        self._opened()
        if not quick.ipk_mutex_mine(self._mutex._opened()):
            raise self._refused(-errno.EPERM, call)

    def _refused(self, rc: int, call: str) -> Exception:
        self._check_both()
        if rc == -errno.EPERM:
            return NotOwnerError(f"cannot {call} at {self!r}: this thread does not hold its mutex")
        if rc == -errno.ENOSPC:
            remedy = f"{self._waiters} wait already: create it with more waiters"
            return syscall_error(errno.ENOSPC, call, self._filename(), remedy=remedy)
        return failure(rc, call, self._filename())

    def _release(self) -> None:
        lane, self._lane = self._lane, CLOSED
        lane.close()
        super()._release()
