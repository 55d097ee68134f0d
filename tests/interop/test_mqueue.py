"""posix.MessageQueue against a C program on plain libc: tests/interop/mq.c."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import BusyError, TimeoutExpired
from ipckit.posix import MessageQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ipckit.testing import Spawn
    from tests.interop.conftest import Program

SECONDS = 20


@pytest.fixture
def queue() -> Iterator[MessageQueue]:
    with MessageQueue.create(max_messages=4, max_message_size=64, unlink_on_close=True) as made:
        yield made


@pytest.fixture
def mq(start: Callable[..., Program], build: Callable[[str], Path]) -> Callable[..., Program]:
    program = build("mq")
    return lambda *words, **how: start(program, *(str(word) for word in words), **how)


def test_what_c_sends_arrives_in_order(queue: MessageQueue, mq: Callable[..., Program]) -> None:
    mq("send", queue.name, 1, "low", "lower").finish()
    mq("send", queue.name, 9, "high").finish()
    mq("send", queue.name, 32767, "").finish()
    received = [queue.receive(timeout=0) for _ in range(4)]
    assert received == [(b"", 32767), (b"high", 9), (b"low", 1), (b"lower", 1)]


def test_what_we_send_arrives_in_order(queue: MessageQueue, mq: Callable[..., Program]) -> None:
    for data, priority in ((b"low", 1), (b"lower", 1), (b"high", 9)):
        queue.send(data, priority=priority)
    assert mq("receive", queue.name, 3).finish() == b"9 high\n1 low\n1 lower\n"


def test_our_send_wakes_a_blocked_c_receiver(queue: MessageQueue, mq: Callable[..., Program]) -> None:
    program = mq("receive", queue.name, 2)
    for data in (b"one", b"two"):
        program.wait_blocked("mq_timedreceive")
        queue.send(data)
        assert program.line() == b"0 " + data
    program.finish()


def test_our_receive_wakes_a_blocked_c_sender(queue: MessageQueue, mq: Callable[..., Program]) -> None:
    program = mq("send", queue.name, 0, "1", "2", "3", "4", "5", "6")
    for number in (b"1", b"2"):
        program.wait_blocked("mq_timedsend")
        assert queue.receive(timeout=0).data == number
    program.finish()
    assert [queue.receive(timeout=0).data for _ in range(4)] == [b"3", b"4", b"5", b"6"]


def receive_all(name: str, count: int) -> list[bytes]:
    with MessageQueue.open(name, send=False) as queue:
        return [queue.receive(timeout=SECONDS).data for _ in range(count)]


def send_all(name: str, count: int) -> None:
    with MessageQueue.open(name, receive=False) as queue:
        for number in range(count):
            queue.send(b"%d" % number, timeout=SECONDS)


def test_c_wakes_our_blocked_receiver_and_sender(queue: MessageQueue, mq: Callable[..., Program], spawn: Spawn) -> None:
    receiver = spawn(receive_all, queue.name, 2)
    receiver.wait_blocked("poll")
    mq("send", queue.name, 0, "a", "b").finish()
    assert receiver.result() == [b"a", b"b"]
    sender = spawn(send_all, queue.name, 6)
    sender.wait_blocked("poll")
    assert mq("receive", queue.name, 6).finish() == b"".join(b"0 %d\n" % number for number in range(6))
    sender.result()


def test_c_notifies_us(queue: MessageQueue, mq: Callable[..., Program]) -> None:
    with queue.notify() as notification:
        mq("send", queue.name, 0, "x").finish()
        notification.wait(timeout=SECONDS)
        notification.arm()
        queue.receive()
        program = mq("receive", queue.name, 1)
        program.wait_blocked("mq_timedreceive")
        mq("send", queue.name, 0, "to the one that waits").finish()
        assert program.finish() == b"0 to the one that waits\n"
        with pytest.raises(TimeoutExpired):
            notification.wait(timeout=0)


@pytest.mark.parametrize("way", ["signal", "thread"])
def test_we_notify_c(queue: MessageQueue, mq: Callable[..., Program], spawn: Spawn, way: str) -> None:
    receiver = spawn(receive_all, queue.name, 1)  # waits by poll(2), and so does not suppress it
    receiver.wait_blocked("poll")
    program = mq(way, queue.name, 42)
    assert program.line() == b"registered"
    with pytest.raises(BusyError, match=f"process {program.pid} is registered"):
        queue.notify()
    queue.send(b"x")
    expected = {"signal": b"SI_MESGQ 42 %d" % os.getpid(), "thread": b"42"}
    assert program.line() == expected[way]
    program.finish()
    assert receiver.result() == [b"x"]
    queue.notify().close()


def test_a_descriptor_that_c_inherits_is_an_ordinary_one(queue: MessageQueue, mq: Callable[..., Program]) -> None:
    fd = queue.fileno()
    queue.send(b"x")
    assert mq("flags", fd, pass_fds=[fd]).finish() == b"0 4 64 1\n"
    assert queue.receive().data == b"x"
    program = mq("receive-fd", fd, pass_fds=[fd])
    program.wait_blocked("mq_timedreceive")
    assert queue.try_receive() is None
    queue.send(b"y", priority=3)
    assert program.finish() == b"3 y\n"
    os.set_blocking(fd, False)
    assert mq("flags", fd, pass_fds=[fd]).finish() == b"O_NONBLOCK 4 64 0\n"
