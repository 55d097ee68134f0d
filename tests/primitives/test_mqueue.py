"""posix.MessageQueue: messages, waits, names, rights: mq_overview(7)."""

from __future__ import annotations

import array
import os
import pickle
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import (
    AccessError,
    AlreadyExistsError,
    ClosedError,
    MessageTooLargeError,
    NotFoundError,
    SyscallError,
    TimeoutExpired,
)
from ipckit.posix import Message, MessageQueue
from ipckit.testing import reached, wait_blocked
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user or enter a namespace")


@pytest.fixture
def queue() -> Iterator[MessageQueue]:
    with MessageQueue.create(max_messages=3, max_message_size=16, unlink_on_close=True) as made:
        yield made


def fill(queue: MessageQueue) -> None:
    while queue.try_send(b"full"):
        pass


# --- order, content, limits of one message ---------------------------------------------------------------------


def test_higher_priority_first_and_oldest_first_among_equals(queue: MessageQueue) -> None:
    for data, priority in ((b"a", 1), (b"b", 5), (b"c", 1)):
        queue.send(data, priority=priority)
    assert [queue.receive(timeout=0) for _ in range(3)] == [(b"b", 5), (b"a", 1), (b"c", 1)]


def test_a_message_has_named_fields(queue: MessageQueue) -> None:
    queue.send(b"x", priority=2)
    message = queue.receive()
    assert type(message) is Message
    assert (message.data, message.priority) == (b"x", 2)
    assert pickle.loads(pickle.dumps(message)) == message


@pytest.mark.parametrize("size", [0, 1, 7, 8, 15, 16])
def test_every_size_up_to_the_limit_arrives_whole(queue: MessageQueue, size: int) -> None:
    data = bytes(range(size))
    queue.send(data)
    received = queue.receive(timeout=0).data
    assert received == data
    assert type(received) is bytes
    assert hash(received) == hash(data)


def test_an_empty_message_is_not_an_empty_queue(queue: MessageQueue) -> None:
    queue.send(b"")
    assert queue.try_receive() == (b"", 0)
    assert queue.try_receive() is None


def test_small_messages_are_kept_in_small_memory() -> None:
    with MessageQueue.create(unlink_on_close=True) as queue:
        # What malloc reserves is not seen by getsizeof, but what the allocator was asked for is.
        import tracemalloc

        queue.send(b"x")
        queue.receive()
        tracemalloc.start()
        kept = []
        for _ in range(100):
            queue.send(b"x")
            kept.append(queue.receive())
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(kept) == 100
    assert size < 100 * 1024


def test_a_message_too_long_is_refused_whole(queue: MessageQueue) -> None:
    with pytest.raises(MessageTooLargeError, match="max_message_size is 16"):
        queue.send(bytes(17))
    with pytest.raises(MessageTooLargeError):
        queue.try_send(bytes(17))
    fill(queue)
    with pytest.raises(MessageTooLargeError):  # and at once: no wait would make it fit
        queue.send(bytes(17))
    assert queue.receive().data == b"full"


def test_priorities_end_at_32767(queue: MessageQueue) -> None:
    queue.send(b"top", priority=32767)
    assert queue.receive() == (b"top", 32767)
    for bad in (32768, -1, 1 << 80, -(1 << 80)):
        with pytest.raises(ValueError, match="priority must be 0 to 32767"):
            queue.send(b"", priority=bad)
    for wrong in (1.5, "1", None):
        with pytest.raises(TypeError, match="priority"):
            queue.send(b"", priority=wrong)
    assert queue.attributes().current_messages == 0


@pytest.mark.parametrize(
    "data", [bytearray(b"abcd"), memoryview(b"abcd"), array.array("b", b"abcd"), memoryview(b"abcd").cast("I")]
)
def test_any_contiguous_buffer_is_sent(queue: MessageQueue, data: object) -> None:
    queue.send(data)
    assert queue.try_send(data)
    assert queue.receive().data == queue.receive().data == b"abcd"


class BytesChild(bytes):
    __slots__ = ()


def test_a_subclass_of_bytes_is_a_buffer_too(queue: MessageQueue) -> None:
    queue.send(BytesChild(b"abc"))
    assert queue.receive().data == b"abc"


@pytest.mark.parametrize("wrong", ["text", 5, None, [1], memoryview(b"abcd")[::2]])
def test_what_is_no_contiguous_buffer_is_a_type_error(queue: MessageQueue, wrong: object) -> None:
    for _ in range(200):  # an argument that posix_ipc mishandles would crash on the way
        with pytest.raises(TypeError):
            queue.send(wrong)
        with pytest.raises(TypeError):
            queue.try_send(wrong)
    assert queue.attributes().current_messages == 0


