"""Whether an object is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ipckit.cli.transfer.addresses import host_and_port, system_v
from ipckit.cli.transfer.conditions.condition import exists
from ipckit.errors import AccessError, BrokenPeerError, NotFoundError, TimeoutExpired

if TYPE_CHECKING:
    from collections.abc import Callable

_FILES = {"sem": "/dev/shm/sem.", "shm": "/dev/shm/", "ring": "/dev/shm/ipckit.", "sync": "/dev/shm/ipckit."}
KINDS = (
    *("mq", "sysv-mq", "sem", "sysv-sem", "shm", "sysv-shm", "ring", "sync"),
    *("fifo", "unix", "tcp", "lock", "pid"),
)


def presence(kind: str, name: str) -> Callable[[], bool]:
    """A function that looks."""
    if kind in _FILES:
        return _path(_FILES[kind] + name[1:])
    if kind in {"fifo", "lock"} or (kind == "unix" and not name.startswith("@")):
        return _path(name)
    if kind in {"unix", "tcp"}:
        return listening(kind, name)
    if kind == "pid":
        return _process(name)
    if kind == "mq":
        from ipckit.posix import MessageQueue

        return _permitted(exists(lambda: MessageQueue.open(name, send=False)))
    return _permitted(exists(lambda: _system_v(kind, name)))


def listening(kind: str, name: str) -> Callable[[], bool]:
    """A function that connects, to see whether somebody listens."""

    def connected() -> bool:
        try:
            _connect(kind, name).close()
        except TimeoutExpired:
            return kind == "unix"  # as many wait to be accepted as may: so somebody listens, and is busy or stopped
        except (NotFoundError, BrokenPeerError):
            return False
        return True

    return connected


def _connect(kind: str, name: str) -> Any:
    if kind == "tcp":
        from ipckit.sockets.inet import Stream

        return Stream.connect(host_and_port(name), timeout=1)
    from ipckit.cli.transfer.endpoints import How
    from ipckit.cli.transfer.endpoints.unix import sender

    return sender(kind, name, How(timeout=0))


def _path(path: str) -> Callable[[], bool]:
    return lambda: os.path.lexists(path)


def _process(name: str) -> Callable[[], bool]:
    from ipckit.errors import NoProcessError
    from ipckit.process import PidFd

    number = int(name)

    def runs() -> bool:
        try:
            with PidFd.open(number) as process:
                return process.running
        except NoProcessError:
            return False

    return runs


def _permitted(look: Callable[[], bool]) -> Callable[[], bool]:
    """What may not be opened is there all the same."""

    def there() -> bool:
        try:
            return look()
        except AccessError:
            return True

    return there


def _system_v(kind: str, name: str) -> Any:
    from ipckit import sysv

    homes: dict[str, Any] = {
        "sysv-mq": sysv.MessageQueue,
        "sysv-sem": sysv.SemaphoreSet,
        "sysv-shm": sysv.SharedMemory,
    }
    home = homes[kind]
    number, own = system_v(name)
    if own:
        return home.open_id(number)
    return home.open(number, started=False) if kind == "sysv-sem" else home.open(number)
