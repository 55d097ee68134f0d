"""posix.MessageQueue.notify as a handle to wait on: mq_notify(3)."""

from __future__ import annotations

import errno
import os
import pickle
import select
import selectors
import signal
import subprocess
import sys
import threading
from itertools import count
from typing import TYPE_CHECKING

import posix_ipc
import pytest

from ipckit.errors import (
    AccessError,
    BusyError,
    ClosedError,
    RemovedError,
    SyscallError,
    TimeoutExpired,
)
from ipckit.posix import MessageQueue
from ipckit.testing import pause, reached, wait_blocked
from tests.primitives.interrupting import interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.posix import Notification
    from ipckit.testing import Spawn

SI_MESGQ = -3
SECONDS = 20


@pytest.fixture
def queue() -> Iterator[MessageQueue]:
    with MessageQueue.create(max_messages=8, max_message_size=16, unlink_on_close=True) as made:
        yield made


@pytest.fixture
def notification(queue: MessageQueue) -> Iterator[Notification]:
    with queue.notify() as made:
        yield made


def readable(notification: Notification) -> bool:
    poller = select.poll()
    poller.register(notification, select.POLLIN)
    return bool(poller.poll(0))


def fired(notification: Notification) -> bool:
    assert readable(notification) != notification.armed
    try:
        notification.wait(timeout=0)
    except TimeoutExpired:
        return False
    return True


# --- when it comes -----------------------------------------------------------------------------------------------


def test_a_message_to_the_empty_queue_notifies_once(queue: MessageQueue, notification: Notification) -> None:
    assert not fired(notification)
    queue.send(b"a")
    assert fired(notification)
    assert fired(notification), "it stays so until it is renewed"
    queue.receive()
    notification.arm()
    assert not fired(notification)
    queue.send(b"b")
    assert fired(notification)


def test_without_renewal_the_next_message_tells_nobody_and_another_may_register(
    queue: MessageQueue, notification: Notification
) -> None:
    queue.send(b"a")
    with queue.notify() as other:
        queue.receive()
        queue.send(b"b")
        assert fired(other)
        with pytest.raises(BusyError), queue.notify():
            notification.arm()
        assert fired(notification), "a renewal that failed changes nothing"


def test_a_message_to_a_queue_that_holds_one_does_not_notify(queue: MessageQueue) -> None:
    queue.send(b"a")
    with queue.notify() as notification:
        queue.send(b"b")
        assert not fired(notification)
        queue.receive()
        queue.send(b"c")
        assert not fired(notification)
        while queue.try_receive():
            pass
        assert not fired(notification)
        queue.send(b"d")
        assert fired(notification)


def test_renewing_what_stands_does_nothing(queue: MessageQueue, notification: Notification) -> None:
    notification.arm()
    notification.arm()
    queue.send(b"a")
    assert fired(notification)


def send_in_bursts(name: str, count: int) -> None:
    with MessageQueue.open(name) as queue:
        for number in range(count):
            queue.send(b"%d" % number, timeout=SECONDS)


def test_to_renew_and_then_drain_misses_nothing(queue: MessageQueue, spawn: Spawn) -> None:
    count = 400
    received: list[int] = []
    with queue.notify() as notification:
        peer = spawn(send_in_bursts, queue.name, count)
        while len(received) < count:
            notification.wait(timeout=SECONDS)
            notification.arm()
            while (message := queue.try_receive()) is not None:
                received.append(int(message.data))
        peer.result()
    assert received == list(range(count))


# --- who waits ---------------------------------------------------------------------------------------------------


def receive_by_mq_receive(name: str) -> bytes:
    queue = posix_ipc.MessageQueue(name)
    data, _ = queue.receive()
    queue.close()
    return data


def receive_by_ours(name: str) -> bytes:
    with MessageQueue.open(name) as queue:
        return queue.receive(timeout=SECONDS).data


def test_a_receiver_in_mq_receive_is_served_without_notification(
    queue: MessageQueue, notification: Notification, spawn: Spawn
) -> None:
    peer = spawn(receive_by_mq_receive, queue.name)
    peer.wait_blocked("mq_timedreceive")
    queue.send(b"direct")
    assert peer.result() == b"direct"
    assert not fired(notification)


def test_a_receiver_of_ours_does_not_suppress_it(queue: MessageQueue, notification: Notification, spawn: Spawn) -> None:
    peer = spawn(receive_by_ours, queue.name)
    peer.wait_blocked("poll")
    queue.send(b"polled")
    assert peer.result() == b"polled"
    assert fired(notification)


def test_every_thread_that_waits_is_told(queue: MessageQueue, notification: Notification) -> None:
    done: list[str] = []

    def wait() -> None:
        notification.wait(timeout=SECONDS)
        done.append("told")

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        wait_blocked(os.getpid(), "poll", tid=thread.native_id)
    queue.send(b"x")
    for thread in threads:
        thread.join()
    assert done == ["told"] * 4


def test_the_descriptor_serves_selectors_epoll_and_asyncio(queue: MessageQueue, notification: Notification) -> None:
    import asyncio

    async def told() -> bytes:
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        loop.add_reader(notification, came.set)
        queue.send(b"x")
        await asyncio.wait_for(came.wait(), SECONDS)
        loop.remove_reader(notification)
        notification.arm()
        return queue.receive(timeout=0).data

    with selectors.DefaultSelector() as selector, select.epoll() as edges:
        selector.register(notification, selectors.EVENT_READ)
        edges.register(notification, select.EPOLLIN | select.EPOLLET)
        assert asyncio.run(told()) == b"x"
        assert selector.select(0) == []
        edges.poll(0)
        for _ in range(3):
            queue.send(b"y")
            assert [key.fileobj for key, _ in selector.select(SECONDS)] == [notification]
            assert edges.poll(SECONDS) == [(notification.fileno(), select.EPOLLIN)]
            notification.arm()
            queue.receive()
            assert selector.select(0) == edges.poll(0) == []