# --- timeouts ----------------------------------------------------------------------------------------------------


def test_never_waiting(queue: MessageQueue) -> None:
    assert queue.try_receive() is None
    with pytest.raises(TimeoutExpired, match=r"mq_timedreceive: The time given is up"):
        queue.receive(timeout=0)
    fill(queue)
    assert queue.try_send(b"") is False
    with pytest.raises(TimeoutExpired, match=r"mq_timedsend"):
        queue.send(b"", timeout=0)
    assert queue.attributes().current_messages == 3


def test_a_timeout_is_waited_for(queue: MessageQueue) -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutExpired):
        queue.receive(timeout=0.12)
    assert time.monotonic() - start >= 0.12
    fill(queue)
    start = time.monotonic()
    with pytest.raises(TimeoutExpired):
        queue.send(b"", timeout=0.12)
    assert time.monotonic() - start >= 0.12


def test_a_tiny_timeout_takes_what_is_there(queue: MessageQueue) -> None:
    queue.send(b"x", timeout=1e-9)
    assert queue.receive(timeout=1e-9).data == b"x"


@pytest.mark.parametrize("bad", [-1, -0.001, float("nan"), float("-inf")])
def test_bad_timeouts_are_refused_even_if_no_wait_is_needed(queue: MessageQueue, bad: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        queue.send(b"x", timeout=bad)
    queue.send(b"x")
    with pytest.raises(ValueError, match="timeout"):
        queue.receive(timeout=bad)
    assert queue.attributes().current_messages == 1


@pytest.mark.parametrize("wrong", [True, "1", 1j])
def test_a_timeout_is_a_number(queue: MessageQueue, wrong: object) -> None:
    with pytest.raises(TypeError, match="timeout"):
        queue.send(b"x", timeout=wrong)
    with pytest.raises(TypeError, match="timeout"):
        queue.receive(timeout=wrong)


def test_an_endless_timeout_is_none(queue: MessageQueue) -> None:
    queue.send(b"x", timeout=float("inf"))
    assert queue.receive(timeout=1e300).data == b"x"


# --- waits: other processes, signals, close ----------------------------------------------------------------------


def receive_and_reply(name: str) -> None:
    with MessageQueue.open(name) as queue:
        queue.send(queue.receive(timeout=10).data[::-1])


def send_to_full(name: str, timeout: float | None) -> None:
    with MessageQueue.open(name) as queue:
        queue.send(b"late", timeout=timeout)


def test_a_send_wakes_a_blocked_receiver(queue: MessageQueue, spawn: Spawn) -> None:
    peer = spawn(receive_and_reply, queue.name)
    peer.wait_blocked("poll")
    queue.send(b"abc")
    peer.result()
    assert queue.receive(timeout=5).data == b"cba"


def test_a_receive_wakes_a_blocked_sender(queue: MessageQueue, spawn: Spawn) -> None:
    fill(queue)
    peer = spawn(send_to_full, queue.name, None)
    peer.wait_blocked("poll")
    assert queue.receive().data == b"full"
    peer.result()
    assert [queue.receive().data for _ in range(3)] == [b"full", b"full", b"late"]


def test_killing_a_blocked_receiver_loses_no_message(queue: MessageQueue, spawn: Spawn) -> None:
    victim = spawn(receive_and_reply, queue.name)
    victim.wait_blocked("poll")
    victim.kill()
    assert victim.join() == -signal.SIGKILL
    queue.send(b"survives")
    assert queue.receive(timeout=0).data == b"survives"


def test_killing_a_blocked_sender_sends_nothing(queue: MessageQueue, spawn: Spawn) -> None:
    fill(queue)
    victim = spawn(send_to_full, queue.name, None)
    victim.wait_blocked("poll")
    victim.kill()
    assert victim.join() == -signal.SIGKILL
    assert [queue.receive(timeout=0).data for _ in range(3)] == [b"full"] * 3
    assert queue.try_receive() is None


def wait_through_signals(name: str, timeout: float) -> tuple[int, float]:
    ran = []
    signal.signal(signal.SIGALRM, lambda *_: ran.append(1))
    with MessageQueue.open(name) as queue:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)  # a wait that began anew each time would never end
        start = time.monotonic()
        with pytest.raises(TimeoutExpired):
            queue.receive(timeout=timeout)
        waited = time.monotonic() - start
        signal.setitimer(signal.ITIMER_REAL, 0)
        return len(ran), waited


