"""sync.Once: one runs, the others wait; a runner that raises or dies is replaced."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from ipckit._names import unique_name
from ipckit.errors import ClosedError, DeadlockError, LayoutError, NotOwnerError, TimeoutExpired
from ipckit.posix import SharedMemory
from ipckit.sync import AtomicInt64, Once
from ipckit.testing import pause, reached
from tests.contract.tools import Background, in_fork, when_main_thread_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

LONG = 20.0
WORD = 64  # bytes from the beginning of the object


@pytest.fixture
def once() -> Iterator[Once]:
    with Once.create(unique_name(), unlink_on_close=True) as made:
        yield made


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=4096, unlink_on_close=True) as made:
        yield made


def run_many(onces: list[Once], runs: AtomicInt64) -> int:
    return sum(once.run(runs.add, LONG) for once in onces)


def test_of_many_exactly_one_runs(spawn: Spawn) -> None:
    with contextlib.ExitStack() as stack:
        memory = stack.enter_context(SharedMemory.create(unique_name(), size=8192, unlink_on_close=True))
        onces = [stack.enter_context(Once.create(within=memory, offset=i * Once.SIZE)) for i in range(50)]
        runs = stack.enter_context(AtomicInt64.create(unique_name(), unlink_on_close=True))
        children = [spawn(run_many, onces, runs) for _ in range(2)]
        threads = [Background(lambda: run_many(onces, runs)) for _ in range(3)]
        counts = [thread.join() for thread in threads] + [child.result() for child in children]
        assert sum(counts) == runs.load() == 50
        assert all(once.done for once in onces)


def test_those_who_wait_see_it_done(once: Once) -> None:
    done = []
    assert once.begin() is True
    waiters = [Background(lambda: (once.run(done.clear), list(done))) for _ in range(3)]
    for waiter in waiters:
        waiter.wait_blocked("futex")
    done.append("done")
    once.complete()
    assert [waiter.join() for waiter in waiters] == [(False, ["done"])] * 3
    assert once.begin(0) is once.try_begin() is once.run(done.clear) is False


def test_a_runner_that_raises_or_abandons_is_replaced(once: Once) -> None:
    with pytest.raises(ZeroDivisionError):
        once.run(lambda: 1 // 0)
    assert not once.done
    assert once.try_begin() is True
    waiter = Background(lambda: once.run(int))
    waiter.wait_blocked("futex")
    once.abandon()
    assert waiter.join() is True
    assert once.done


def test_one_that_runs_is_waited_for_and_not_run_again(once: Once) -> None:
    holder = Background(once.begin)
    assert holder.join() is True
    assert once.try_begin() is False
    for timeout in (0, 0.001):
        with pytest.raises(TimeoutExpired):
            once.begin(timeout)
    for call in (once.complete, once.abandon):
        with pytest.raises(NotOwnerError, match="does not run it"):
            call()
    assert not once.done


def test_a_runner_cannot_wait_for_itself(once: Once) -> None:
    def nested() -> None:
        assert once.try_begin() is False
        with pytest.raises(DeadlockError, match="runs it already"):
            once.run(int)

    assert once.run(nested) is True
    with pytest.raises(RuntimeError):
        once.complete()


def run_and_stay(once: Once) -> None:
    once.begin()
    reached("running")
    pause("for ever")


@pytest.mark.parametrize("waits", [True, False])
def test_a_runner_that_dies_is_replaced(once: Once, spawn: Spawn, waits: bool) -> None:
    victim = spawn(run_and_stay, once)
    victim.wait_reached("running")
    waiter = None
    if waits:
        waiter = Background(lambda: once.run(int))
        waiter.wait_blocked("futex")
    victim.kill()
    victim.join()
    assert waiter.join() if waiter else once.try_begin()


def test_a_closed_handle_leaves_it_to_others(once: Once) -> None:
    other = Once.open(once.name)
    other.begin()
    waiter = Background(lambda: once.begin(LONG))
    waiter.wait_blocked("futex")
    other.close()
    assert waiter.join() is True
    for call in (
        other.complete,
        other.abandon,
        other.try_begin,
        other.begin,
        lambda: other.run(int),
        lambda: other.done,
    ):
        with pytest.raises(ClosedError):
            call()


def test_close_under_a_wait_ends_it(once: Once) -> None:
    assert once.begin()
    other = Once.open(once.name)
    waiter = Background(other.begin)
    waiter.wait_blocked("futex")
    other.close()
    with pytest.raises(ClosedError):
        waiter.join()


class Handled(Exception):
    pass


def test_an_exception_ends_the_wait_and_nothing_is_begun(once: Once) -> None:
    def handler(*_: object) -> None:
        raise Handled

    holder = Background(once.begin)
    assert holder.join() is True
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        main = threading.main_thread().ident
        assert main is not None
        sender = when_main_thread_blocks(("futex",), lambda: signal.pthread_kill(main, signal.SIGUSR1))
        with pytest.raises(Handled):
            once.begin(LONG)
        sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not once.done


def test_a_fork_runs_nothing(once: Once) -> None:
    assert once.begin()

    def complete() -> str:
        try:
            once.complete()
        except NotOwnerError:
            return "refused"
        return "completed"

    assert in_fork(complete) == "refused"
    once.complete()
    assert in_fork(lambda: once.done) is True


def test_garbage_is_a_state_and_nothing_worse(memory: SharedMemory) -> None:
    with Once.create(within=memory) as once:
        for pattern in (b"\xff", b"\x0f", b"\x1f", b"\xa5", b"\x00"):
            memory.buf[WORD : WORD + 64] = pattern * 64
            with contextlib.suppress(TimeoutExpired):
                once.begin(0.001)
        memory.buf[0:8] = b"\xff" * 8
        with pytest.raises(LayoutError):
            Once.open(within=memory)
