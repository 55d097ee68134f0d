"""Message queues."""

from __future__ import annotations

import os

from ipckit.posix.mqueue import MessageQueue
from ipckit.posix.notification import Notification
from ipckit.sysv.msg import MessageQueue as SysvMessageQueue
from tests.contract.shapes import TOKEN, Made, Subject, Wait, drain, named, posix_naming, sysv_naming, until_full
from tests.contract.traits import MESSAGES

MQUEUE = posix_naming(255, lambda h: os.fstat(h.fileno()), max_messages=2, max_message_size=64)


SYSV_QUEUE = sysv_naming(lambda h: h.stat().mode)


def notification_of_queue() -> Made:
    queue = MessageQueue.create(max_messages=2, max_message_size=64, unlink_on_close=True)
    return [queue.notify(), queue]


def wait_for_notification(notification: Notification) -> str:
    notification.wait(timeout=10)
    return "notified"


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "MessageQueue",
        MessageQueue,
        make=named(MessageQueue, MQUEUE),
        calls={
            **MESSAGES,
            "fileno": lambda h: h.fileno(),
            "attributes": lambda h: h.attributes(),
            "stat": lambda h: h.stat(),
            "notify": lambda h: h.notify(),
            "cancel_notification": lambda h: h.cancel_notification(),
        },
        waits=(
            Wait(
                "send",
                lambda made, timeout: made[0].send(TOKEN, timeout=timeout),
                lambda made: until_full(lambda: made[0].try_send(TOKEN)),
                lambda made: drain(made[0].try_receive),
            ),
            Wait("receive", lambda made, timeout: made[0].receive(timeout), complete=lambda made: made[0].send(TOKEN)),
        ),
        constants=frozenset({"max_messages", "max_message_size"}),
        naming=MQUEUE,
        there=lambda h: h.send(TOKEN, timeout=10),
        here=lambda made, result: made[0].receive(timeout=10).data == TOKEN,  # noqa: ARG005
    ),
    Subject(
        "Notification",
        Notification,
        make=notification_of_queue,
        calls={
            "fileno": lambda h: h.fileno(),
            "armed": lambda h: h.armed,
            "arm": lambda h: h.arm(),
            "cancel": lambda h: h.cancel(),
            "wait": lambda h: h.wait(),
        },
        waits=(Wait("wait", lambda made, timeout: made[0].wait(timeout), complete=lambda made: made[1].send(TOKEN)),),
        before=lambda made: made[1].send(TOKEN),
        there=wait_for_notification,
        here=lambda made, result: result == "notified" and not made[0].armed,
    ),
    Subject(
        "sysv.MessageQueue",
        SysvMessageQueue,
        make=named(SysvMessageQueue, SYSV_QUEUE),
        calls={
            **MESSAGES,
            "peek": lambda h: h.peek(),
            "stat": lambda h: h.stat(),
            "set": lambda h: h.set(mode=0o600),
        },
        waits=(
            Wait(
                "send",
                lambda made, timeout: made[0].send(TOKEN, timeout=timeout),
                lambda made: until_full(lambda: made[0].try_send(bytes(4096))),
                lambda made: drain(made[0].try_receive),
                ("msgsnd",),
            ),
            Wait(
                "receive",
                lambda made, timeout: made[0].receive(timeout=timeout),
                complete=lambda made: made[0].send(TOKEN),
                syscalls=("msgrcv",),
            ),
        ),
        naming=SYSV_QUEUE,
        there=lambda h: h.send(TOKEN, timeout=10),
        here=lambda made, result: made[0].receive(timeout=10).data == TOKEN,  # noqa: ARG005
    ),
)
