"""System V message queues, semaphore sets, shared memory, and the keys of these objects: sysvipc(7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.sysv._attachment import Attachment as Attachment
    from ipckit.sysv._member import SemaphoreMember as SemaphoreMember
    from ipckit.sysv._message import Message as Message
    from ipckit.sysv._message import QueueStatus as QueueStatus
    from ipckit.sysv._sem_control import SetStatus as SetStatus
    from ipckit.sysv.key import ftok as ftok
    from ipckit.sysv.msg import MessageQueue as MessageQueue
    from ipckit.sysv.sem import SemaphoreSet as SemaphoreSet
    from ipckit.sysv.shm import SegmentStatus as SegmentStatus
    from ipckit.sysv.shm import SharedMemory as SharedMemory

_HOMES = {
    "Attachment": "ipckit.sysv._attachment",
    "Message": "ipckit.sysv._message",
    "MessageQueue": "ipckit.sysv.msg",
    "QueueStatus": "ipckit.sysv._message",
    "SegmentStatus": "ipckit.sysv.shm",
    "SemaphoreMember": "ipckit.sysv._member",
    "SemaphoreSet": "ipckit.sysv.sem",
    "SetStatus": "ipckit.sysv._sem_control",
    "SharedMemory": "ipckit.sysv.shm",
    "ftok": "ipckit.sysv.key",
}

__all__ = [
    "Attachment",
    "Message",
    "MessageQueue",
    "QueueStatus",
    "SegmentStatus",
    "SemaphoreMember",
    "SemaphoreSet",
    "SetStatus",
    "SharedMemory",
    "ftok",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