@pytest.mark.slow
def test_a_handler_runs_and_the_wait_goes_on_with_what_is_left(queue: MessageQueue, spawn: Spawn) -> None:
    ran, waited = spawn(wait_through_signals, queue.name, 0.3).result()
    assert ran >= 1
    assert waited >= 0.3


class HandlerError(Exception):
    pass


def raise_handler_error(*_: object) -> None:
    raise HandlerError


def wait_until_a_handler_raises(name: str) -> str:
    signal.signal(signal.SIGUSR1, raise_handler_error)
    with MessageQueue.open(name) as queue:
        reached("waiting")
        try:
            queue.receive()
        except (HandlerError, KeyboardInterrupt) as error:
            return type(error).__name__
    return "returned"


@pytest.mark.parametrize(
    ("signum", "expected"), [(signal.SIGUSR1, "HandlerError"), (signal.SIGINT, "KeyboardInterrupt")]
)
def test_a_handler_that_raises_ends_the_wait(queue: MessageQueue, spawn: Spawn, signum: int, expected: str) -> None:
    peer = spawn(wait_until_a_handler_raises, queue.name)
    peer.wait_reached("waiting")
    peer.wait_blocked("poll")
    peer.send_signal(signum)
    assert peer.result() == expected
    queue.send(b"kept")
    assert queue.receive(timeout=0).data == b"kept"


@pytest.mark.parametrize("verb", ["send", "receive"])
def test_close_ends_a_wait_in_another_thread(queue: MessageQueue, verb: str) -> None:
    handle = MessageQueue.open(queue.name)
    if verb == "send":
        fill(queue)
    caught: list[BaseException] = []
    started = threading.Event()
    tids: list[int] = []

    def wait() -> None:
        tids.append(threading.get_native_id())
        started.set()
        try:
            handle.send(b"") if verb == "send" else handle.receive()
        except ClosedError as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    started.wait()
    wait_blocked(os.getpid(), "poll", tid=tids[0])
    handle.close()
    thread.join(10)
    assert [type(error) for error in caught] == [ClosedError]


def test_threads_share_a_handle_and_lose_nothing(queue: MessageQueue) -> None:
    received: list[bytes] = []

    def produce(start: int) -> None:
        for number in range(start, start + 200):
            queue.send(b"%d" % number, timeout=20)

    def consume() -> None:
        received.extend(queue.receive(timeout=20).data for _ in range(200))

    threads = [threading.Thread(target=produce, args=(start,)) for start in (0, 200)]
    threads += [threading.Thread(target=consume) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, received)) == list(range(400))


def test_a_forked_child_uses_the_same_queue(queue: MessageQueue) -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            queue.send(b"from the child")
            queue.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert queue.receive(timeout=0).data == b"from the child"
    queue.send(b"named still")
    with MessageQueue.open(queue.name) as again:
        assert again.receive(timeout=0).data == b"named still"


def test_attributes(queue: MessageQueue) -> None:
    assert (queue.max_messages, queue.max_message_size) == (3, 16)
    queue.send(b"x")
    attributes = queue.attributes()
    assert (attributes.max_messages, attributes.max_message_size, attributes.current_messages) == (3, 16, 1)


# --- names and life cycle -------------------------------------------------------------------------------------------


def test_create_is_exclusive_and_open_is_not(queue: MessageQueue) -> None:
    with pytest.raises(AlreadyExistsError, match=queue.name):
        MessageQueue.create(queue.name)
    with pytest.raises(NotFoundError, match=r"mq_open: No such file.*'/ipckit-none'"):
        MessageQueue.open("/ipckit-none")


def test_open_or_create_ignores_the_arguments_of_create_for_what_exists(queue: MessageQueue) -> None:
    with MessageQueue.open_or_create(queue.name, max_messages=7, mode=0o644) as other:
        assert other.max_messages == 3
        assert os.fstat(other.fileno()).st_mode & 0o777 == 0o600
    name = queue.name + "-new"
    with MessageQueue.open_or_create(name, max_messages=7, unlink_on_close=True) as other:
        assert other.max_messages == 7


def test_handles_outlive_the_name(queue: MessageQueue) -> None:
    with MessageQueue.create() as unlinked:
        with MessageQueue.open(unlinked.name) as other:
            unlinked.unlink()
            other.send(b"still")
            assert unlinked.receive(timeout=0).data == b"still"
        with pytest.raises(NotFoundError, match="mq_unlink"):
            unlinked.unlink()
        with pytest.raises(NotFoundError):
            MessageQueue.open(unlinked.name)


