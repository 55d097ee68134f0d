"""sysv.MessageQueue: waits, the timer that ends them, threads, signals, deaths: msgop(2), timer_create(2)."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipckit import interrupt
from ipckit.errors import BusyError, LimitError, MessageTooLargeError, RemovedError, TimeoutExpired
from ipckit.sysv import MessageQueue
from ipckit.testing import wait_blocked
from tests.contract.tools import Background, in_fork, when_main_thread_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Child, Spawn


@pytest.fixture
def queue() -> Iterator[MessageQueue]:
    with MessageQueue.create(remove_on_close=True) as made:
        yield made


def fill(queue: MessageQueue) -> None:
    while queue.try_send(bytes(4096)):
        pass


def times_out(queue: MessageQueue, timeout: float = 0.001) -> None:
    began = time.monotonic_ns()
    with pytest.raises(TimeoutExpired):
        queue.receive(timeout=timeout)
    assert time.monotonic_ns() - began >= timeout * 1e9


def blocks(queue: MessageQueue) -> None:
    """Really wait in the kernel, which a thread that the scheduler neglects may find no time for."""
    sender = when_main_thread_blocks(("msgrcv",), lambda: queue.send(b"x"))
    queue.receive()
    sender.join()


# --- waiting ---------------------------------------------------------------------------------------------------


def test_a_receiver_waits_for_its_type_alone(queue: MessageQueue) -> None:
    waiter = Background(lambda: queue.receive(type=5))
    other = Background(lambda: queue.receive(except_type=5))
    bounded = Background(lambda: queue.receive(type=-4, max_size=1))
    for thread in (waiter, other, bounded):
        thread.wait_blocked("msgrcv")
    queue.send(b"x", type=5)
    assert waiter.join() == (5, b"x")
    queue.send(b"y", type=7)
    assert other.join() == (7, b"y")
    queue.send(b"z", type=4)
    assert bounded.join() == (4, b"z")


def test_a_message_that_is_too_large_ends_a_bounded_wait_and_stays(queue: MessageQueue) -> None:
    waiter = Background(lambda: queue.receive(max_size=1))
    waiter.wait_blocked("msgrcv")
    queue.send(b"12")
    with pytest.raises(MessageTooLargeError):
        waiter.join()
    assert queue.receive() == (1, b"12")


def test_a_sender_waits_for_room(queue: MessageQueue) -> None:
    fill(queue)
    sender = Background(lambda: queue.send(b"last", type=9))
    sender.wait_blocked("msgsnd")
    queue.receive()
    sender.join()
    assert queue.receive(type=9).data == b"last"


def test_more_room_made_by_set_lets_a_sender_go_on(queue: MessageQueue) -> None:
    queue.set(max_bytes=10)
    queue.send(bytes(10))
    sender = Background(lambda: queue.send(b"x"))
    sender.wait_blocked("msgsnd")
    queue.set(max_bytes=20)
    sender.join()


def test_each_message_goes_to_one_of_many_receivers(queue: MessageQueue) -> None:
    def receive_all() -> list[bytes]:
        received = []
        while data := queue.receive().data:
            received.append(data)
        return received

    threads = [Background(receive_all) for _ in range(4)]
    sent = [b"%d" % number for number in range(1000)]
    for data in sent:
        queue.send(data)
    for _ in threads:
        queue.send(b"", timeout=10)
    received = [data for thread in threads for data in thread.join()]
    assert sorted(received) == sorted(sent)


def send_numbers(queue: MessageQueue, count: int) -> None:
    for number in range(count):
        while True:
            try:
                queue.send(b"%d" % number, timeout=20e-6)
            except TimeoutExpired:
                continue
            break


def test_no_message_is_lost_to_timeouts(queue: MessageQueue, spawn: Spawn) -> None:
    """Both sides give up all the time; the C core's test does it with far more messages."""
    queue.set(max_bytes=16)
    child = spawn(send_numbers, queue, 500)
    received = []
    while len(received) < 500:
        try:
            received.append(int(queue.receive(timeout=20e-6).data))
        except TimeoutExpired:
            pass
    assert received == list(range(500))
    child.join()
    assert queue.stat().messages == 0


