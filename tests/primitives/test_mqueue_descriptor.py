"""posix.MessageQueue as a descriptor: flags, readiness, and what the mqueue file system tells: mq_overview(7)."""

from __future__ import annotations

import ctypes
import os
import select
import selectors
import signal
import socket
import tempfile
import time
from typing import TYPE_CHECKING

import posix_ipc
import pytest

from ipckit.errors import AccessError, NotFoundError, SyscallError, TimeoutExpired, UnsupportedError
from ipckit.features import mqueue_mount
from ipckit.posix import MessageQueue, QueueStatus, message_queues
from ipckit.sockets.unix import Stream
from ipckit.testing import _mqueues
from tests.contract.tools import in_fork
from tests.inspect.elsewhere import CLONE_NEWIPC, CLONE_NEWNS, enter, mount
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipckit.testing import Spawn


@pytest.fixture
def queue() -> Iterator[MessageQueue]:
    with MessageQueue.create(max_messages=3, max_message_size=16, unlink_on_close=True) as made:
        yield made


@pytest.fixture
def mounted() -> str:
    """A folder with the queues in it, on whatever machine."""
    folder = _mqueues.folder()
    return pytest.skip("no mqueue file system, nor the right to mount one") if folder is None else str(folder)


def fill(queue: MessageQueue) -> None:
    while queue.try_send(b"full"):
        pass


def receive_and_reply(queue: MessageQueue) -> None:
    with queue:
        queue.send(queue.receive(timeout=10).data[::-1])


# --- O_NONBLOCK --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocking", [True, False])
def test_o_nonblock_of_the_description_does_not_matter(queue: MessageQueue, blocking: bool, spawn: Spawn) -> None:
    os.set_blocking(queue.fileno(), blocking)
    assert queue.try_receive() is None
    with pytest.raises(TimeoutExpired):
        queue.receive(timeout=0)
    with pytest.raises(TimeoutExpired):
        queue.receive(timeout=0.01)
    fill(queue)
    assert not queue.try_send(b"")
    with pytest.raises(TimeoutExpired):
        queue.send(b"", timeout=0.01)
    assert [queue.receive().data for _ in range(3)] == [b"full"] * 3
    assert os.get_blocking(queue.fileno()) is blocking


def test_the_description_is_as_mq_open_makes_it_and_is_the_handles_own(queue: MessageQueue) -> None:
    with MessageQueue.open(queue.name) as other:
        assert os.get_blocking(queue.fileno())
        os.set_blocking(other.fileno(), False)
        assert os.get_blocking(queue.fileno())
        copy = os.dup(queue.fileno())
        os.set_blocking(copy, False)
        os.close(copy)
        assert not os.get_blocking(queue.fileno())


def test_a_forked_child_shares_the_flag_and_harms_nobody(queue: MessageQueue) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            os.set_blocking(queue.fileno(), False)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert not os.get_blocking(queue.fileno())
    with pytest.raises(TimeoutExpired):
        queue.receive(timeout=0.01)


def test_mq_setattr_changes_the_flag_and_nothing_else(queue: MessageQueue, spawn: Spawn) -> None:
    other = posix_ipc.MessageQueue(queue.name)
    other.block = False
    assert (other.max_messages, other.max_message_size, other.current_messages) == queue.attributes() == (3, 16, 0)
    other.block = True
    peer = spawn(receive_and_reply, queue)
    peer.wait_blocked("poll")
    other.send(b"ab")
    peer.result()
    assert other.receive() == (b"ba", 0)
    other.close()


def test_a_descriptor_that_was_passed_on_is_the_same_queue(queue: MessageQueue) -> None:
    here, there = Stream.pair()
    with here, there:
        here.send_fds(b"q", [queue.fileno()])
        _, (fd,) = there.receive_fds(1, 1)
    queue.send(b"x")
    assert select.select([fd], [], [], 0)[0] == [fd]
    os.close(fd)
    assert queue.receive(timeout=0).data == b"x"


# --- readiness ---------------------------------------------------------------------------------------------------


