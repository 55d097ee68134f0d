"""Pickling for a child that is about to start, so that descriptors travel with the handles that own them."""

from __future__ import annotations

import fcntl
import os
import pickle
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from typing_extensions import Self


class TravellingFd:
    """What stands in the pickle for a descriptor; the child has it open under the same number."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def detach(self) -> int:
        """In the child: the descriptor, from here on the caller's to close."""
        return self.fd


class _Luggage:
    """What multiprocessing asks while it pickles for a child: ``multiprocessing.reduction.DupFd``."""

    DupFd = TravellingFd

    def __init__(self) -> None:
        self.fds: list[int] = []

    def duplicate_for_child(self, fd: int) -> int:
        # A duplicate for each handle: two handles of one descriptor must not become one number closed twice.
        copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
        self.fds.append(copy)
        return copy

    def close(self) -> None:
        while self.fds:
            os.close(self.fds.pop())


class Packed:
    """Pickled arguments and the descriptors that must go with them; `close` drops our copies of these."""

    def __init__(self, arguments: object) -> None:
        from multiprocessing import context

        self._luggage = _Luggage()
        # The parameter is meant for multiprocessing's own classes, and used by duck typing.
        set_popen = cast("Any", context.set_spawning_popen)
        before = context.get_spawning_popen()
        set_popen(self._luggage)
        try:
            self.data = pickle.dumps(arguments)
        except BaseException:
            self.close()
            raise
        finally:
            set_popen(before)

    @property
    def fds(self) -> tuple[int, ...]:
        """The descriptors that the child must inherit under the same numbers."""
        return tuple(self._luggage.fds)

    def close(self) -> None:
        """Close this process's copies."""
        self._luggage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