# --- what ends a wait from outside -----------------------------------------------------------------------------


def wait_in(queue: MessageQueue, verb: str) -> str:
    try:
        queue.receive() if verb == "receive" else queue.send(b"x")
    except RemovedError as error:
        return str(error)
    return "done"


@pytest.mark.parametrize(("verb", "syscall"), [("receive", "msgrcv"), ("send", "msgsnd")])
def test_removal_by_another_process_ends_a_wait(spawn: Spawn, verb: str, syscall: str) -> None:
    queue = MessageQueue.create()
    if verb == "send":
        fill(queue)
    child = spawn(wait_in, queue, verb)
    child.wait_blocked(syscall)
    queue.remove()
    queue.close()
    assert child.result().startswith(f"[Errno 43] {syscall}: Identifier removed: ")


def test_a_waiter_that_is_stopped_and_continued_waits_on(queue: MessageQueue, spawn: Spawn) -> None:
    child = spawn(wait_in, queue, "receive")
    child.wait_blocked("msgrcv")
    child.send_signal(signal.SIGSTOP)
    child.send_signal(signal.SIGCONT)
    child.wait_blocked("msgrcv")
    queue.send(b"x")
    assert child.result() == "done"


def kill(child: Child) -> None:
    """And wait for its end: until then the kernel may give it a message, which goes with it."""
    child.kill()
    assert child.join() == -signal.SIGKILL


def test_a_waiter_that_is_killed_takes_no_message_with_it(queue: MessageQueue, spawn: Spawn) -> None:
    child = spawn(wait_in, queue, "receive")
    child.wait_blocked("msgrcv")
    kill(child)
    queue.send(b"x")
    assert queue.receive(timeout=0).data == b"x"
    fill(queue)
    before = queue.stat().messages
    child = spawn(wait_in, queue, "send")
    child.wait_blocked("msgsnd")
    kill(child)
    assert queue.stat().messages == before
    queue.receive()
    assert queue.stat().messages == before - 1, "the killed sender's message is not in it"


# --- the timer and its signal ----------------------------------------------------------------------------------


def has_handler(signum: int) -> bool:
    status = Path("/proc/self/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signum - 1) & 1)


def test_the_signal_is_taken_by_the_first_wait_that_blocks(spawn: Spawn) -> None:
    assert spawn(watch_the_handler).result() == [signal.SIGRTMAX - 3, False, True]


def watch_the_handler() -> list[object]:
    with MessageQueue.create(remove_on_close=True) as queue:
        queue.send(b"x", timeout=1)
        queue.receive(timeout=1)
        queue.try_receive()
        with pytest.raises(TimeoutExpired):
            queue.receive(timeout=0)
        found: list[object] = [interrupt.signal_number(), has_handler(interrupt.signal_number())]
        blocks(queue)
        return [*found, has_handler(interrupt.signal_number())]


def wait_beside_a_handler_of_ours() -> list[str]:
    called = []
    number = interrupt.signal_number()
    signal.signal(number, lambda *_: called.append(1))
    results = []
    with MessageQueue.create(remove_on_close=True) as queue:
        try:
            queue.receive(timeout=20)
        except BusyError as error:
            results.append(str(error))
        queue.send(b"x")
        results.append(queue.receive().data.decode())  # what does not block does not care
        try:
            interrupt.use_signal(number)
        except BusyError as error:
            results.append(error.syscall)
        interrupt.use_signal(signal.SIGRTMIN + 2)
        times_out(queue)
        results.append(str(interrupt.signal_number() - signal.SIGRTMIN))
        os.kill(os.getpid(), number)
    results.append(str(called))
    return results


def test_a_handler_of_the_program_is_left_alone_and_another_signal_can_be_chosen() -> None:
    first, *others = in_fork(wait_beside_a_handler_of_ours)
    assert first.startswith("[Errno 16] sigaction: ")
    assert "choose another signal with ipckit.interrupt.use_signal" in first
    assert others == ["x", "sigaction", "2", "[1]"]


def test_only_a_real_time_signal_can_be_chosen() -> None:
    for bad in (signal.SIGRTMIN - 1, signal.SIGRTMAX + 1, signal.SIGUSR1, 0, -1):
        with pytest.raises(ValueError, match="signum"):
            interrupt.use_signal(bad)
    with pytest.raises(TypeError, match="signum"):
        interrupt.use_signal("SIGUSR1")


def wait_without_timers(queue: MessageQueue) -> str:
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0))
    queue.send(b"x")
    queue.receive(timeout=1)
    with pytest.raises(LimitError) as caught:
        queue.receive(timeout=20)
    return str(caught.value)