def test_the_descriptor_is_pollable_and_close_on_exec(queue: MessageQueue) -> None:
    assert queue.pollable
    assert not os.get_inheritable(queue.fileno())
    assert repr(queue) == f"<MessageQueue {queue.name!r} fd={queue.fileno()}>"
    poller = select.poll()
    poller.register(queue, select.POLLIN | select.POLLOUT)
    assert poller.poll(0) == [(queue.fileno(), select.POLLOUT)]
    queue.send(b"x")
    assert poller.poll(0) == [(queue.fileno(), select.POLLIN | select.POLLOUT)]
    fill(queue)
    assert poller.poll(0) == [(queue.fileno(), select.POLLIN)]


def test_epoll_and_selectors_see_queues_among_others(queue: MessageQueue) -> None:
    left, right = socket.socketpair()
    with left, right, selectors.DefaultSelector() as selector, select.epoll() as edges:
        selector.register(queue, selectors.EVENT_READ)
        selector.register(right, selectors.EVENT_READ)
        edges.register(queue, select.EPOLLIN | select.EPOLLET)
        assert selector.select(0) == edges.poll(0) == []
        queue.send(b"x")
        assert [key.fileobj for key, _ in selector.select(1)] == [queue]
        assert edges.poll(0) == [(queue.fileno(), select.EPOLLIN)]
        assert edges.poll(0) == []
        left.send(b"x")
        assert {key.fileobj for key, _ in selector.select(1)} == {queue, right}
        queue.receive()
        assert [key.fileobj for key, _ in selector.select(1)] == [right]


def send_numbers(name: str, count: int) -> None:
    with MessageQueue.open(name) as queue:
        for number in range(count):
            queue.send(b"%d" % number, timeout=10)


def test_asyncio_reads_and_writes_by_readiness(queue: MessageQueue, spawn: Spawn) -> None:
    import asyncio

    async def read(count: int) -> list[int]:
        loop = asyncio.get_running_loop()
        received: list[int] = []
        done = asyncio.Event()

        def ready() -> None:
            while (message := queue.try_receive()) is not None:
                received.append(int(message.data))
            if len(received) == count:
                done.set()

        loop.add_reader(queue, ready)
        await asyncio.wait_for(done.wait(), 20)
        loop.remove_reader(queue)
        return received

    async def write() -> None:
        loop = asyncio.get_running_loop()
        room = asyncio.Event()
        fill(queue)
        loop.add_writer(queue, room.set)
        assert not room.is_set()
        queue.receive()
        await asyncio.wait_for(room.wait(), 20)
        loop.remove_writer(queue)

    peer = spawn(send_numbers, queue.name, 50)
    assert asyncio.run(read(50)) == list(range(50))
    peer.result()
    asyncio.run(write())


# --- status and listing ------------------------------------------------------------------------------------------


def test_stat_needs_no_mount(queue: MessageQueue) -> None:
    queue.send(b"abc")
    queue.send(b"de")
    status, found = queue.stat(), os.fstat(queue.fileno())
    assert status[:8] == (queue.name, 5, None, 0, 0, 0o600, os.geteuid(), os.getegid())
    assert (status.messages, status.max_messages, status.max_message_size) == (2, 3, 16)
    assert (status.device, status.inode) == (found.st_dev, found.st_ino)
    assert time.time() - 60 < status.used_time <= time.time()
    queue.notify(signal=signal.SIGUSR2)
    assert queue.stat()[2:5] == ("signal", signal.SIGUSR2, os.getpid())
    queue.cancel_notification()
    with queue.notify():
        assert queue.stat()[2:5] == ("thread", 0, os.getpid())
    with MessageQueue.open(queue.name, receive=False) as sender, pytest.raises(AccessError, match="receive=False"):
        sender.stat()


def listed(name: str, folder: str) -> QueueStatus | None:
    return next((status for status in message_queues(folder) if status.name == name), None)


