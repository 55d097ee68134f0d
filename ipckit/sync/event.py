"""Events in shared memory, manual-reset and auto-reset: native/include/ipckit/event.h."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from ipckit._arguments import check_timeout
from ipckit._compiled import methods_in_c
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import NEVER_NS, PASSED, Deadline
from ipckit.sync._event_lane import CLOSED, lane_of
from ipckit.sync._object import Place, SyncHandle, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self


@methods_in_c
class Event(SyncHandle):
    """Something that has happened, or not yet; whoever waits for it is woken.

    Used like `threading.Event`, between unrelated processes. A **manual-reset** event, as there, stays set until
    `clear`, and `set` releases all who wait, also if `clear` follows at once. An **auto-reset** event goes back when
    one waiter has consumed it: `set` releases exactly one, now or later, and several sets before that count as one.
    Both are those of Windows NT. (Its PulseEvent is not offered: whoever is just between two sleeps misses a pulse,
    there and anywhere. ``set(); clear()`` misses nobody.)

    Ordering: what was done before a `set` is seen by whoever finds the event set, or consumes it.

    Nobody owns an event, so nobody's death leaves it wrong. A waiter that is woken and killed before it consumed leaves
    the event set, and another one finds it within 50 ms. Waiting spins for about as long as a wake-up takes, if the
    last setter runs on another CPU, and then sleeps in futex(2).

    Threads: safe to share, and lock-free: `set`, `clear` and `is_set` may be called in a signal handler, also one that
    interrupts a wait for the same event. fork(2): the child has the handle.

    >>> with Event.create("/ipckit-doc-event", auto_reset=True, unlink_on_close=True) as event:
    ...     event.wait(timeout=0), event.set(), event.wait(), event.is_set()
    (False, None, True, False)
    """

    __slots__ = ("_auto_reset", "_lane")

    _KIND = lib.IPK_SYNC_EVENT
    _WHAT = "event"

    SIZE: Final[int] = lib.IPK_EVENT_SIZE
    """Bytes that an event takes within memory of yours, at a multiple of 64."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._lane = lane_of(place.view)
        self._auto_reset = bool(quick.ipk_event_auto_reset(place.view))

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        auto_reset: bool = False,
        within: Any = None,
        offset: int = 0,
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Self:
        """Create an event that is not set, exclusively.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``. None: anonymous, for children
                and for whoever gets its descriptor.
            auto_reset: whether one waiter consumes it.
            within: memory of yours to put it into instead, zeroed, as for `Mutex.create`.
            offset: bytes from the beginning of *within*, a multiple of 64.
            mode: permission bits of the file, exactly, whatever the umask.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken, or there is an object at that offset (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        options = lib.IPK_EVENT_AUTO_RESET if auto_reset else 0
        return cls(cls._make(name, within, offset, mode, unlink_on_close, options=options))

    @property
    def auto_reset(self) -> bool:
        """Whether one waiter consumes it."""
        return self._auto_reset

    def set(self) -> None:
        """Set it, and wake whoever waits: all, or one if it is auto-reset. Never waits."""
        if self._lane.set():
            self._check_open()

    def clear(self) -> None:
        """Make it not set. Never waits."""
        if self._lane.clear():
            self._check_open()

    def is_set(self) -> bool:
        """Whether it is set now; consumes nothing."""
        found = self._lane.is_set()
        if found < 0:
            self._check_open()
        return found > 0

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; consume it if it is auto-reset.

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            False if it was not set in that time.
        """
        at_ns = NEVER_NS
        if timeout is not None:
            check_timeout(timeout)
            if not self._lane.take():
                return True
            at_ns = Deadline.after(timeout).at_ns  # the clock is read only now: nothing has waited yet
        rc = self._lane.wait(at_ns)
        if rc and rc != -errno.ETIMEDOUT:
            raise self._refused(rc, "wait")
        return not rc

    @staticmethod
    def wait_any(events: Sequence[Event], timeout: float | None = None) -> list[Event]:
        """Wait until any of the events is set, and consume all auto-reset ones that are.

        Each event is consumed by itself: others may see one of them consumed and the next one not yet. Up to 128 events
        a set wakes the waiter at once; of more, and on a kernel without futex_waitv(2) (before Linux 5.16), all are
        looked at at intervals of 1 to 30 ms.

        Args:
            events: at least one.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            Those that were set, in their order; none if none was set in that time.
        """
        choices = _wait(events, timeout, quick.ipk_event_take_any, lib.ipk_event_wait_any, distinct=False)
        return [event for event, choice in zip(events, choices or (), strict=False) if choice.taken]

    @staticmethod
    def wait_all(events: Sequence[Event], timeout: float | None = None) -> bool:
        """Wait until all of the events are set at once, and consume the auto-reset ones: all, or none.

        They are consumed one after the other. If one is gone meanwhile, those that were consumed are set again: for
        that moment, others find them clear, and a process that is killed in it has consumed them. A manual-reset event
        may be cleared as the call returns.

        Args:
            events: at least one, and none twice.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            False if they were not all set at once in that time.
        """
        choices = _wait(events, timeout, quick.ipk_event_take_all, lib.ipk_event_wait_all, distinct=True)
        return choices is not None

    def _refused(self, rc: int, call: str) -> Exception:
        self._check_open()
        return failure(rc, call, self._filename())

    def _release(self) -> None:
        lane, self._lane = self._lane, CLOSED
        lane.close()
        super()._release()


def _wait(
    events: Sequence[Event],
    timeout: float | None,
    take: Callable[[Any, int], int],
    wait: Callable[[Any, int, int], int],
    *,
    distinct: bool,
) -> Any:
    """The choices after the wait, or None when the time is up."""
    if not events:
        raise ValueError("events must be at least one: to wait for none has no end, or none to begin with")
    deadline = Deadline.after(timeout)
    try:
        count = len(events)
        views = [event._opened() for event in events]  # they keep the memory, whoever closes a handle meanwhile
    except (AttributeError, TypeError):
        raise TypeError(f"events must be a list of Events of ipckit.sync, not {events!r}") from None
    choices = ffi.new("struct ipk_event_choice[]", count)
    try:
        for index, view in enumerate(views):
            choices[index].event = view
        if quick.ipk_event_begin(choices, count, distinct):
            raise ValueError("events must not have one twice: it can't be consumed twice at once")
        rc = take(choices, count)
        while True:
            if rc != -errno.EAGAIN or deadline is PASSED:
                break
            rc = wait(choices, count, deadline.at_ns)
            for event in events:
                event._check_open()
    except BaseException:
        quick.ipk_event_give_back(choices, count)
        raise
    finally:
        view = None
        views.clear()  # a traceback must not keep it
    return None if rc < 0 else choices
