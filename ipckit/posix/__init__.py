"""POSIX message queues, semaphores and shared memory: mq_overview(7), sem_overview(7), shm_overview(7).

A class is imported when it is first used: `MessageQueue` and `SharedMemory.open` bring in the posix_ipc package,
which on a free-threaded Python before its support turns the GIL on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.posix.mqueue import Message as Message
    from ipckit.posix.mqueue import MessageQueue as MessageQueue
    from ipckit.posix.mqueue import QueueAttributes as QueueAttributes
    from ipckit.posix.semaphore import Semaphore as Semaphore
    from ipckit.posix.shm import SharedMemory as SharedMemory

_HOMES = {
    "Message": "ipckit.posix.mqueue",
    "MessageQueue": "ipckit.posix.mqueue",
    "QueueAttributes": "ipckit.posix.mqueue",
    "Semaphore": "ipckit.posix.semaphore",
    "SharedMemory": "ipckit.posix.shm",
}

__all__ = ["Message", "MessageQueue", "QueueAttributes", "Semaphore", "SharedMemory"]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
