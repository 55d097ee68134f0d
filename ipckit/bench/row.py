"""What a row of the benchmark is: a `Channel` that carries messages one way, a `Lock`, a `Caller`, and others.

To add a primitive, put a file like this one into `ipckit/bench/suite`; the engine derives every measurement from it.
The objects are made in the orchestrating process and pickled to two fresh interpreters, as arguments of
`multiprocessing.Process`:

>>> from ipckit import SpscRing
>>> class SmallRing(Channel):
...     name = "my row"
...     about = "one line about it"
...
...     def __init__(self, size):
...         self.ring = SpscRing.create(capacity=2 * size)
...
...     def sender(self, _size):
...         return self.ring.send
...
...     def receiver(self, _size):
...         return self.ring.receive
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ipckit.bench.quantity import (
    ASLEEP,
    BESIDE,
    CALL,
    CALLS,
    DECODE,
    ENCODE,
    HANDOFF,
    IDLE,
    PAIR,
    READ,
    ROUNDTRIP,
    THROUGHPUT,
    WAKEUP,
    WRITE,
    Quantity,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ipckit.bench.structs import Struct


class Row:
    """A name, a line about it, and the life of its objects in the orchestrating process.

    The objects are attributes: what an attribute pickles to is all that the two processes share.
    """

    name: ClassVar[str] = ""
    about: ClassVar[str] = ""
    family: ClassVar[str] = ""
    """Rows of one family share a colour in the plots."""
    measures: ClassVar[tuple[Quantity, ...]] = ()

    @classmethod
    def answers(cls, quantity: Quantity) -> bool:
        """Whether *quantity* can be asked of this row."""
        return quantity in cls.measures

    def opened(self) -> None:
        """Both processes have the objects: unlink their names, so that not even SIGKILL leaves anything behind."""
        from ipckit._handle import NamedHandle  # not at the top: the measuring processes start without it

        for thing in vars(self).values():
            if isinstance(thing, NamedHandle) and thing.name:
                thing.unlink()

    def close(self) -> None:
        """Let go of the objects, and destroy what is still named; called on every way out.

        Here: close every attribute that can be closed. A handle is made with ``unlink_on_close=True`` for this.
        """
        for thing in vars(self).values():
            if close := getattr(thing, "close", None):
                close()


class Channel(Row):
    """Messages, or bare wake-ups, from one process to one other; for a round trip the engine makes two of them."""

    measures: ClassVar[tuple[Quantity, ...]] = (THROUGHPUT, ROUNDTRIP, WAKEUP)
    batch: ClassVar[int] = 1
    """How many messages one call carries; above 1, the sender takes and the receiver returns a list."""
    payload: ClassVar[bool] = True
    """Whether a message has content; without, one size stands for all."""

    def __init__(self, size: int, /) -> None:
        """Make the objects, in the orchestrating process, for messages of at most *size* bytes."""
        raise NotImplementedError

    @classmethod
    def answers(cls, quantity: Quantity) -> bool:
        """As `Row.answers`; whatever makes round trips can sleep, and whatever carries messages can do so beside."""
        if quantity is ASLEEP or quantity is IDLE:
            return ROUNDTRIP in cls.measures
        can = THROUGHPUT in cls.measures and cls.batch == 1
        return quantity in cls.measures or (quantity is BESIDE and can)

    def refuses(self, size: int, /) -> str | None:
        """Why messages of *size* bytes can't be carried; None if they can."""
        del size
        return None

    def sender(self, size: int, /) -> Callable[[Any], object]:
        """The callable that sends, in the sending process; it is timed, so wrap nothing round it without need."""
        raise NotImplementedError

    def receiver(self, size: int, /) -> Callable[[], Any]:
        """The callable that receives, in the receiving process."""
        raise NotImplementedError

    def data(self, received: Any, /) -> Any:
        """The content within what the receiver's callable returned."""
        return received


class Lock(Row):
    """A lock that two processes contend for."""

    measures: ClassVar[tuple[Quantity, ...]] = (PAIR, HANDOFF)

    def __init__(self) -> None:
        """Make the lock, unlocked, in the orchestrating process."""
        raise NotImplementedError

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        """The callables that acquire, waiting as long as it takes, and release."""
        raise NotImplementedError

    def pairs(self, count: int) -> int:
        """Nanoseconds of *count* times to acquire and release, after some more that are not timed."""
        from ipckit.bench.measurements import timed_pairs  # not at the top: the orchestrator has no use for it

        return timed_pairs(*self.calls(), count)


class OtherMemory(Row):
    """A way for one process to read and write the memory of the other, which takes no part and is not told."""

    measures: ClassVar[tuple[Quantity, ...]] = (READ, WRITE)

    def reader(self, pid: int, address: int, size: int, /) -> Callable[[], bytes]:
        """The callable that copies *size* bytes from *address* of the process *pid*."""
        raise NotImplementedError

    def writer(self, pid: int, address: int, /) -> Callable[[Any], object]:
        """The callable that copies bytes to *address* of the process *pid*."""
        raise NotImplementedError


class Coder(Row):
    """A way to write `ipckit.bench.structs.Struct` as XDR, in one process alone."""

    measures: ClassVar[tuple[Quantity, ...]] = (ENCODE, DECODE)

    def __init__(self) -> None:
        """Make nothing: the process that measures has all that it takes."""

    def calls(self) -> tuple[Callable[[list[Struct]], bytes], Callable[[bytes], list[Struct]]]:
        """The callables that encode and decode a list of structs."""
        raise NotImplementedError


class Caller(Row):
    """Calls of procedures from one process to a server in the other."""

    measures: ClassVar[tuple[Quantity, ...]] = (CALLS, CALL)

    def __init__(self) -> None:
        """Make nothing: the one process makes the server, the other is told where it is."""

    def serving(self) -> AbstractContextManager[str]:
        """Serve within the context, in the serving process; its value says where."""
        raise NotImplementedError

    def calling(self, where: str, data: bytes, /) -> AbstractContextManager[Callable[[], object]]:
        """The callable that makes one call and returns what came back, in the calling process; it is timed.

        Args:
            where: what `serving` said.
            data: for the procedure that sends it back; empty: the callable calls the one that takes and gives nothing.
        """
        raise NotImplementedError

    def trips(self, where: str, data: bytes, count: int, /) -> list[int]:
        """Nanoseconds of each of *count* calls, after some more that are not timed."""
        from ipckit.bench.call_loops import timed_calls  # not at the top: the orchestrator has no use for it

        with self.calling(where, data) as call:
            return timed_calls(call, data, count)
