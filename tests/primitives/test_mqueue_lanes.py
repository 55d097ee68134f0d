"""The two lanes of posix.MessageQueue, compiled and on cffi: the same outcomes for the same attempts."""

from __future__ import annotations

import errno
import gc
import os
import sys
import sysconfig
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._lane import QueueLane
from ipckit.posix import Message, MessageQueue, mqueue
from ipckit.posix._queue_lane import CffiLane

if TYPE_CHECKING:
    from collections.abc import Iterator

LANES = {"compiled": QueueLane, "cffi": CffiLane}


@pytest.fixture(params=LANES)
def queue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[MessageQueue]:
    monkeypatch.setattr(mqueue, "lane_of", LANES[request.param])
    with MessageQueue.create(max_messages=3, max_message_size=16, unlink_on_close=True) as made:
        assert type(made._lane) is LANES[request.param]
        yield made


def test_the_compiled_lane_is_the_one_that_is_used() -> None:
    with MessageQueue.create(unlink_on_close=True) as queue:
        assert type(queue._lane) is QueueLane


def test_messages_come_out_as_they_went_in(queue: MessageQueue) -> None:
    for data in (b"", b"x", bytes(range(16))):
        for priority in (0, 1, 32767):
            queue.send(data, priority=priority)
            message = queue.receive()
            assert message == (data, priority)
            assert (type(message), type(message.data), type(message.priority)) == (Message, bytes, int)
            assert gc.is_tracked(message) or sys.version_info >= (3, 14)
    for buffer in (bytearray(b"ab"), memoryview(b"ab")):
        queue.send(buffer)
        assert queue.receive().data == b"ab"


def test_each_failure_is_its_errno(queue: MessageQueue) -> None:
    lane = queue._lane
    assert lane.receive() == -errno.EAGAIN
    assert lane.send(bytes(17), 0) == -errno.EMSGSIZE
    assert lane.send(b"", 32768) == -errno.EINVAL
    for _ in range(3):
        assert lane.send(b"", 0) == 0
    assert lane.send(b"", 0) == -errno.EAGAIN
    for blocking in (False, True):
        os.set_blocking(queue.fileno(), blocking)
        assert lane.send(b"", 0) == -errno.EAGAIN
    for bad in (-1, 1 << 64):
        with pytest.raises(OverflowError):
            lane.send(b"", bad)
    with pytest.raises(ValueError, match="priority must be"):
        queue.try_send(b"", priority=1 << 32)
    for wrong in ((b"", "1"), (b"", 1.5), ("text", 0), (None, 0)):
        with pytest.raises(TypeError):
            lane.send(*wrong)
    lane.close()
    assert lane.send(b"", 0) == lane.receive() == -errno.EBADF


def test_a_small_buffer_leaves_the_message(queue: MessageQueue) -> None:
    queue.send(b"abcd")
    small: Any = type(queue._lane)(queue.fileno(), 15, Message)
    assert small.receive() == -errno.EMSGSIZE
    assert queue.receive().data == b"abcd"


def test_threads_share_one_handle_and_each_message_goes_to_one(queue: MessageQueue) -> None:
    count, interval = 3000, sys.getswitchinterval()
    received: list[int] = []

    def produce(start: int) -> None:
        for number in range(start, start + count):
            queue.send(b"%d" % number, timeout=20)

    def consume() -> None:
        received.extend(int(queue.receive(timeout=20).data) for _ in range(count))

    threads = [threading.Thread(target=produce, args=(start,)) for start in (0, count)]
    threads += [threading.Thread(target=consume) for _ in range(2)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sorted(received) == list(range(2 * count))


def test_the_compiled_lane_refuses_what_is_no_queue_type() -> None:
    for wrong in (int, 5, None):
        with pytest.raises((TypeError, ValueError)):
            QueueLane(0, 16, wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size"):
        QueueLane(0, -1, Message)
    with pytest.raises(TypeError, match="keyword"):
        QueueLane(0, 16, message=Message)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        QueueLane(0, 16, Message).send(b"")  # type: ignore[call-arg]
    assert QueueLane(0, 16, Message).receive() in {-errno.EBADF, -errno.EINVAL}


def test_references_are_given_back(queue: MessageQueue) -> None:
    data, lane = os.urandom(16), queue._lane

    def cycle() -> None:
        for _ in range(200):
            lane.send(data, 40_000)  # refused
            lane.send(data, 300)
            lane.receive()
            lane.receive()
            type(lane)(queue.fileno(), 16, Message)

    # A free-threaded Python counts the references of types in each thread by itself, and adds them up late.
    counted = [data] if sysconfig.get_config_var("Py_GIL_DISABLED") else [data, Message, type(lane)]
    cycle()
    gc.collect()  # what other tests have left refers to the types, too
    before = [sys.getrefcount(thing) for thing in counted]
    cycle()
    after = [sys.getrefcount(thing) for thing in counted]
    assert max(abs(new - old) for new, old in zip(after, before, strict=True)) < 20
