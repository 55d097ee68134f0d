"""What limits posix.MessageQueue, and how the error names it: mq_overview(7), getrlimit(2)."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import LimitError
from ipckit.features import limits
from ipckit.posix import MessageQueue

if TYPE_CHECKING:
    from ipckit.testing import Spawn

NOBODY = 65534
WAS_ROOT = os.geteuid() == 0  # whoever enters a user namespace becomes its root
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000


def become_nobody() -> None:
    if WAS_ROOT:  # root may have CAP_SYS_RESOURCE
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def enter_ipc_namespace() -> str | None:
    """Get sysctls of our own that we may write; as a user, with a user namespace. Returns why it can't be had."""
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWIPC if uid == 0 else CLONE_NEWUSER | CLONE_NEWIPC):
        return f"unshare(2) is forbidden here: {os.strerror(ctypes.get_errno())}"
    if uid:
        for name, line in (("uid_map", f"0 {uid} 1"), ("setgroups", "deny"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(line)
    return None


def set_sysctl(name: str, value: int) -> None:
    with open(f"/proc/sys/fs/mqueue/{name}", "w") as sysctl:
        sysctl.write(str(value))


def skip_unless_entered(result: object) -> None:
    if isinstance(result, str) and result.startswith("unshare"):
        pytest.skip(result)


def create_beyond(**how: int) -> str:
    become_nobody()
    try:
        with MessageQueue.create(unlink_on_close=True, **how):
            return "created"
    except LimitError as error:
        return str(error)


def test_sizes_beyond_a_sysctl_name_it(spawn: Spawn) -> None:
    now = limits()
    assert now.mq_max_messages is not None
    assert now.mq_max_message_size is not None
    text = spawn(create_beyond, max_messages=now.mq_max_messages + 1).result()
    assert f"sysctl fs.mqueue.msg_max={now.mq_max_messages}" in text
    assert "max_messages" in text
    assert "msgsize_max" not in text
    text = spawn(create_beyond, max_message_size=now.mq_max_message_size + 1).result()
    assert f"sysctl fs.mqueue.msgsize_max={now.mq_max_message_size}" in text


def create_under_rlimit(which: int, left: int) -> tuple[int | None, str]:
    MessageQueue.create(unlink_on_close=True).close()  # everything is imported by now
    resource.setrlimit(which, (left, left))
    try:
        with MessageQueue.create(unlink_on_close=True):
            return 0, "created"
    except LimitError as error:
        return error.errno, str(error)


def test_emfile_names_the_limit_that_it_is_about(spawn: Spawn) -> None:
    number, text = spawn(create_under_rlimit, resource.RLIMIT_MSGQUEUE, 100).result()
    assert number == 24
    assert "RLIMIT_MSGQUEUE" in text
    number, text = spawn(create_under_rlimit, resource.RLIMIT_NOFILE, 3).result()
    assert number == 24
    assert "RLIMIT_NOFILE" in text


def exhaust_queues() -> str | tuple[int, str]:
    if reason := enter_ipc_namespace():
        return reason
    set_sysctl("queues_max", 4)
    become_nobody()
    made = []
    try:
        while len(made) < 10:
            made.append(MessageQueue.create(max_messages=1, max_message_size=1, unlink_on_close=True))
    except LimitError as error:
        return len(made), str(error)
    finally:
        for queue in made:
            queue.close()
    return len(made), "no error"


def test_too_many_queues(spawn: Spawn) -> None:
    result = spawn(exhaust_queues).result()
    skip_unless_entered(result)
    made, text = result
    assert made == 4
    assert "fs.mqueue.queues_max" in text


def raise_the_sysctls() -> str | list[tuple[int, int]]:
    """Messages larger than the lane's own buffer, and than what is copied with the GIL kept."""
    if reason := enter_ipc_namespace():
        return reason
    set_sysctl("msg_max", 100)
    set_sysctl("msgsize_max", 200_000)
    become_nobody()  # whose RLIMIT_MSGQUEUE no other test uses up meanwhile
    seen = []
    for size in (8191, 8192, 8193, 65536, 65537, 200_000):
        with MessageQueue.create(max_messages=2, max_message_size=size, unlink_on_close=True) as queue:
            data = os.urandom(size)
            queue.send(data, priority=7)
            queue.send(b"short")
            assert queue.receive(timeout=0) == (data, 7)
            assert queue.receive(timeout=0) == (b"short", 0)
            assert queue.try_receive() is None
            seen.append((queue.max_message_size, len(data)))
    with MessageQueue.create(max_messages=100, max_message_size=1, unlink_on_close=True) as queue:
        while queue.try_send(b"x"):
            pass
        seen.append((queue.max_messages, queue.attributes().current_messages))
    return seen


def test_raised_sysctls_are_used(spawn: Spawn) -> None:
    result = spawn(raise_the_sysctls).result()
    skip_unless_entered(result)
    assert all(allowed == used for allowed, used in result)
    assert len(result) == 7
