"""The contexts of multiprocessing, with locks and queues of ours: one for each start method, and the default one."""

# ruff: noqa: N802  # the names are those of the standard library

from __future__ import annotations

import multiprocessing as _standard
from multiprocessing import context
from typing import TYPE_CHECKING, Any, overload

from ipckit.compat import multiprocessing as ours

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing import queues
    from typing import Literal

    from ipckit.compat._synchronize import Lockable


class Context(context.BaseContext):
    """What `get_context` gives. Whatever is not here is the standard library's, of the same start method."""

    def Lock(self) -> ours.Lock:  # type: ignore[override]
        """A lock that any thread of any process may release."""
        return ours.Lock()

    def RLock(self) -> ours.RLock:  # type: ignore[override]
        """A lock that its owner may acquire again."""
        return ours.RLock()

    def Condition(self, lock: Lockable | None = None) -> ours.Condition:  # type: ignore[override]
        """A condition of a Lock or RLock of ours, or of an RLock of its own."""
        return ours.Condition(lock)

    def Semaphore(self, value: int = 1) -> ours.Semaphore:  # type: ignore[override]
        """A semaphore with so many permits."""
        return ours.Semaphore(value)

    def BoundedSemaphore(self, value: int = 1) -> ours.BoundedSemaphore:  # type: ignore[override]
        """A semaphore that never has more permits than these."""
        return ours.BoundedSemaphore(value)

    def Event(self) -> ours.Event:  # type: ignore[override]
        """An event that is not set."""
        return ours.Event()

    def Barrier(  # type: ignore[override]
        self, parties: int, action: Callable[[], object] | None = None, timeout: float | None = None
    ) -> ours.Barrier:
        """A barrier that nobody waits at."""
        return ours.Barrier(parties, action, timeout)

    def Queue(self, maxsize: int = 0) -> ours.Queue[Any]:  # type: ignore[override]
        """A queue of *maxsize* items; 0: of any number."""
        return ours.Queue(maxsize)

    def JoinableQueue(self, maxsize: int = 0) -> ours.JoinableQueue[Any]:  # type: ignore[override]
        """A queue that knows how many of its items are still being worked at."""
        return ours.JoinableQueue(maxsize)

    def SimpleQueue(self) -> queues.SimpleQueue[Any]:
        """The standard library's: its Pool and its ProcessPoolExecutor wait for the pipe that they know to be in it."""
        return _standard.get_context(self.get_start_method()).SimpleQueue()

    @overload
    def get_context(self, method: None = None) -> DefaultContext: ...
    @overload
    def get_context(self, method: Literal["spawn"]) -> SpawnContext: ...
    @overload
    def get_context(self, method: Literal["fork"]) -> ForkContext: ...
    @overload
    def get_context(self, method: Literal["forkserver"]) -> ForkServerContext: ...
    @overload
    def get_context(self, method: str) -> context.BaseContext: ...
    def get_context(self, method: str | None = None) -> context.BaseContext:
        """The context of a start method; None: this one."""
        found = self._found(method)
        return _CONTEXTS.get(type(found), found)

    def _found(self, method: str | None) -> context.BaseContext:
        """This one, or one of the standard library's."""
        return super().get_context(method)


class ForkContext(Context, context.ForkContext):
    """The context of the start method fork."""


class SpawnContext(Context, context.SpawnContext):
    """The context of the start method spawn."""


class ForkServerContext(Context, context.ForkServerContext):
    """The context of the start method forkserver."""


class DefaultContext(Context, context.DefaultContext):
    """The context of the start method that is set, here or in the standard library: they have one between them."""

    def _found(self, method: str | None) -> context.BaseContext:
        return _standard.get_context(method)


_CONTEXTS = {
    context.ForkContext: ForkContext(),
    context.SpawnContext: SpawnContext(),
    context.ForkServerContext: ForkServerContext(),
}

_default = DefaultContext(context._default_context)
get_context = _default.get_context
Array = _default.Array
Value = _default.Value
