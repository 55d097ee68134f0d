"""sysv.MessageQueue: types, sizes, limits, rights, status: msgget(2), msgop(2), msgctl(2)."""

from __future__ import annotations

import array
import ctypes
import errno
import os
import pickle
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sysv_ipc

from ipckit import features
from ipckit.errors import (
    AccessError,
    LimitError,
    MessageTooLargeError,
    NotFoundError,
    RemovedError,
    SyscallError,
    TimeoutExpired,
)
from ipckit.sysv import Message, MessageQueue, QueueStatus
from ipckit.sysv._box import SMALL
from ipckit.sysv._lane import CffiLane
from tests.contract.tools import in_fork
from tests.nobody import become_nobody
from tests.rights import needs_sysctls

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE_NEWIPC = 0x08000000
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
needs_msg_copy = pytest.mark.skipif(not features.has_msg_copy(), reason="a kernel without CONFIG_CHECKPOINT_RESTORE")


@pytest.fixture
def queue() -> Iterator[MessageQueue]:
    with MessageQueue.create(remove_on_close=True) as made:
        yield made


@pytest.fixture(params=["compiled", "cffi"])
def either(request: pytest.FixtureRequest, queue: MessageQueue) -> MessageQueue:
    """A queue with the fast lane of either kind."""
    if request.param == "cffi":
        queue._lane = CffiLane(queue.id, Message)
        queue._lane_send, queue._lane_receive = queue._lane.send, queue._lane.receive
    else:
        assert not isinstance(queue._lane, CffiLane), "the extension is built"
    return queue


def new_namespace(**sysctls: int) -> None:
    """Enter an IPC namespace of our own, and set limits there."""
    assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWIPC) == 0
    for name, value in sysctls.items():
        Path(f"/proc/sys/kernel/{name}").write_text(str(value))


# --- types -----------------------------------------------------------------------------------------------------


SENT = [(3, b"c"), (1, b"a1"), (2, b"b1"), (1, b"a2"), (2, b"b2")]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, [b"c", b"a1", b"b1", b"a2", b"b2"]),
        ({"type": 1}, [b"a1", b"a2"]),
        ({"type": 2}, [b"b1", b"b2"]),
        ({"type": 4}, []),
        ({"type": -1}, [b"a1", b"a2"]),
        ({"type": -2}, [b"a1", b"a2", b"b1", b"b2"]),
        ({"type": -9}, [b"a1", b"a2", b"b1", b"b2", b"c"]),
        ({"except_type": 1}, [b"c", b"b1", b"b2"]),
        ({"except_type": 4}, [b"c", b"a1", b"b1", b"a2", b"b2"]),
    ],
)
def test_a_type_chooses_and_age_orders(either: MessageQueue, choice: dict[str, int], expected: list[bytes]) -> None:
    for kind, data in SENT:
        either.send(data, type=kind)
    received = []
    while message := either.try_receive(**choice):
        assert (message.type, message.data) in SENT
        received.append(message.data)
    assert received == expected
    with pytest.raises(TimeoutExpired):
        either.receive(**choice, timeout=0)
    assert either.stat().messages == len(SENT) - len(expected)


def test_the_widest_types(either: MessageQueue) -> None:
    top = (1 << 63) - 1
    either.send(b"x", type=top)
    assert either.receive(type=top, timeout=0) == (top, b"x")
    either.send(b"x", type=top)
    assert either.receive(type=-top, timeout=0) == (top, b"x")
    either.send(b"x", type=top)
    assert either.receive(except_type=1, timeout=0).type == top


def test_a_message_has_named_fields(either: MessageQueue) -> None:
    either.send(b"x", type=7)
    message = either.receive()
    assert type(message) is Message
    assert (message.type, message.data) == (7, b"x")
    assert pickle.loads(pickle.dumps(message)) == message


