"""What can be waited for, and how the wait sleeps."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from ipckit.errors import NotFoundError, RemovedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ipckit._wait import Deadline

_LONGEST_MS = 50
_MOST_MS = (1 << 31) - 1  # poll(2) takes an int of milliseconds, some 24 days


class Condition:
    """Something that holds now, or does not."""

    def __init__(self, address: str, holds: Callable[[], bool], close: Callable[[], object] | None = None) -> None:
        self.address = address
        self.holds = holds
        self._close = close

    def fileno(self) -> int:
        """A descriptor that becomes readable when the condition may hold; -1 where there is none."""
        return -1

    def close(self) -> None:
        """Let go of what it looks at."""
        if self._close is not None:
            self._close()


class Readable(Condition):
    """It holds when a descriptor is readable."""

    def __init__(self, address: str, fd: int, close: Callable[[], object]) -> None:
        super().__init__(address, self._readable, close)
        self._fd = fd

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def _readable(self) -> bool:
        return _ready([self._fd], 0)


def pause(pending: Iterable[Condition], deadline: Deadline, turn: int) -> None:
    """Sleep until one may hold: as long as the kernel will tell, else 1 ms at first, and up to 50 ms later."""
    fds = [condition.fileno() for condition in pending]
    left = -1 if (remaining := deadline.left()) is None else min(-int(-remaining * 1000 // 1), _MOST_MS)
    if -1 in fds:
        short = min(1 << min(turn, 6), _LONGEST_MS)
        left = short if left < 0 else min(short, left)
    _ready([fd for fd in fds if fd >= 0], left)


def _ready(fds: list[int], milliseconds: int) -> bool:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return bool(poll.poll(milliseconds))


def exists(look: Callable[[], object]) -> Callable[[], bool]:
    """Whether *look* finds the object; what it returns is closed."""

    def found() -> bool:
        try:
            handle = look()
        except (NotFoundError, RemovedError):
            return False
        close = getattr(handle, "close", None)
        if close is not None:
            close()
        return True

    return found