def test_the_listing_has_every_queue_until_it_is_unlinked(queue: MessageQueue, mounted: str) -> None:
    queue.send(b"abc")
    with MessageQueue.create(mode=0o640, unlink_on_close=True) as other:
        names = [status.name for status in message_queues(mounted)]
        assert names == sorted(names)
        assert {queue.name, other.name} <= set(names)
        assert listed(queue.name, mounted) == queue.stat()
        assert listed(other.name, mounted) == other.stat()
        other.unlink()
        assert listed(other.name, mounted) is None


def test_looking_at_queues_drops_no_registration(queue: MessageQueue, mounted: str) -> None:
    """The kernel drops it when its process closes any descriptor of the queue, one to look at it included."""
    with queue.notify() as notification:
        status = listed(queue.name, mounted)
        assert status is not None
        assert status[2:5] == ("thread", 0, os.getpid())
        queue.stat()
        assert notification.armed


@pytest.mark.parametrize("successor", [None, "/proc/self/status"], ids=["number is free", "number is a file's"])
def test_a_queue_that_is_closed_while_it_is_looked_at_is_listed(
    mounted: str, successor: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = MessageQueue.create()
    queue.send(b"abc")
    number, pread = queue.fileno(), os.pread

    def close_and_read(fd: int, size: int, offset: int) -> bytes:
        if not queue.closed and fd == number:
            queue.close()
            if successor is not None:
                taken = os.open(successor, os.O_RDONLY)
                if taken != number:
                    os.dup2(taken, number)
                    os.close(taken)
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", close_and_read)
    try:
        status = listed(queue.name, mounted)
        assert status is not None
        assert (status.messages, status.qsize) == (1, 3)
    finally:
        queue.unlink_name(queue.name)
        if successor is not None:
            os.close(number)


def test_a_queue_that_is_open_for_sending_alone_is_listed_without_its_content(mounted: str) -> None:
    with MessageQueue.create() as made:
        name = made.name
    with MessageQueue.open(name, receive=False) as sender, sender.notify() as notification:
        status = listed(name, mounted)
        assert status is not None
        assert (status.qsize, status.notify, status.notify_pid) == (None, None, None)
        assert (status.messages, status.max_messages, status.max_message_size) == (0, 10, 8192)
        assert status.mode == 0o600
        assert notification.armed
    MessageQueue.unlink_name(name)


def mount_and_list() -> str | tuple[str, list[str], list[str]]:
    """With mounts of our own: what is said where nothing is mounted, and what is found once it is."""
    uid = os.geteuid()
    libc = ctypes.CDLL(None)
    if refused := enter(CLONE_NEWNS | CLONE_NEWIPC):
        return refused
    while (where := mqueue_mount()) is not None:
        if libc.umount2(where.encode(), 2):
            return "unshare: what is mounted here can't be unmounted"
    try:
        message_queues()
    except UnsupportedError as error:
        refusal = str(error)
    else:
        refusal = "no error"
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # others need not be able to search TMPDIR
        assert mount("none", folder, "mqueue") == ""
        MessageQueue.create("/b").close()  # it ends with the namespace
        with MessageQueue.create("/a", mode=0o604, unlink_on_close=True) as readable:
            readable.send(b"abc")
            mine = [status.name for status in message_queues()]
            os.chmod(folder, 0o1755)
            theirs = in_fork(as_nobody_sees) if uid == 0 else ["/a 3", "/b None"]
        libc.umount2(folder.encode(), 2)
    return refusal, mine, theirs


def as_nobody_sees() -> list[str]:
    become_nobody()
    return [f"{status.name} {status.qsize}" for status in message_queues()]


def test_where_it_is_not_mounted_the_error_says_how(spawn: Spawn) -> None:
    result = spawn(mount_and_list).result()
    if isinstance(result, str):
        pytest.skip(result)
    refusal, mine, theirs = result
    assert "mount -t mqueue none /dev/mqueue" in refusal
    assert mine == ["/a", "/b"]
    assert theirs == ["/a 3", "/b None"]


def test_a_folder_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "no-queue").touch()
    with pytest.raises(SyscallError, match=r"Bad file descriptor.*no-queue"):
        message_queues(str(tmp_path))


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(NotFoundError, match="/nowhere"):
        message_queues("/nowhere")
