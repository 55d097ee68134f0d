"""Whether an object has something for whoever comes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ipckit.cli.transfer.addresses import system_v
from ipckit.cli.transfer.conditions.condition import Condition, Readable
from ipckit.cli.transfer.conditions.existing import listening

if TYPE_CHECKING:
    from collections.abc import Callable


def readiness(text: str, kind: str, name: str) -> Condition:
    """The condition that the object is ready.

    Raises:
        ValueError: one cannot tell without disturbing it.
        NotFoundError: there is none (ENOENT).
    """
    if kind not in _LOOKS:
        raise ValueError(f"{text} can be waited for with --exists and --gone only: to look inside would disturb others")
    return _LOOKS[kind](text, kind, name)


def _message(text: str, _kind: str, name: str) -> Condition:
    from ipckit.posix import MessageQueue

    queue = MessageQueue.open(name, send=False)
    return Readable(text, queue.fileno(), queue.close)


def _listening(text: str, kind: str, name: str) -> Condition:
    return Condition(text, listening(kind, name))


def _ended(text: str, _kind: str, name: str) -> Condition:
    from ipckit.errors import NoProcessError
    from ipckit.process import PidFd

    if not name.isdecimal():
        raise ValueError(f"a process is pid:NUMBER, not {text!r}")
    try:
        process = PidFd.open(int(name))
    except NoProcessError:
        return Condition(text, lambda: True)
    return Readable(text, process.fileno(), process.close)


def _unlocked(text: str, _kind: str, name: str) -> Condition:
    from ipckit.errors import syscall_error
    from ipckit.filelock import Flock, OfdLock

    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # to look must not make the file
    except OSError as error:
        raise syscall_error(error.errno or 0, "open", name) from None
    flock, ranged = Flock(fd), OfdLock(fd)

    def free() -> bool:
        if ranged.holder() is not None or not flock.try_acquire():
            return False
        flock.release()
        return True

    def close() -> None:
        flock.close()
        ranged.close()
        os.close(fd)

    return Condition(text, free, close)


def _sync(text: str, _kind: str, name: str) -> Condition:
    from ipckit.cli.transfer.sync_objects import opened

    found = opened(name, "event", "latch", "mutex", "semaphore")
    return Condition(text, _SYNC[type(found).__name__](found), found.close)


_SYNC: dict[str, Any] = {
    "Event": lambda found: found.is_set,
    "Latch": lambda found: lambda: found.count == 0,
    "Mutex": lambda found: lambda: not found.locked(),
    "Semaphore": lambda found: lambda: found.value > 0,
    "TrackedSemaphore": lambda found: lambda: found.value > 0,
}


def _ring(text: str, kind: str, name: str) -> Condition:
    from ipckit.cli.transfer.endpoints import How
    from ipckit.cli.transfer.endpoints.rings import sender

    ring: Any = sender(kind, name, How()).handle
    if type(ring).__name__ not in {"SpscRing", "MpmcRing"}:
        ring.close()
        raise ValueError(f"{text} is a {type(ring).__name__}: what waits in it, each reader knows of itself only")
    return Condition(text, lambda: bool(ring.depth), ring.close)


def _counted(text: str, kind: str, name: str) -> Condition:
    if kind == "sem":
        from ipckit.posix import Semaphore

        semaphore = Semaphore.open(name)
        return Condition(text, lambda: semaphore.value > 0, semaphore.close)
    from ipckit import sysv

    number, own = system_v(name)
    if kind == "sysv-sem":
        group = sysv.SemaphoreSet.open_id(number) if own else sysv.SemaphoreSet.open(number, started=False)
        return Condition(text, lambda: group.value(0) > 0, group.close)
    queue = sysv.MessageQueue.open_id(number) if own else sysv.MessageQueue.open(number, send=False)
    return Condition(text, lambda: queue.stat().messages > 0, queue.close)


_LOOKS: dict[str, Callable[[str, str, str], Condition]] = {
    "mq": _message,
    "sysv-mq": _counted,
    "ring": _ring,
    "sem": _counted,
    "sysv-sem": _counted,
    "sync": _sync,
    "lock": _unlocked,
    "pid": _ended,
    "unix": _listening,
    "tcp": _listening,
}