@pytest.mark.parametrize("name", ["", "x", "/", "/a/b", "/a\0b", "/.", "/..", "/" + "n" * 256])
def test_bad_names(name: str) -> None:
    for verb in (MessageQueue.create, MessageQueue.open, MessageQueue.unlink_name):
        with pytest.raises(ValueError, match="name"):
            verb(name)


def test_the_longest_name() -> None:
    with MessageQueue.create(f"/{os.getpid()}".ljust(256, "n"), unlink_on_close=True) as queue:
        queue.send(b"x")


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o777, 0o000])
def test_the_mode_is_exact_whatever_the_umask(mode: int) -> None:
    old = os.umask(0o777)
    try:
        with MessageQueue.create(mode=mode, unlink_on_close=True) as queue:
            assert os.fstat(queue.fileno()).st_mode & 0o777 == mode
    finally:
        os.umask(old)


@pytest.mark.parametrize("how", [{"max_messages": 0}, {"max_message_size": 0}, {"mode": 0o1777}, {"max_messages": -1}])
def test_values_out_of_range(how: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(how))):
        MessageQueue.create(**how)


@pytest.mark.parametrize(
    "how", [{"max_messages": 1.0}, {"max_message_size": "1"}, {"mode": None}, {"max_messages": True}]
)
def test_values_of_a_wrong_type(how: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=next(iter(how))):
        MessageQueue.create(**how)


def test_everything_is_closed_after_close() -> None:
    queue = MessageQueue.create(unlink_on_close=True)
    queue.close()
    queue.close()
    assert queue.closed
    assert repr(queue) == "<MessageQueue closed>"
    for use in (
        lambda: queue.send(b""),
        lambda: queue.try_send(b""),
        queue.receive,
        queue.try_receive,
        queue.attributes,
        queue.fileno,
        lambda: pickle.dumps(queue),
    ):
        with pytest.raises(ClosedError):
            use()


def use_pickled(queue: MessageQueue) -> str:
    with queue:
        queue.send(b"from the pickle")
        return type(queue).__name__


def test_a_pickle_opens_the_same_queue(queue: MessageQueue, spawn: Spawn) -> None:
    assert spawn(use_pickled, queue).result() == "MessageQueue"
    assert queue.receive(timeout=0).data == b"from the pickle"


def test_a_pickle_does_not_open_another_queue_of_that_name() -> None:
    with MessageQueue.create() as queue:
        packed = pickle.dumps(queue)
        queue.unlink()
        with pytest.raises(NotFoundError):
            pickle.loads(packed)
        with (
            MessageQueue.create(queue.name, unlink_on_close=True),
            pytest.raises(NotFoundError, match="belongs to another"),
        ):
            pickle.loads(packed)


# --- rights ----------------------------------------------------------------------------------------------


def test_a_handle_for_one_direction_says_so(queue: MessageQueue) -> None:
    with MessageQueue.open(queue.name, receive=False) as sender, MessageQueue.open(queue.name, send=False) as receiver:
        sender.send(b"x")
        assert receiver.receive(timeout=0).data == b"x"
        with pytest.raises(AccessError, match="send=False"):
            receiver.send(b"x")
        with pytest.raises(AccessError, match="receive=False"):
            sender.receive(timeout=0)
        with pickle.loads(pickle.dumps(sender)) as again, pytest.raises(AccessError, match="receive=False"):
            again.try_receive()
    with pytest.raises(ValueError, match="at least one"):
        MessageQueue.open(queue.name, receive=False, send=False)


def as_nobody(name: str) -> list[str]:
    become_nobody()
    results = []
    for how in ({}, {"send": False}, {"receive": False}):
        try:
            with MessageQueue.open(name, **how):
                results.append("open")
        except AccessError as error:
            results.append(f"{error.syscall} {error.errno}")
    try:
        MessageQueue.unlink_name(name)
    except AccessError as error:
        results.append(f"{error.syscall} {error.errno}")
    return results


@needs_root
def test_another_user_gets_what_the_mode_gives(spawn: Spawn) -> None:
    with MessageQueue.create(mode=0o602, unlink_on_close=True) as queue:
        denied = "mq_open 13"
        assert spawn(as_nobody, queue.name).result() == [denied, denied, "open", "mq_unlink 13"]


def test_errors_carry_errno_and_call() -> None:
    with pytest.raises(SyscallError) as caught:
        MessageQueue.unlink_name("/ipckit-none")
    assert (caught.value.errno, caught.value.syscall, caught.value.filename) == (2, "mq_unlink", "/ipckit-none")
    assert isinstance(caught.value, FileNotFoundError)