def test_what_is_no_type_is_refused_by_name(either: MessageQueue) -> None:
    for full in (False, True):
        for bad in (0, -1, 1 << 63, -(1 << 63)):
            with pytest.raises(ValueError, match="type must be 1 to"):
                either.send(b"x", type=bad)
            with pytest.raises(ValueError, match="type must be 1 to"):
                either.try_send(b"x", type=bad)
        for worse in ("1", 1.0, None, b"1"):
            with pytest.raises(TypeError, match="type must be an int"):
                either.send(b"x", type=worse)
            with pytest.raises(TypeError, match="type must be an int"):
                either.receive(type=worse)
            with pytest.raises(TypeError, match="type must be an int"):
                either.try_receive(type=worse)
        with pytest.raises(ValueError, match="type must be"):
            either.receive(type=1 << 63)
        if not full:
            while either.try_send(bytes(4096)):
                pass


def test_choices_that_contradict_each_other_are_refused(queue: MessageQueue) -> None:
    queue.send(b"x")
    with pytest.raises(ValueError, match="type must be left out where except_type is given"):
        queue.receive(type=1, except_type=2)
    with pytest.raises(ValueError, match="max_size must be given where truncate"):
        queue.receive(truncate=True)
    for bad in (0, -1):
        with pytest.raises(ValueError, match="except_type"):
            queue.receive(except_type=bad)
    with pytest.raises(ValueError, match="max_size"):
        queue.receive(max_size=-1)
    with pytest.raises(ValueError, match="index"):
        queue.peek(-1)
    assert queue.stat().messages == 1


# --- content and size ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 64, 4096, SMALL])
def test_every_size_arrives_whole(either: MessageQueue, size: int) -> None:
    data = os.urandom(size)
    either.send(data)
    received = either.receive(timeout=0).data
    assert received == data
    assert type(received) is bytes


@pytest.mark.parametrize("data", [b"", b"\0", b"a\0b\0", bytes(range(256)), b"\xff\xfe", "\u00fc".encode()])
def test_content_is_bytes_and_nothing_else(either: MessageQueue, data: bytes) -> None:
    either.send(data)
    assert either.try_receive() == (1, data)


def test_an_empty_message_is_not_an_empty_queue(either: MessageQueue) -> None:
    either.send(b"")
    assert either.try_receive() == (1, b"")
    assert either.try_receive() is None


def test_any_contiguous_buffer_is_sent(queue: MessageQueue) -> None:
    for data in (bytearray(b"abcd"), memoryview(b"abcd"), array.array("B", b"abcd"), memoryview(b"xabcdx")[1:-1]):
        queue.send(data)
        assert queue.try_send(data)
        assert queue.receive().data == queue.receive().data == b"abcd"
    for bad in ("text", 5, None):
        with pytest.raises(TypeError):
            queue.send(bad)
    with pytest.raises(TypeError, match="C-contiguous"):
        queue.send(memoryview(b"abcdef")[::2])
    assert queue.stat().messages == 0


def test_a_message_larger_than_was_asked_for_stays(queue: MessageQueue) -> None:
    queue.send(b"12345")
    for size in (0, 4):
        with pytest.raises(MessageTooLargeError, match=f"max_size={size}.*stays in the queue") as caught:
            queue.receive(max_size=size)
        assert caught.value.errno == errno.E2BIG
        with pytest.raises(MessageTooLargeError):
            queue.try_receive(max_size=size)
    assert queue.stat().messages == 1
    assert queue.receive(max_size=5) == (1, b"12345")


def test_truncation_on_request_loses_the_rest(queue: MessageQueue) -> None:
    for size, expected in ((0, b""), (2, b"12"), (5, b"12345"), (99, b"12345"), (1 << 40, b"12345")):
        queue.send(b"12345")
        assert queue.receive(max_size=size, truncate=True).data == expected
        assert queue.stat().messages == 0


def test_a_message_beyond_msgmax_is_refused_with_the_sysctl(queue: MessageQueue) -> None:
    msgmax = features.limits().msgmax
    assert msgmax is not None
    if msgmax > 1 << 20:
        pytest.skip(f"kernel.msgmax is {msgmax}")
    for send in (queue.send, queue.try_send):
        with pytest.raises(MessageTooLargeError, match=rf"kernel\.msgmax={msgmax}.*{msgmax + 1}"):
            send(bytes(msgmax + 1))
    assert queue.stat().messages == 0


