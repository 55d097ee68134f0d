"""Semaphores of all kinds with the verbs of `ipckit sem`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.cli.transfer.addresses import parse, system_v

if TYPE_CHECKING:
    import argparse

KINDS = ("sem", "sysv-sem", "sync")


class Semaphore:
    """A POSIX semaphore, or one of ipckit: their methods are the same."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def post(self, tokens: int) -> None:
        """Give *tokens*."""
        self._handle.release(tokens)

    def take(self, timeout: float | None) -> bool:
        """Take one; False if there was none in that time."""
        return bool(self._handle.acquire(timeout=timeout))

    def value(self) -> int:
        """How many there are."""
        return int(self._handle.value)

    def remove(self) -> None:
        """Remove the name."""
        self._handle.unlink()

    def close(self) -> None:
        """Let go of it."""
        self._handle.close()


class Member(Semaphore):
    """One semaphore of a System V set."""

    def __init__(self, handle: Any, index: int) -> None:
        super().__init__(handle)
        self._index = index

    def post(self, tokens: int) -> None:
        """Give *tokens* at once."""
        self._handle.op([(self._index, tokens)])

    def take(self, timeout: float | None) -> bool:
        """Take one; no undo, or it would be given back at once, with the end of this process."""
        from ipckit.errors import TimeoutExpired

        try:
            self._handle.op([(self._index, -1)], timeout=timeout)
        except TimeoutExpired:
            return False
        return True

    def value(self) -> int:
        """How many there are."""
        return int(self._handle.value(self._index))

    def remove(self) -> None:
        """Remove the whole set; whoever waits on it is told."""
        self._handle.remove()


def semaphore_of(arguments: argparse.Namespace) -> Semaphore:
    """What the address names; made, if that is the verb.

    Raises:
        ValueError: it is no semaphore that can be used so.
    """
    kind, name = parse(arguments.address, KINDS)
    create = arguments.verb == "create"
    if kind == "sysv-sem":
        return Member(_system_v(name, arguments, create=create), arguments.index)
    if kind == "sem":
        from ipckit import posix

        made = {"value": arguments.value, "mode": arguments.mode}
        return Semaphore(posix.Semaphore.create(name, **made) if create else posix.Semaphore.open(name))
    return Semaphore(_ours(name, arguments, create=create))


def _system_v(name: str, arguments: argparse.Namespace, *, create: bool) -> Any:
    from ipckit.sysv import SemaphoreSet

    number, own = system_v(name)
    if create:
        if own:
            raise ValueError("create takes a key: the kernel chooses the number")
        values = [arguments.value] * arguments.size
        return SemaphoreSet.create(number, size=arguments.size, values=values, mode=arguments.mode)
    found = SemaphoreSet.open_id(number) if own else SemaphoreSet.open(number, started=False)
    if arguments.index >= found.size:
        size = found.size
        found.close()
        raise ValueError(f"--index must be below {size}, the size of the set")
    return found


def _ours(name: str, arguments: argparse.Namespace, *, create: bool) -> Any:
    from ipckit.sync.semaphore import Semaphore as Ours
    from ipckit.sync.semaphore import TrackedSemaphore

    if create:
        return Ours.create(name, value=arguments.value, mode=arguments.mode)
    found = Ours.open(name)
    if isinstance(found, TrackedSemaphore) and arguments.verb in {"post", "wait", "try"}:
        found.close()
        raise ValueError(f"the tokens of sync:{name} come back when their holder ends; use ipckit lock sync:{name}")
    return found
