"""What a way to broadcast does for the scheduler and for a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Inbox(Protocol):
    """A worker's end: messages are read where they lie."""

    def begin(self, ticket: Callable[[], Any]) -> None:
        """Before the first message; *ticket* waits until the scheduler admits this worker, and returns its ticket."""

    def take(self) -> memoryview:
        """Wait for the next message; it stays until `done`."""

    def done(self) -> None:
        """The message has been read."""

    def close(self) -> None:
        """Let go."""


class Door(Protocol):
    """What a worker is started with; it travels to the new process."""

    def open(self, place: int) -> Inbox:
        """Called in the worker that has that place in the crew."""


class Transport(Protocol):
    """The scheduler's end."""

    title: ClassVar[str]

    def __init__(self, workers: int, largest: int, capacity: int, find_dead: Callable[[], object]) -> None:
        """Make it.

        Args:
            workers: places in the crew.
            largest: bytes of the longest message.
            capacity: bytes for messages; the same for all that are compared.
            find_dead: looks for workers that have died, and dismisses them.
        """

    @property
    def door(self) -> Door:
        """What workers are started with."""

    def send(self, message: bytearray) -> None:
        """Give a message to all workers, waiting while the slowest one leaves no room."""

    def admit(self, place: int) -> Any:
        """A worker has opened its inbox there: from now on it gets all messages. Returns its ticket."""

    def dismiss(self, place: int) -> None:
        """The worker of that place has died."""

    def close(self) -> None:
        """Let go of everything."""
