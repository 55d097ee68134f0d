"""The two lanes of sysv.SemaphoreSet, compiled and on cffi: the same outcomes for the same attempts."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._lane import SetLane
from ipckit.errors import ClosedError, RemovedError, SyscallError, TimeoutExpired
from ipckit.sysv import SemaphoreSet, sem
from ipckit.sysv._set_lane import NOT_PLAIN, CffiLane
from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

LANES = {"compiled": SetLane, "cffi": CffiLane}
NO_SET = (1 << 31) - 1


@pytest.fixture(params=LANES)
def three(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SemaphoreSet]:
    monkeypatch.setattr(sem, "lane_of", LANES[request.param])
    with SemaphoreSet.create(size=3, values=[1, 0, 2], remove_on_close=True) as made:
        assert type(made._lane) is LANES[request.param]
        yield made


def test_the_compiled_lane_is_the_one_that_is_used() -> None:
    with SemaphoreSet.create(remove_on_close=True) as one:
        assert type(one._lane) is SetLane


def test_attempts(three: SemaphoreSet) -> None:
    attempt = three._lane.op
    assert attempt(((0, -1), (2, -2), (1, 4)), False) == 0
    assert three.values() == (0, 4, 0)
    assert attempt(((0, -1),), False) == -errno.EAGAIN
    assert attempt(((0, 0), (1, -4)), False) == 0
    assert attempt(((1, 32767),), False) == 0
    assert attempt(((1, 1),), False) == -errno.ERANGE
    assert attempt(((3, 1),), False) == -errno.EFBIG
    assert attempt(((0, 1),) * 500, False) == 0
    assert three.values() == (500, 32767, 0)


@pytest.mark.parametrize(
    "pairs",
    [
        (),
        ((0, 1),) * 501,
        ((0, 1, 0),),
        ((0,),),
        ((True, 1),),
        ((0, 1.0),),
        ((0, 32768),),
        ((0, -32768),),
        ((-1, 1),),
        ((1 << 16, 1),),
        ((0, 1 << 70),),
        ((0, 1), None),
        ("01",),
    ],
)
def test_what_is_no_operation_is_not_tried(three: SemaphoreSet, pairs: Any) -> None:
    assert three._lane.op(pairs, False) == NOT_PLAIN
    with pytest.raises((TypeError, ValueError)):
        three.op(pairs)
    assert three.values() == (1, 0, 2)


def test_any_iterable_of_pairs_is_an_operation(three: SemaphoreSet) -> None:
    for ops in ([(0, 1)], ((0, 1),), iter([(0, 1)]), {(0, 1)}, {0: 1}.items(), [[0, 1]], (pair for pair in [(0, 1)])):
        three.op(ops)
    assert three.value(0) == 8
    assert three.try_op([[0, -8]])
    assert not three.try_op(iter([(0, -1)]))
    with pytest.raises(TypeError):
        three.op(5)  # type: ignore[arg-type]


def test_undo_is_told_to_the_kernel(three: SemaphoreSet) -> None:
    if (pid := os.fork()) == 0:
        three.op([(0, -1)], undo=True)
        three.op([(2, -1)])
        os._exit(0)
    os.waitpid(pid, 0)
    assert three.values() == (1, 0, 1)


def test_a_wait_after_a_try(three: SemaphoreSet) -> None:
    with pytest.raises(TimeoutExpired):
        three.op([(1, -1)], timeout=0.01)
    waiter = threading.Thread(target=three.op, args=([(1, -1), (0, -1)],))
    waiter.start()
    wait_blocked(os.getpid(), "semtimedop", tid=waiter.native_id)
    three.op([(1, 1)])
    waiter.join()
    assert three.values() == (0, 0, 2)


def test_errors(three: SemaphoreSet) -> None:
    with pytest.raises(SyscallError, match="a semaphore has at most 32767"):
        three.op([(2, 32767)])
    with pytest.raises(ValueError, match="index must be 0 to 2"):
        three.op([(3, 1)])
    member = three.member(0)
    three.close()
    for use in (lambda: three.op([(0, 1)]), lambda: three.try_op([(0, 1)]), member.acquire, member.release):
        with pytest.raises(ClosedError):
            use()


def test_a_set_that_was_removed(three: SemaphoreSet) -> None:
    with SemaphoreSet.open_id(three.id) as other:
        member = three.member(0)
        three.remove()
        for use in (lambda: three.op([(0, 1)]), lambda: other.try_op([(0, -1)]), member.acquire, member.release):
            with pytest.raises(RemovedError):
                use()


@pytest.mark.parametrize("lane", LANES.values())
def test_a_lane_of_nothing(lane: Any) -> None:
    nothing = lane(NO_SET)
    assert nothing.op(((0, 1),), False) in (-errno.EINVAL, -errno.EIDRM)
    nothing.close()
    assert nothing.op(((0, 1),), True) == -errno.EINVAL


def test_the_compiled_lane_refuses_other_calls() -> None:
    lane = SetLane(NO_SET)
    for use in (lambda: SetLane(), lambda: SetLane("1"), lambda: SetLane(id=1), lambda: lane.op(((0, 1),))):  # type: ignore[call-arg, arg-type]
        with pytest.raises(TypeError):
            use()
    with pytest.raises(OverflowError):
        SetLane(1 << 31)


def test_threads_share_one_lane(three: SemaphoreSet) -> None:
    member = three.member(0)

    def work() -> None:
        for _ in range(500):
            with member:
                three.op([(1, 1)])
                three.op([(1, -1)])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert three.values() == (1, 0, 2)