def test_a_message_that_never_fits_into_this_queue_is_refused_and_not_waited_with(queue: MessageQueue) -> None:
    queue.set(max_bytes=10)
    queue.send(bytes(10))
    for send in (queue.send, queue.try_send):
        with pytest.raises(MessageTooLargeError, match="max_bytes=10"):
            send(bytes(11))
    assert not queue.try_send(b"x")


def test_a_full_queue_is_one_of_bytes_or_of_messages(queue: MessageQueue) -> None:
    queue.set(max_bytes=8)
    assert queue.try_send(b"12345678")
    assert not queue.try_send(b"x")
    queue.receive()
    for _ in range(8):
        assert queue.try_send(b"")
    assert not queue.try_send(b"")
    with pytest.raises(TimeoutExpired) as caught:
        queue.send(b"", timeout=0)
    assert caught.value.syscall == "msgsnd"


def send_large_messages() -> list[object]:
    """In a namespace in which messages of more than 8 KiB are allowed."""
    new_namespace(msgmax=300_000, msgmnb=600_000)
    results: list[object] = []
    with MessageQueue.create(remove_on_close=True) as queue:
        for size in (SMALL + 1, 70_000, 300_000):
            data = os.urandom(size)
            for _ in range(2):
                queue.send(data, type=size)
            results.append(queue.try_receive(type=size) == (size, data))
            results.append(queue.peek().data == data)
            results.append(queue.receive(max_size=size, timeout=0) == (size, data))
        with pytest.raises(MessageTooLargeError):
            queue.send(bytes(300_001))
        other = MessageQueue.open_id(queue.id)  # which has seen no large message yet
        queue.send(bytes(100_000))
        with pytest.raises(MessageTooLargeError, match="99999"):
            other.receive(max_size=99_999)
        results.append(other.receive(max_size=1 << 50, truncate=True).data == bytes(100_000))
        queue.send(bytes(100_000))
        results.append(other.receive(max_size=50_000, truncate=True).data == bytes(50_000))
        with pytest.raises(ValueError, match="type must be 1"):
            queue.send(bytes(100_000), type=0)
        while queue.try_send(bytes(200_000)):
            pass
        with pytest.raises(TimeoutExpired):
            queue.send(bytes(200_000), timeout=0.01)
        results.append(queue.stat()[6:9])
        other.close()
    return results


@needs_sysctls
def test_messages_of_more_than_8_kib_where_the_administrator_allows_them() -> None:
    assert in_fork(send_large_messages) == [True] * 11 + [(3, 600_000, 600_000)]


# --- copies ----------------------------------------------------------------------------------------------------


@needs_msg_copy
def test_peek_copies_by_index_and_leaves_all(queue: MessageQueue) -> None:
    assert queue.peek() is None
    for kind, data in SENT:
        queue.send(data, type=kind)
    for index, sent in enumerate(SENT):
        assert queue.peek(index) == sent
    assert queue.peek() == SENT[0]
    assert queue.peek(len(SENT)) is None
    assert queue.peek((1 << 63) - 1) is None
    assert queue.stat().messages == len(SENT)
    assert [queue.receive() for _ in SENT] == SENT


# --- status and rights -----------------------------------------------------------------------------------------


def test_status_tells_who_did_what_when(queue: MessageQueue) -> None:
    status = queue.stat()
    assert type(status) is QueueStatus
    assert status.messages == status.bytes == status.last_send_pid == status.last_receive_pid == 0
    assert status.last_send_time == status.last_receive_time == 0
    assert abs(status.change_time - time.time()) < 60
    assert (status.uid, status.gid, status.mode) == (os.geteuid(), os.getegid(), 0o600)
    assert (status.creator_uid, status.creator_gid) == (os.geteuid(), os.getegid())
    assert status.max_bytes == features.limits().msgmnb
    queue.send(b"12345")
    queue.send(b"678")
    status = queue.stat()
    assert (status.messages, status.bytes, status.last_send_pid) == (2, 8, os.getpid())
    receiver = os.fork()
    if receiver == 0:
        queue.receive()
        os._exit(0)
    os.waitpid(receiver, 0)
    after = queue.stat()
    assert (after.messages, after.bytes, after.last_receive_pid) == (1, 3, receiver)
    assert after.last_receive_time >= status.last_send_time > 0