# --- one at a time, and how it ends ----------------------------------------------------------------------------------


def register_and_stay(name: str) -> None:
    with MessageQueue.open(name) as queue, queue.notify():
        reached("registered")
        pause("stay")


def test_only_one_is_registered_and_the_error_names_it(
    queue: MessageQueue, notification: Notification, spawn: Spawn
) -> None:
    with MessageQueue.open(queue.name) as other:
        for register in (
            queue.notify,
            other.notify,
            lambda: queue.notify(signal=signal.SIGUSR1),
            lambda: queue.notify(callback=print),
        ):
            with pytest.raises(BusyError, match=f"mq_notify.*process {os.getpid()} is registered"):
                register()
        notification.cancel()
        peer = spawn(register_and_stay, queue.name)
        peer.wait_reached("registered")
        with pytest.raises(BusyError, match=f"process {peer.pid} is registered"):
            notification.arm()
        with MessageQueue.open(queue.name, receive=False) as sender, pytest.raises(BusyError, match="only one"):
            sender.notify()
        other.cancel_notification()
        assert queue.stat().notify_pid == peer.pid, "to cancel is for one's own registration alone"
    peer.resume("stay")
    peer.result()


def test_it_dies_with_its_process(queue: MessageQueue, spawn: Spawn) -> None:
    peer = spawn(register_and_stay, queue.name)
    peer.wait_reached("registered")
    peer.kill()
    assert peer.join() == -signal.SIGKILL
    with queue.notify() as notification:
        queue.send(b"x")
        assert fired(notification)


def test_exec_drops_it(queue: MessageQueue) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            queue.notify(signal=signal.SIGUSR1)
            os.execvp("sleep", ["sleep", str(SECONDS)])
        finally:
            os._exit(1)
    try:
        wait_blocked(pid, "nanosleep", "clock_nanosleep")
        queue.notify().close()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_closing_any_handle_of_the_queue_in_this_process_drops_it(
    queue: MessageQueue, notification: Notification
) -> None:
    MessageQueue.open(queue.name).close()
    with pytest.raises(RemovedError, match=r"arm\(\) makes a new one"):
        notification.wait(timeout=0)
    assert not notification.armed
    notification.arm()
    queue.send(b"x")
    assert fired(notification)


def test_closing_in_another_process_does_not(queue: MessageQueue, notification: Notification, spawn: Spawn) -> None:
    code = f"from ipckit.posix import MessageQueue; MessageQueue.open({queue.name!r}).close()"
    subprocess.run([sys.executable, "-c", code], check=True)
    pid = os.fork()
    if pid == 0:
        try:
            queue.close()
            notification.close()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert notification.armed
    queue.send(b"x")
    assert fired(notification)


def test_cancelling_again_does_nothing(queue: MessageQueue, notification: Notification) -> None:
    for _ in range(2):
        notification.cancel()
        queue.cancel_notification()
        with pytest.raises(RemovedError):
            notification.wait()
    queue.send(b"x")
    with pytest.raises(RemovedError):
        notification.wait()
    queue.receive()
    notification.arm()
    queue.send(b"x")
    assert fired(notification)
    notification.cancel()
    assert fired(notification), "what is told can't be taken back"


def test_cancel_of_a_used_up_one_spares_another(queue: MessageQueue, notification: Notification) -> None:
    queue.send(b"x")
    with queue.notify() as other:
        notification.cancel()
        assert other.armed
        notification.close()
        assert other.armed


def test_a_wait_ends_when_it_is_cancelled(queue: MessageQueue, notification: Notification) -> None:
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            notification.wait()
        except RemovedError as error:
            caught.append(error)

    for end in (notification.cancel, queue.cancel_notification, MessageQueue.open(queue.name).close, queue.close):
        if not queue.closed:
            notification.arm()
        thread = threading.Thread(target=wait)
        thread.start()
        wait_blocked(os.getpid(), "poll", tid=thread.native_id)
        end()
        thread.join()
    assert [type(error) for error in caught] == [RemovedError] * 4
    with pytest.raises(ClosedError):
        notification.arm()


def test_a_forked_child_may_look_but_not_renew(queue: MessageQueue, notification: Notification) -> None:
    queue.send(b"x")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            found = [str(fired(notification))]
            try:
                notification.arm()
            except AccessError as error:
                found.append(str(error))
            notification.cancel()
            os.write(writing, "|".join(found).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        seen, refusal = file.read().split("|")
    os.waitpid(pid, 0)
    assert seen == "True"
    assert f"it is process {os.getpid()}'s" in refusal
    assert fired(notification)
    with pytest.raises(TypeError, match="cannot pickle Notification"):
        pickle.dumps(notification)


def test_threads_may_renew_at_once(queue: MessageQueue, notification: Notification) -> None:
    for _ in range(20):
        queue.send(b"x")
        threads = [threading.Thread(target=notification.arm) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert notification.armed
        queue.receive()


def test_a_descriptor_closed_behind_our_back_is_an_error(queue: MessageQueue) -> None:
    notification = queue.notify()
    os.close(notification.fileno())
    for use in (notification.arm, notification.cancel, lambda: notification.armed, notification.close):
        with pytest.raises(SyscallError) as caught:
            use()
        assert caught.value.errno == errno.EBADF
    assert notification.closed
    queue.cancel_notification()


def test_an_exception_of_a_signal_handler_leaves_no_arming_taken(notification: Notification) -> None:
    for moment in count(1):
        there_was_one = interrupted(moment, notification.arm, "ipckit")
        notification.arm()
        if not there_was_one:
            break
