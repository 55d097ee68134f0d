"""sync.AtomicInt64, AtomicUInt64: no update is lost, ends wrap, what does not fit is refused; both lanes alike."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._names import unique_name
from ipckit.errors import AlreadyExistsError, ClosedError, LayoutError
from ipckit.posix import SharedMemory
from ipckit.sync import AtomicInt64, AtomicUInt64, Latch, _atomic_lane
from tests.contract.tools import in_fork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

CLASSES = [AtomicInt64, AtomicUInt64]
LOW = {AtomicInt64: -(1 << 63), AtomicUInt64: 0}
HIGH = {AtomicInt64: (1 << 63) - 1, AtomicUInt64: (1 << 64) - 1}


@pytest.fixture(params=["lane", "cffi"])
def lane(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=CLASSES, ids=lambda cls: cls.__name__)
def number(request: pytest.FixtureRequest, lane: str) -> Iterator[Any]:
    with request.param.create() as made:
        if lane == "cffi":
            made._lane = _atomic_lane.CffiLane(made._view, signed=request.param is AtomicInt64)
        else:
            assert type(made._lane).__module__ == "ipckit._lane"
        yield made


def test_operations(number: Any) -> None:
    assert number.load() == 0
    assert number.store(7) is None
    assert number.exchange(9) == 7
    assert number.fetch_add() == 9
    assert number.fetch_add(-3) == 10
    assert number.add() == 8
    assert number.add(-8) == 0
    assert number.compare_exchange(1, 2) == (False, 0)
    assert number.compare_exchange(0, 2) == (True, 0)
    exchanged = number.compare_exchange(2, 5)
    assert (exchanged.exchanged, exchanged.seen, number.load()) == (True, 2, 5)


def test_sums_wrap(number: Any) -> None:
    low, high = LOW[type(number)], HIGH[type(number)]
    number.store(high)
    assert number.fetch_add(1) == high
    assert number.load() == low
    assert number.add(-1) == high
    number.store(low)
    assert number.add(-(1 << 63)) == (0 if low else 1 << 63)
    number.store(1)
    assert number.add(high) == low


def test_ends_are_kept(number: Any) -> None:
    for value in (LOW[type(number)], HIGH[type(number)], 0, 1, HIGH[type(number)] // 2):
        number.store(value)
        assert number.load() == value
        assert number.compare_exchange(value, value) == (True, value)
        assert number.exchange(value) == value
        assert number.fetch_add(0) == value


def test_what_does_not_fit_is_refused_and_changes_nothing(number: Any) -> None:
    number.store(5)
    for value in (LOW[type(number)] - 1, HIGH[type(number)] + 1, 1 << 70, -(1 << 70)):
        for call in (
            lambda value=value: number.store(value),
            lambda value=value: number.exchange(value),
            lambda value=value: number.compare_exchange(value, 1),
            lambda value=value: number.compare_exchange(5, value),
        ):
            with pytest.raises(OverflowError):
                call()
        with pytest.raises(OverflowError):
            type(number).create(value=value)
    for delta in (-(1 << 63) - 1, HIGH[type(number)] + 1, 1 << 70):
        for call in (lambda delta=delta: number.add(delta), lambda delta=delta: number.fetch_add(delta)):
            with pytest.raises(OverflowError):
                call()
    for value in (1.0, "1", None, b"1"):
        for call in (number.store, number.exchange, number.add, number.fetch_add):
            with pytest.raises(TypeError):
                call(value)
        for pair in ((value, 5), (5, value)):
            with pytest.raises(TypeError):
                number.compare_exchange(*pair)
    assert number.load() == 5


def add_many(number: Any, times: int) -> None:
    add = number.add
    for _ in range(times):
        add(1)


@pytest.mark.slow
@pytest.mark.parametrize("cls", CLASSES)
def test_four_processes_lose_no_update(cls: Any, spawn: Spawn) -> None:
    with cls.create(unique_name(), unlink_on_close=True) as number:
        children = [spawn(add_many, number, 100_000) for _ in range(4)]
        for child in children:
            child.result()
        assert number.load() == 400_000


def raise_to(number: AtomicInt64, times: int) -> None:
    """Add by compare_exchange, as one does what there is no operation for."""
    for _ in range(times):
        seen = number.load()
        while not (result := number.compare_exchange(seen, seen + 3)).exchanged:
            seen = result.seen


@pytest.mark.slow
def test_compare_exchange_loses_no_update(spawn: Spawn) -> None:
    with AtomicInt64.create(unique_name(), value=-9, unlink_on_close=True) as number:
        children = [spawn(raise_to, number, 20_000) for _ in range(2)]
        raise_to(number, 20_000)
        for child in children:
            child.result()
        assert number.load() == 180_000 - 9


def test_many_lie_in_one_memory() -> None:
    with SharedMemory.create(size=4096, unlink_on_close=True) as memory, contextlib.ExitStack() as stack:
        numbers = [
            stack.enter_context(AtomicInt64.create(within=memory, offset=i * AtomicInt64.SIZE, value=-i))
            for i in range(32)
        ]
        with pytest.raises(AlreadyExistsError):
            AtomicInt64.create(within=memory, offset=128)
        assert [number.load() for number in numbers] == [-i for i in range(32)]
        with AtomicInt64.open(within=memory, offset=128) as again:
            again.add(10)
            assert numbers[1].load() == 9
            in_fork(lambda: again.add(1))
            assert numbers[1].load() == 10


def test_signed_and_unsigned_are_two_kinds() -> None:
    with AtomicInt64.create(unique_name(), unlink_on_close=True) as number:
        with pytest.raises(LayoutError, match="no AtomicUInt64"):
            AtomicUInt64.open(number.name)
        with pytest.raises(LayoutError, match="no Latch"):
            Latch.open(number.name)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("value", [1.0, "1", None])
def test_a_first_value_that_is_no_int_is_refused(cls: Any, value: Any) -> None:
    with pytest.raises(TypeError, match="value must be an int"):
        cls.create(value=value)


def test_a_closed_one_says_so(number: Any) -> None:
    number.close()
    for call in (number.load, number.add, number.fetch_add, lambda: number.store(1), lambda: number.exchange(1)):
        with pytest.raises(ClosedError, match=type(number).__name__):
            call()