def test_set_changes_what_it_is_told_and_leaves_the_rest(queue: MessageQueue) -> None:
    before = queue.stat()
    queue.set()
    assert queue.stat()[:9] == before[:9]
    queue.set(mode=0o640, max_bytes=100)
    assert (queue.stat().mode, queue.stat().max_bytes, queue.stat().uid) == (0o640, 100, before.uid)
    if os.geteuid() == 0:
        queue.set(uid=5, gid=6)
        assert queue.stat()[1:6] == (5, 6, before.creator_uid, before.creator_gid, 0o640)
    for bad in ({"mode": 0o1000}, {"max_bytes": 0}, {"uid": -1}, {"gid": 1 << 32}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            queue.set(**bad)


@needs_root
def test_max_bytes_above_msgmnb_takes_a_capability() -> None:
    msgmnb = features.limits().msgmnb
    assert msgmnb is not None

    def as_nobody() -> None:
        become_nobody()
        with MessageQueue.create(remove_on_close=True) as queue:
            queue.set(max_bytes=msgmnb)
            with pytest.raises(AccessError, match=rf"kernel\.msgmnb={msgmnb}.*CAP_SYS_RESOURCE"):
                queue.set(max_bytes=msgmnb + 1)

    in_fork(as_nobody)


@needs_root
def test_the_mode_says_who_may_send_receive_and_remove(queue: MessageQueue) -> None:
    queue.set(mode=0o622)

    def as_nobody() -> None:
        become_nobody()
        other = MessageQueue.open_id(queue.id)
        other.send(b"from nobody")
        for denied in (other.receive, other.stat, other.remove, lambda: other.set(mode=0o666)):
            with pytest.raises(AccessError):
                denied()
        with pytest.raises(AccessError):
            MessageQueue.remove_id(queue.id)
        again = pickle.loads(pickle.dumps(other))  # identified without the right to look at it
        assert again.id == queue.id

    in_fork(as_nobody)
    assert queue.receive().data == b"from nobody"


@needs_root
def test_rights_are_asked_for_when_it_is_opened() -> None:
    with MessageQueue.create(f"/ipckit-test-rights-{os.getpid()}", mode=0o622, remove_on_close=True) as queue:

        def as_nobody() -> None:
            become_nobody()
            with pytest.raises(AccessError):
                MessageQueue.open(queue.name)
            with pytest.raises(AccessError):
                MessageQueue.open(queue.name, send=False)
            with MessageQueue.open(queue.name, receive=False) as sender:
                sender.send(b"x")

        in_fork(as_nobody)
        assert queue.receive().data == b"x"
        with pytest.raises(ValueError, match="at least one"):
            MessageQueue.open(queue.name, send=False, receive=False)


def one_queue_too_many() -> str:
    new_namespace(msgmni=1)
    with MessageQueue.create(remove_on_close=True):
        for key in (None, 5, f"/ipckit-test-{os.getpid()}-limit"):
            try:
                MessageQueue.create(key)
            except LimitError as error:
                text = str(error)
    assert MessageQueue.open_or_create(f"/ipckit-test-{os.getpid()}-limit", remove_on_close=True).close() is None
    return text


@needs_sysctls
def test_too_many_queues_is_a_limit_error_with_the_sysctl() -> None:
    assert "msgget: No space left on device (raise sysctl kernel.msgmni" in in_fork(one_queue_too_many)


# --- handles ---------------------------------------------------------------------------------------------------


def test_a_handle_by_key_by_number_and_by_pickle_is_of_the_same_queue() -> None:
    key = 0x1BC00000 + os.getpid() % 0x10000
    with MessageQueue.create(key, remove_on_close=True) as queue:
        assert (queue.key, queue.name) == (key, None)
        assert repr(queue) == f"<MessageQueue key={key:#010x} id={queue.id}>"
        others = [
            MessageQueue.open(key),
            MessageQueue.open_id(queue.id),
            MessageQueue.open_or_create(key),
            pickle.loads(pickle.dumps(queue)),
        ]
        for other in others:
            assert (other.id, other.key) == (queue.id, key)
            other.close()
        with pytest.raises(FileExistsError):
            MessageQueue.create(key)
    with pytest.raises(NotFoundError):
        MessageQueue.open(key)
    with pytest.raises(NotFoundError):
        MessageQueue.remove_key(key)


def test_a_private_queue_is_reached_by_its_number(queue: MessageQueue) -> None:
    assert repr(queue) == f"<MessageQueue private id={queue.id}>"
    with MessageQueue.open_id(queue.id) as other:
        other.send(b"x")
    assert queue.receive().data == b"x"
    for bad in (-1, 1 << 31):
        with pytest.raises(ValueError, match="id"):
            MessageQueue.open_id(bad)
    with pytest.raises(TypeError, match="id"):
        MessageQueue.open_id("5")


def test_what_was_removed_says_so_whatever_is_asked(queue: MessageQueue) -> None:
    pickled = pickle.dumps(queue)
    MessageQueue.remove_id(queue.id)
    for use in (
        lambda: queue.send(b"x"),
        lambda: queue.try_send(b"x"),
        lambda: queue.send(bytes(SMALL)),
        queue.receive,
        queue.try_receive,
        lambda: queue.receive(max_size=5),
        queue.peek,
        queue.stat,
        lambda: queue.set(mode=0o600),
    ):
        with pytest.raises(RemovedError) as caught:
            use()
        assert caught.value.errno == errno.EIDRM
    for find in (
        queue.remove,
        lambda: MessageQueue.remove_id(queue.id),
        lambda: MessageQueue.open_id(queue.id),
        lambda: pickle.loads(pickled),
        lambda: pickle.dumps(queue),
    ):
        with pytest.raises(NotFoundError):
            find()


def test_a_number_is_not_mistaken_for_that_of_an_earlier_queue() -> None:
    """The kernel uses numbers again; what the handle remembers beside it tells."""
    with MessageQueue.create(remove_on_close=True) as queue, MessageQueue.create(remove_on_close=True) as later:
        cls, (number, facts, name) = queue.__reduce__()[1][0], queue.__reduce__()[1][1:]
        reopened = queue.__reduce__()[0]
        with pytest.raises(NotFoundError, match="removed or changed"):
            reopened(cls, number, facts._replace(changed_s=facts.changed_s - 1), name)
        with pytest.raises(NotFoundError, match="removed or changed"):
            reopened(cls, number, facts._replace(key=5), name)
        stale = MessageQueue(later.id, facts._replace(key=5), None)
        with pytest.raises(NotFoundError, match="removed or changed"):
            stale.remove()
        stale.close()
        assert later.stat().messages == 0


def test_remove_on_close_forgives_what_is_gone_and_spares_what_is_not_its_own() -> None:
    queue = MessageQueue.create(remove_on_close=True)
    MessageQueue.remove_id(queue.id)
    queue.close()
    queue = MessageQueue.create(remove_on_close=True)
    in_fork(queue.close)
    queue.stat()
    number = queue.id
    queue.close()
    with pytest.raises(NotFoundError):
        MessageQueue.open_id(number)
    queue.close()


def test_remove_works_after_close() -> None:
    queue = MessageQueue.create()
    queue.close()
    queue.remove()
    with pytest.raises(NotFoundError):
        queue.remove()


def test_sysv_ipc_and_we_see_the_same_queue() -> None:
    theirs = sysv_ipc.MessageQueue(None, sysv_ipc.IPC_CREX)
    try:
        with MessageQueue.open(theirs.key) as ours:
            theirs.send(b"there", type=3)
            assert ours.receive() == (3, b"there")
            ours.send(b"back", type=4)
            assert theirs.receive() == (b"back", 4)
            assert (ours.id, ours.stat().max_bytes) == (theirs.id, theirs.max_size)
    finally:
        theirs.remove()


def test_other_errors_keep_their_errno(queue: MessageQueue) -> None:
    error = queue._failure(-errno.ENOMEM, "msgsnd")
    assert isinstance(error, LimitError)
    assert isinstance(queue._failure(-errno.EINVAL, "msgsnd"), SyscallError)
    assert not isinstance(queue._failure(-errno.EINVAL, "msgsnd"), RemovedError)
