"""sysv.SemaphoreSet: atomic operations, undo, waits, creation, removal, limits."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import sysv_ipc

from ipckit._native import lib
from ipckit.errors import (
    AccessError,
    AlreadyExistsError,
    ClosedError,
    NotFoundError,
    RemovedError,
    SyscallError,
    TimeoutExpired,
)
from ipckit.features import limits
from ipckit.sysv import SemaphoreSet, SetStatus
from ipckit.testing import pause, reached, wait_blocked
from tests.contract.tools import in_fork, when_main_thread_blocks
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Spawn

WAIT = ("semtimedop", "semop")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def three() -> Iterator[SemaphoreSet]:
    with SemaphoreSet.create(size=3, values=[1, 0, 2], remove_on_close=True) as made:
        yield made


def operate(semaphores: SemaphoreSet, ops: list[tuple[int, int]], how: dict[str, Any]) -> str:
    try:
        semaphores.op(ops, **how)
    except Exception as error:
        return type(error).__name__
    return "done"


def take_and_die(semaphores: SemaphoreSet, ops: list[tuple[int, int]], undo: bool) -> None:
    semaphores.op(ops, undo=undo)
    reached("taken")
    signal.pause()


def end_a_thread_that_took(semaphores: SemaphoreSet) -> tuple[int, ...]:
    thread = threading.Thread(target=semaphores.op, args=([(0, -1)],), kwargs={"undo": True})
    thread.start()
    thread.join()
    values = semaphores.values()
    reached("thread ended")
    pause("end")
    return values


def through_signals(semaphores: SemaphoreSet, timeout: float) -> bool:
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    started = time.monotonic()
    try:
        semaphores.op([(1, -1)], timeout=timeout)
    except TimeoutExpired:
        return timeout <= time.monotonic() - started < timeout + 15
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return False


def until_counted(waiting: Callable[[], int]) -> None:
    """Wait until one is counted: between two slices of its wait it is not."""
    while (count := waiting()) != 1:
        assert count == 0
        os.sched_yield()


# --- operations -------------------------------------------------------------------------------------------------------


def test_an_operation_is_done_whole_or_not_at_all(three: SemaphoreSet) -> None:
    assert not three.try_op([(0, -1), (2, 5), (1, -1)])
    assert three.values() == (1, 0, 2)
    three.op([(0, -1), (2, -2), (1, 4)])
    assert three.values() == (0, 4, 0)


def test_operations_take_effect_in_their_order(three: SemaphoreSet) -> None:
    three.op([(1, 1), (1, -1)])
    assert not three.try_op([(1, -1), (1, 1)])
    assert three.values() == (1, 0, 2)


def test_waiting_for_zero(three: SemaphoreSet, spawn: Spawn) -> None:
    three.op([(1, 0)], timeout=0)
    child = spawn(operate, three, [(2, 0), (2, 7)], {})
    child.wait_blocked(*WAIT)
    until_counted(lambda: three.waiting_for_zero(2))
    assert three.waiting(2) == 0
    three.op([(2, -1)])
    three.op([(2, -1)])
    assert child.result() == "done"
    assert three.value(2) == 7
    assert three.last_pid(2) == child.pid


def test_only_the_operation_that_blocks_is_counted(three: SemaphoreSet, spawn: Spawn) -> None:
    child = spawn(operate, three, [(0, -1), (1, -1)], {})
    child.wait_blocked(*WAIT)
    until_counted(lambda: three.waiting(1))
    assert [three.waiting(index) for index in (0, 2)] == [0, 0]
    three.op([(1, 1)])
    assert child.result() == "done"
    assert three.values() == (0, 0, 2)


def test_a_timeout_is_waited_for_and_changes_nothing(three: SemaphoreSet) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutExpired, match="semop"):
        three.op([(0, -1), (1, -1)], timeout=0.1)
    assert time.monotonic() - started >= 0.1
    assert three.values() == (1, 0, 2)


def test_signals_do_not_stretch_a_timeout(three: SemaphoreSet, spawn: Spawn) -> None:
    assert spawn(through_signals, three, 0.15).result()


def test_values_are_read_and_set_as_one(three: SemaphoreSet) -> None:
    three.set_values([7, 32767, 0])
    assert three.values() == (7, 32767, 0)
    three.set_value(2, 9)
    assert (three.value(2), three.size, three.last_pid(2)) == (9, 3, os.getpid())
    with pytest.raises(ValueError, match="value must be 0 to 32767"):
        three.set_value(2, 32768)
    with pytest.raises(SyscallError, match="32767"):
        three.op([(1, 1)])
    assert three.value(1) == 32767


@pytest.mark.parametrize(
    ("ops", "error"),
    [
        ([], ValueError),
        ([(0, 0)] * 501, ValueError),
        ([(3, 1)], ValueError),
        ([(-1, 1)], ValueError),
        ([(0, 32768)], ValueError),
        ([(0, -32768)], ValueError),
        ([(0, 1.0)], TypeError),
        ([(True, 1)], TypeError),
        ([(0,)], ValueError),
    ],
)
def test_bad_operations_are_refused_and_change_nothing(three: SemaphoreSet, ops: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        three.op(ops)
    assert three.values() == (1, 0, 2)


def test_as_many_operations_as_the_kernel_takes(three: SemaphoreSet) -> None:
    allowed = limits().sem
    most = min(allowed.semopm if allowed else 500, 500)
    three.op([(0, 1)] * most)
    assert three.value(0) == 1 + most


@pytest.mark.parametrize("bad", [[1, 2], [1, 2, 3, 4], [1, 2, -1], [1, 2, 32768], [1, 2, "3"]])
def test_bad_values_are_refused(three: SemaphoreSet, bad: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="values"):
        three.set_values(bad)
    with pytest.raises((ValueError, TypeError), match="values"):
        SemaphoreSet.create(size=3, values=bad)
    assert three.values() == (1, 0, 2)


# --- undo -------------------------------------------------------------------------------------------------------------


def test_undo_gives_back_what_a_killed_process_took(three: SemaphoreSet, spawn: Spawn) -> None:
    for undo, left in ((True, (1, 0, 2)), (False, (0, 0, 1))):
        child = spawn(take_and_die, three, [(0, -1), (2, -1)], undo)
        child.wait_reached("taken")
        assert three.values() == (0, 0, 1)
        child.kill()
        assert child.join() == -signal.SIGKILL
        assert three.values() == left


def test_a_waiter_gets_what_undo_gives_back(three: SemaphoreSet, spawn: Spawn) -> None:
    owner = spawn(take_and_die, three, [(0, -1)], True)
    owner.wait_reached("taken")
    waiter = spawn(operate, three, [(0, -1)], {})
    waiter.wait_blocked(*WAIT)
    owner.kill()
    assert waiter.result() == "done"
    owner.join()


def test_undo_waits_for_the_process_and_not_for_the_thread(three: SemaphoreSet, spawn: Spawn) -> None:
    child = spawn(end_a_thread_that_took, three)
    child.wait_reached("thread ended")
    assert three.values() == (0, 0, 2)
    child.resume("end")
    assert child.result() == (0, 0, 2)
    assert three.values() == (1, 0, 2)


def test_undo_is_not_inherited_by_a_fork(three: SemaphoreSet) -> None:
    three.op([(0, -1)], undo=True)
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert three.value(0) == 0
    three.op([(0, 1)], undo=True)  # leaves nothing to undo


def test_exec_keeps_what_is_to_be_undone(three: SemaphoreSet) -> None:
    taking = (
        "import os, sys; from ipckit.sysv import SemaphoreSet; SemaphoreSet.open_id(int(sys.argv[1])).op([(0, -1)],"
        " undo=True); os.execvp('sh', ['sh', '-c', 'echo there; read line'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", taking, str(three.id)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"there\n"
        assert three.value(0) == 0
        child.communicate(b"\n")
    assert three.value(0) == 1


def test_setting_values_forgets_what_is_to_be_undone(three: SemaphoreSet, spawn: Spawn) -> None:
    for set_five in (lambda: three.set_value(0, 5), lambda: three.set_values([5, 0, 2])):
        three.set_value(0, 1)
        child = spawn(take_and_die, three, [(0, -1)], True)
        child.wait_reached("taken")
        set_five()
        child.kill()
        child.join()
        assert three.value(0) == 5


def test_undo_never_makes_a_semaphore_negative(three: SemaphoreSet, spawn: Spawn) -> None:
    child = spawn(take_and_die, three, [(1, 5)], True)
    child.wait_reached("taken")
    three.op([(1, -4)])
    child.kill()
    child.join()
    assert three.values() == (1, 0, 2)


def test_what_a_process_can_undo_is_bounded(three: SemaphoreSet) -> None:
    def gives_and_others_take() -> str:
        three.op([(1, 32767)], undo=True)
        three.op([(1, -32767)])
        try:
            three.op([(1, 2)], undo=True)
        except SyscallError as error:
            return str(error)
        return "done"

    assert "Numerical result out of range (a semaphore has at most 32767" in in_fork(gives_and_others_take)
    assert three.value(1) == 0


def test_a_value_that_is_set_wakes_waiters(three: SemaphoreSet, spawn: Spawn) -> None:
    child = spawn(operate, three, [(1, -2)], {})
    child.wait_blocked(*WAIT)
    three.set_value(1, 2)
    assert child.result() == "done"


# --- removal, close ---------------------------------------------------------------------------------------------------


def test_removal_ends_a_wait(spawn: Spawn) -> None:
    semaphores = SemaphoreSet.create()
    child = spawn(operate, semaphores, [(0, -1)], {})
    child.wait_blocked(*WAIT)
    semaphores.remove()
    assert child.result() == "RemovedError"
    for use in (semaphores.values, semaphores.stat, lambda: semaphores.op([(0, 1)]), lambda: semaphores.value(0)):
        with pytest.raises(RemovedError):
            use()
    semaphores.close()


def test_a_killed_waiter_takes_nothing(three: SemaphoreSet, spawn: Spawn) -> None:
    child = spawn(operate, three, [(1, -1)], {})
    child.wait_blocked(*WAIT)
    child.kill()
    child.join()
    assert three.waiting(1) == 0
    three.op([(1, 1)])
    assert three.value(1) == 1


def test_close_ends_a_wait_in_another_thread() -> None:
    semaphores = SemaphoreSet.create()
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            semaphores.op([(0, -1)])
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_blocked(os.getpid(), *WAIT, tid=thread.native_id)
    semaphores.close()
    thread.join()
    semaphores.remove()
    assert isinstance(caught[0], ClosedError)


# --- members ----------------------------------------------------------------------------------------------------------


def test_a_member_is_a_lock(three: SemaphoreSet, spawn: Spawn) -> None:
    lock = three.member(0, undo=True)
    with lock as entered:
        assert entered is lock
        assert lock.value == 0
        assert not lock.acquire(timeout=0.01)
        assert not lock.acquire(blocking=False)
        assert not lock.try_acquire()
    assert lock.acquire()
    with pytest.raises(ValueError, match="blocking"):
        lock.acquire(blocking=False, timeout=1)
    lock.release()
    counter = three.member(1)
    counter.release(3)
    assert counter.value == 3
    with pytest.raises(TimeoutExpired):
        counter.wait_for_zero(timeout=0)
    assert counter.acquire(timeout=1)
    for bad in (0, -1, 32768, 1.5):
        with pytest.raises((ValueError, TypeError), match="n must"):
            counter.release(bad)
    assert "SemaphoreMember 1 of" in repr(counter)
    with pytest.raises(ValueError, match="index"):
        three.member(3)


class HandlerError(Exception):
    pass


@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize(
    "take",
    [
        lambda both, undo: both.op([(0, -1), (1, 0), (0, -1)], undo=undo),
        lambda both, undo: both.member(0, undo=undo).acquire(timeout=30),
        lambda both, undo: both.member(0, undo=undo).__enter__(),
    ],
    ids=["op", "member", "with"],
)
def test_a_handler_that_raises_when_the_tokens_have_come_takes_none(
    take: Callable[[SemaphoreSet, bool], object], undo: bool
) -> None:
    """The signal goes to another thread: it does not end the wait, and its handler runs when that has its tokens."""

    def interrupt(*_: object) -> None:
        raise HandlerError

    def signal_and_give() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        both.op([(0, 2)])

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with SemaphoreSet.create(size=2, remove_on_close=True) as both:
            for _ in range(3):
                giving = when_main_thread_blocks(("semtimedop",), signal_and_give)
                with pytest.raises(HandlerError):
                    take(both, undo)
                giving.join()
                assert both.values() == (2, 0)
                both.set_values([0, 0])
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_member_waits_and_is_woken(three: SemaphoreSet, spawn: Spawn) -> None:
    child = spawn(acquire_member, three)
    child.wait_blocked(*WAIT)
    three.member(1).release()
    assert child.result() is True


def acquire_member(semaphores: SemaphoreSet) -> bool:
    return semaphores.member(1).acquire(timeout=20)


# --- creation ---------------------------------------------------------------------------------------------------------


def test_a_set_is_complete_when_it_can_be_opened() -> None:
    name = f"/ipckit-test-{os.getpid()}-complete"
    with SemaphoreSet.create(name, size=2, values=[3, 0], remove_on_close=True) as made:
        assert made.stat().last_op_time > 0
        with SemaphoreSet.open(name) as found:
            assert (found.values(), found.size, found.id) == ((3, 0), 2, made.id)
        with pytest.raises(AlreadyExistsError):
            SemaphoreSet.create(name)


def test_an_opener_completes_a_set_whose_maker_died(monkeypatch: pytest.MonkeyPatch) -> None:
    key = 0x1BC00000 | os.getpid() & 0xFFFFF
    half = lib.ipk_sysv_sem_get(key, 2, 1, 0o600)  # and no more: as if killed here
    assert half >= 0
    try:
        monkeypatch.setattr("ipckit.sysv.sem._PATIENCE", 0.05)
        with pytest.raises(NotFoundError, match="never given its values"):
            SemaphoreSet.open(key)
        with SemaphoreSet.open(key, started=False) as found:
            assert found.values() == (0, 0)
        with pytest.raises(ValueError, match="size must be that of the set"):
            SemaphoreSet.open_or_create(key, size=3)
        with SemaphoreSet.open_or_create(key, size=2, values=[4, 5]) as completed:
            assert completed.id == half
            assert completed.values() == (4, 5)
        with SemaphoreSet.open_or_create(key, size=2, values=[9, 9]) as found:
            assert found.values() == (4, 5)  # once is enough
        with SemaphoreSet.open(key) as found:
            assert found.size == 2
    finally:
        lib.ipk_sysv_sem_remove(half)


def make_or_open(name: str) -> int:
    with SemaphoreSet.open_or_create(name, size=2, values=[1, 0]) as semaphores:
        with semaphores.member(0, undo=True):
            semaphores.op([(1, 1)])
        return semaphores.id


def test_processes_that_race_to_create_agree(spawn: Spawn) -> None:
    name = f"/ipckit-test-{os.getpid()}-race"
    children = [spawn(make_or_open, name) for _ in range(4)]
    try:
        ids = {child.result() for child in children}
        assert len(ids) == 1
        with SemaphoreSet.open(name) as semaphores:
            assert semaphores.values() == (1, 4)
    finally:
        SemaphoreSet.remove_key(name)


def test_a_set_of_more_members_than_one_operation_holds() -> None:
    values = [index % 100 for index in range(1200)]
    for first in (0, 32767):
        name = f"/ipckit-test-{os.getpid()}-large"
        with SemaphoreSet.create(name, size=1200, values=[first, *values[1:]], remove_on_close=True) as large:
            assert large.values() == (first, *values[1:])
            assert large.stat().last_op_time > 0
            with SemaphoreSet.open_id(large.id) as again:
                assert again.size == 1200


def test_status_tells_what_was_set(three: SemaphoreSet) -> None:
    status = three.stat()
    assert status == SetStatus(
        0, os.geteuid(), os.getegid(), os.geteuid(), os.getegid(), 0o600, 3, status.last_op_time, status.change_time
    )
    assert abs(status.change_time - time.time()) < 100
    three.set(mode=0o640)
    assert three.stat().mode == 0o640
    for bad in ({"mode": 0o1000}, {"uid": -1}, {"gid": 1 << 32}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            three.set(**bad)


def as_nobody(semaphores: SemaphoreSet) -> list[str]:
    become_nobody()
    seen = []
    for use in (
        semaphores.values,
        lambda: semaphores.op([(0, -1)]),
        lambda: semaphores.set(mode=0o666),
        semaphores.remove,
    ):
        try:
            use()
            seen.append("done")
        except AccessError:
            seen.append("AccessError")
    return seen


@needs_root
def test_another_user_gets_what_the_mode_gives(spawn: Spawn) -> None:
    for mode, expected in (
        (0o600, ["AccessError"] * 4),
        (0o604, ["done", "AccessError", "AccessError", "AccessError"]),
    ):
        with SemaphoreSet.create(values=[5], mode=mode, remove_on_close=True) as semaphores:
            assert spawn(as_nobody, semaphores).result() == expected
    with SemaphoreSet.create(values=[5], mode=0o606, remove_on_close=True) as semaphores:
        assert spawn(as_nobody, semaphores).result() == ["done", "done", "AccessError", "AccessError"]


def test_a_pickle_of_a_removed_set_is_not_found() -> None:
    semaphores = SemaphoreSet.create()
    data = pickle.dumps(semaphores)
    with pickle.loads(data) as again:
        assert again.id == semaphores.id
    semaphores.remove()
    with pytest.raises(NotFoundError):
        pickle.loads(data)
    semaphores.close()


@pytest.mark.parametrize("size", [0, -1, 32001, 1 << 16, True, "2"])
def test_bad_sizes_are_refused(size: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="size"):
        SemaphoreSet.create(size=size)


def test_the_sysv_ipc_package_uses_the_same_set() -> None:
    key = 0x1BD00000 | os.getpid() & 0xFFFFF
    with SemaphoreSet.create(key, values=[2], remove_on_close=True) as ours:
        theirs = sysv_ipc.Semaphore(key)
        theirs.acquire()
        assert ours.values() == (1,)
        ours.op([(0, 3)])
        assert theirs.value == 4
        assert ours.last_pid(0) == os.getpid()
    with closing(SemaphoreSet.create()) as other, pytest.raises(ClosedError):
        other.close()
        other.values()
    other.remove()
