"""Rows for loads that few primitives are made for: objects, arrays, many to many, broadcast.

They are no part of the installed suite, which compares everything with everything; a program that compares a few gives
them to the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ipckit.bench.quantity import ARRAY, CROWD, FAN_COST, FAN_RATE, OBJECTS, Quantity
from ipckit.bench.row import Channel, Row

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL_DICT = {"id": 4711, "name": "worker-7", "done": True, "scores": [0.25, 0.5, 1.0], "next": None}


class Objects(Channel):
    """A channel whose messages are Python objects; its sender's callable takes one, the receiver's returns one."""

    measures: ClassVar[tuple[Quantity, ...]] = (OBJECTS,)


class Arrays(Row):
    """Numpy arrays of unsigned 64-bit integers from one process to the other; the engine makes two, there and back."""

    measures: ClassVar[tuple[Quantity, ...]] = (ARRAY,)

    def __init__(self, size: int, /) -> None:
        """Make the objects, in the orchestrating process, for arrays of at most *size* bytes."""
        raise NotImplementedError

    def giver(self, size: int, /) -> Callable[[int], Callable[[], object]]:
        """The callable that gets an array ready whose last number is its argument, and returns what hands it over.

        Only what it returns is timed. In place, the array is ready where the receiver will read it.
        """
        raise NotImplementedError

    def taker(self, size: int, /) -> Callable[[], int]:
        """The callable that waits for the array, reads its last number, and lets go of it."""
        raise NotImplementedError


class Many(Row):
    """What more than two processes use."""

    def __init__(self, size: int, most: int, /) -> None:
        """Make the objects for messages of *size* bytes, and for at most *most* pairs, or readers."""
        raise NotImplementedError

    @classmethod
    def sides(cls, most: int) -> tuple[int, int]:
        """How many processes it takes of each half."""
        raise NotImplementedError


class Crowd(Many):
    """A queue of many producers and many consumers: each message goes to one consumer."""

    measures: ClassVar[tuple[Quantity, ...]] = (CROWD,)

    @classmethod
    def sides(cls, most: int) -> tuple[int, int]:
        """As many consumers as producers."""
        return most, most

    def sender(self, size: int, /) -> Callable[[bytes], object]:
        """The callable that sends, in one of the producers."""
        raise NotImplementedError

    def receiver(self, size: int, /) -> Callable[[], Any]:
        """The callable that receives, in one of the consumers, and returns the content."""
        raise NotImplementedError


class Fan(Many):
    """One writer whose every message reaches all readers. Where that takes several sends, they are the writer's."""

    measures: ClassVar[tuple[Quantity, ...]] = (FAN_COST, FAN_RATE)

    @classmethod
    def sides(cls, most: int) -> tuple[int, int]:
        """One writer."""
        return 1, most

    def writer(self, size: int, readers: int, /) -> Callable[[bytes], object]:
        """The callable that sends to the first *readers* of the readers, who have called `reader` by then."""
        raise NotImplementedError

    def reader(self, size: int, index: int, /) -> Callable[[], Any]:
        """The callable that receives, in the reader of that index from 0 on, and returns the content."""
        raise NotImplementedError
