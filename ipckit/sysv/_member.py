"""One semaphore of a System V set, as a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit._arguments import check_acquire, check_int
from ipckit._block import Block
from ipckit._wait import FOREVER, Deadline
from ipckit.sysv._set_lane import VALUE_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from ipckit.sysv.sem import SemaphoreSet


class SemaphoreMember(Block):
    """One semaphore of a set, used like `threading.Semaphore`. Its life is that of the set's handle.

    With ``undo`` it is a lock that the kernel frees if its process dies. Acquire and release it in the same process
    then: what one process took and another gave, the kernel would give once more when the first one ends.

    >>> from ipckit.sysv import SemaphoreSet
    >>> with SemaphoreSet.create(values=[1], remove_on_close=True) as one:
    ...     with one.member(0, undo=True) as lock:
    ...         lock.acquire(timeout=0.01), lock.value
    (False, 0)
    """

    __slots__ = ("_give", "_index", "_lane", "_op", "_set", "_take", "_undo")

    def __init__(self, of: SemaphoreSet, index: int, undo: bool) -> None:  # noqa: FBT001  # a pickle has no keywords
        self._set = of
        self._index = index
        self._undo = undo
        self._lane = of._lane
        self._op = of._lane.op
        self._take = ((index, -1),)
        self._give = ((index, 1),)

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:  # noqa: FBT001, FBT002  # threading's
        """Take a token, waiting for one.

        Args:
            blocking: False: take one if there is one now.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            False if there was no token in that time.

        Raises:
            ValueError: a timeout was given with ``blocking=False``.
            RemovedError: the set was removed (EIDRM).
        """
        if timeout is not None:
            check_acquire(blocking, timeout)
        result = self._op(self._take, self._undo)
        if not result:
            return True
        return self._set._done(result, self._take, self._undo, Deadline.after(timeout) if blocking else None)

    def try_acquire(self) -> bool:
        """Take a token if there is one now. Returns whether there was."""
        result = self._op(self._take, self._undo)
        return not result or self._set._done(result, self._take, self._undo, None)

    def release(self, n: int = 1) -> None:
        """Give *n* tokens, as one.

        Args:
            n: 1 to 32767.

        Raises:
            SyscallError: there would be more than 32767 (ERANGE).
        """
        give = self._give if n == 1 else ((self._index, check_int(n, "n", 1, VALUE_MAX, "tokens")),)
        result = self._op(give, self._undo)
        if result:
            self._set._done(result, give, self._undo, None)

    def wait_for_zero(self, timeout: float | None = None) -> None:
        """Wait until there is no token.

        Raises:
            TimeoutExpired: there always was one (ETIMEDOUT).
        """
        self._set.op(((self._index, 0),), timeout=timeout)

    @property
    def value(self) -> int:
        """The tokens there are now."""
        return self._set.value(self._index)

    def _enter_waiting(self, result: int) -> Self:
        self._set._done(result, self._take, self._undo, FOREVER)
        return self

    def _leave_failed(self, result: int) -> None:
        self._set._done(result, self._give, self._undo, None)

    def __repr__(self) -> str:
        return f"<SemaphoreMember {self._index} of {self._set!r}>"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (self._set, self._index, self._undo)
