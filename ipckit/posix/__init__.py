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
    from ipckit.posix.mqueue import QueueStatus as QueueStatus
    from ipckit.posix.mqueue import message_queues as message_queues
    from ipckit.posix.notification import Notification as Notification
    from ipckit.posix.semaphore import Semaphore as Semaphore
    from ipckit.posix.shm import SharedMemory as SharedMemory
    from ipckit.posix.unnamed_semaphore import UnnamedSemaphore as UnnamedSemaphore

_HOMES = {
    "Message": "ipckit.posix.mqueue",
    "MessageQueue": "ipckit.posix.mqueue",
    "Notification": "ipckit.posix.notification",
    "QueueAttributes": "ipckit.posix.mqueue",
    "QueueStatus": "ipckit.posix.mqueue",
    "Semaphore": "ipckit.posix.semaphore",
    "SharedMemory": "ipckit.posix.shm",
    "UnnamedSemaphore": "ipckit.posix.unnamed_semaphore",
    "message_queues": "ipckit.posix.mqueue",
}

__all__ = [
    "Message",
    "MessageQueue",
    "Notification",
    "QueueAttributes",
    "QueueStatus",
    "Semaphore",
    "SharedMemory",
    "UnnamedSemaphore",
    "message_queues",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
