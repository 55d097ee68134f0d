"""What `ipckit lock` can hold while a command runs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ipckit.cli.transfer.addresses import parse
from ipckit.cli.transfer.sync_objects import opened
from ipckit.inspect import KINDS as LISTED

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("lock", "sync", "sem")


class Holding:
    """A lock that this process has, or not.

    Attributes:
        descriptor: of the file that is locked, -1 where there is none.
        owner_died: whether whoever had it before died with it.
    """

    def __init__(
        self, handle: Any, take: Callable[[float | None], Any], give: Callable[[], object], *, shared: bool = False
    ) -> None:
        self._handle = handle
        self._shared = shared
        self._take = take
        self._give = give
        self.descriptor = -1
        self.owner_died = False

    def acquire(self, timeout: float | None) -> bool:
        """Take it; False if somebody else kept it for that time."""
        got = self._take(timeout)
        self.owner_died = bool(getattr(got, "owner_died", False))
        if self.owner_died and not self._shared:  # one that reads cannot put anything right
            self._handle.mark_consistent()
        return bool(got)

    def release(self) -> None:
        """Give it back."""
        self._give()

    def close(self) -> None:
        """Let go of the object."""
        self._handle.close()


def lock_of(text: str, *, shared: bool, how: str) -> Holding:
    """What *text* is the address, or the path, of; not yet taken.

    Args:
        shared: let others have it shared at the same time.
        how: "flock", "ofd" or "record": which lock of a file.

    Raises:
        ValueError: it is nothing that can be locked so.
    """
    kind, colon, _ = text.partition(":")
    named = bool(colon) and not os.path.lexists(text)
    if named and kind in KINDS:
        kind, name = parse(text, KINDS)
    elif named and kind in LISTED:  # to make a file of that name would lock nothing that anybody else looks at
        raise ValueError(
            f"what is locked is PATH or lock:PATH, a file, sync:/NAME or sem:/NAME; "
            f"{text!r} is none of these, and a file of that name would be lock:{text}"
        )
    else:
        kind, name = "lock", text
    if kind == "lock":
        return _of_file(name, shared=shared, how=how)
    if kind == "sem":
        from ipckit.posix import Semaphore

        _only_exclusive(text, shared=shared)
        semaphore = Semaphore.open(name)
        return Holding(semaphore, lambda timeout: semaphore.acquire(timeout=timeout), semaphore.release)
    return _of_object(text, opened(name, "mutex", "rwlock", "semaphore"), shared=shared)


def _of_file(path: str, *, shared: bool, how: str) -> Holding:
    from ipckit import filelock

    home = {"flock": filelock.Flock, "ofd": filelock.OfdLock, "record": filelock.RecordLock}[how]
    lock = home(path, mode=0o666)  # as flock(1) makes the file; the umask takes away what it is to take away
    holding = Holding(lock, lambda timeout: lock.acquire(shared=shared, timeout=timeout), lock.release)
    holding.descriptor = lock.fileno()
    return holding


def _of_object(text: str, found: Any, *, shared: bool) -> Holding:
    if hasattr(found, "acquire_read"):
        take, give = (found.acquire_read, found.release_read) if shared else (found.acquire_write, found.release_write)
        return Holding(found, lambda timeout: take(timeout=timeout), give, shared=shared)
    _only_exclusive(text, shared=shared)
    return Holding(found, lambda timeout: found.acquire(timeout=timeout), found.release)


def _only_exclusive(text: str, *, shared: bool) -> None:
    if shared:
        raise ValueError(f"--shared is for files and for an RWLock, and {text} is neither")


def say_owner_died(text: str) -> None:
    """Tell people; the command learns of it by the environment."""
    print(f"ipckit: the last owner of {text} died with it; what it protects may be half-changed", file=sys.stderr)