def test_without_timers_a_wait_is_a_limit_error(queue: MessageQueue) -> None:
    text = in_fork(lambda: wait_without_timers(queue))
    assert text.startswith("[Errno 11] timer_create: ")
    assert "raise RLIMIT_SIGPENDING" in text


def test_the_signal_mask_of_the_thread_is_kept(queue: MessageQueue) -> None:
    number = interrupt.signal_number()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        times_out(queue)
        assert number in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        assert number not in signal.sigpending()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    times_out(queue)
    assert number not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_threads_time_out_independently(queue: MessageQueue) -> None:
    threads = [Background(lambda timeout=0.001 * number: times_out(queue, timeout)) for number in range(1, 9)]
    for thread in threads:
        thread.join()


def timers() -> int:
    return sum(line.startswith("ID:") for line in Path("/proc/self/timers").read_text().splitlines())


@pytest.mark.skipif(not Path("/proc/self/timers").exists(), reason="a kernel without /proc/PID/timers")
def test_threads_that_end_and_children_leave_no_timer(queue: MessageQueue) -> None:
    blocks(queue)
    before = timers()
    for _ in range(5):
        Background(lambda: times_out(queue)).join()
    while timers() != before:  # a thread has ended for Python a little earlier than for the kernel
        os.sched_yield()

    def wait_in_child() -> list[int]:
        first = timers()
        blocks(queue)
        return [first, timers()]

    assert in_fork(wait_in_child) == [0, 1]
    times_out(queue)


def test_a_fork_beside_a_waiting_thread_disturbs_neither(queue: MessageQueue) -> None:
    waiter = Background(lambda: queue.receive(type=5, timeout=20))
    waiter.wait_blocked("msgrcv")
    in_fork(lambda: times_out(queue, 0.01))
    queue.send(b"x", type=5)
    assert waiter.join().data == b"x"


def test_other_sleeps_of_the_thread_are_not_cut_short(queue: MessageQueue) -> None:
    """A signal that came late would end the next call of a library that does not repeat it."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    for _ in range(200):
        times_out(queue, 20e-6)
        assert libc.usleep(50) == 0


# --- signals and threads beside a wait -------------------------------------------------------------------------


def test_a_waiting_thread_lets_others_compute(queue: MessageQueue) -> None:
    waiter = Background(queue.receive)
    waiter.wait_blocked("msgrcv")
    total = sum(range(10000))
    queue.send(b"%d" % total)
    assert waiter.join().data == b"49995000"


def test_a_signal_that_another_thread_gets_is_seen_by_a_slice(queue: MessageQueue) -> None:
    """The main thread's wait is not interrupted, and still runs the handler: the contract suite has Ctrl-C, too."""
    got = []
    before = signal.signal(signal.SIGUSR2, lambda *_: got.append(threading.current_thread()))
    try:

        def to_myself() -> None:
            wait_blocked(os.getpid(), "msgrcv")
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
            while not got:
                time.sleep(0.001)
            queue.send(b"x")

        sender = Background(to_myself)
        assert queue.receive(timeout=20).data == b"x"
        sender.join()
        assert got == [threading.main_thread()]
    finally:
        signal.signal(signal.SIGUSR2, before)
