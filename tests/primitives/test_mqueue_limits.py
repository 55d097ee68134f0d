"""What limits posix.MessageQueue, and how the error names it: mq_overview(7), getrlimit(2)."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import LimitError
from ipckit.features import limits
from ipckit.posix import MessageQueue
from tests.inspect.elsewhere import CLONE_NEWIPC, enter, written
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from ipckit.testing import Spawn


def enter_with(**sysctls: int) -> str:
    """Get sysctls of our own, and set them. Returns why they can't be had, "" if they can."""
    refused = enter(CLONE_NEWIPC)
    for name, value in sysctls.items():
        refused = refused or written(f"/proc/sys/fs/mqueue/{name}", str(value))
    return refused


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
    if reason := enter_with(queues_max=4):
        return reason
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
    if isinstance(result, str):
        pytest.skip(result)
    made, text = result
    assert made == 4
    assert "fs.mqueue.queues_max" in text


def raise_the_sysctls() -> str | list[tuple[int, int]]:
    """Messages larger than the lane's own buffer, and than what is copied with the GIL kept."""
    if reason := enter_with(msg_max=100, msgsize_max=200_000):
        return reason
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
    if isinstance(result, str):
        pytest.skip(result)
    assert all(allowed == used for allowed, used in result)
    assert len(result) == 7
