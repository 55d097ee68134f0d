"""sync.EventPair: two sides that take turns, deaths, signal handlers, memory of the user's."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import ClosedError, LayoutError, TimeoutExpired
from ipckit.posix import SharedMemory
from ipckit.sync import Event, EventPair
from ipckit.sync import _event_lane as lanes
from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from ipckit.testing import Spawn

LONG = 20.0


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=4096, unlink_on_close=True) as made:
        yield made


@pytest.fixture(params=["compiled", "cffi"])
def pair(memory: SharedMemory, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventPair]:
    if request.param == "cffi":
        monkeypatch.setattr("ipckit.sync.event_pair.pair_lane_of", lanes.CffiPairLane)
    with contextlib.closing(EventPair.create(within=memory, offset=1024)) as made:
        assert isinstance(made._lane, lanes.CffiPairLane) == (request.param == "cffi")
        yield made


def test_each_side_is_consumed_by_itself(pair: EventPair) -> None:
    pair.set_low()
    with pytest.raises(TimeoutExpired):
        pair.wait_high(timeout=0)
    pair.wait_low(timeout=0)
    with pytest.raises(TimeoutExpired):
        pair.wait_low(timeout=0.001)
    pair.set_high()
    pair.set_high()  # twice is once
    pair.wait_high()
    with pytest.raises(TimeoutExpired):
        pair.wait_high(timeout=0)


def test_set_and_wait_in_one_call(pair: EventPair) -> None:
    pair.set_high()
    pair.set_low_wait_high()
    pair.wait_low(timeout=0)
    pair.set_low()
    pair.set_high_wait_low(timeout=LONG)
    pair.wait_high(timeout=0)


def test_a_wait_that_gave_up_has_set_its_side(pair: EventPair) -> None:
    for timeout in (0, 0.001):
        with pytest.raises(TimeoutExpired, match="time given is up"):
            pair.set_low_wait_high(timeout=timeout)
        pair.wait_low(timeout=0)


def test_clear(pair: EventPair) -> None:
    pair.set_low()
    pair.set_high()
    pair.clear()
    for wait in (pair.wait_low, pair.wait_high):
        with pytest.raises(TimeoutExpired):
            wait(timeout=0)


def serve(pair: EventPair, memory: SharedMemory, turns: int, spin: float) -> None:
    pair.set_spin(spin)
    pair.wait_low()
    for turn in range(turns):
        (number,) = struct.unpack_from("Q", memory.buf)
        struct.pack_into("Q", memory.buf, 0, number + 1)
        if turn < turns - 1:
            pair.set_high_wait_low()
    pair.set_high()


@pytest.mark.parametrize("spin", [0, 40e-6], ids=["sleeping", "spinning"])
def test_client_and_server_take_turns(spin: float, pair: EventPair, memory: SharedMemory, spawn: Spawn) -> None:
    turns = 500
    pair.set_spin(spin)
    server = spawn(serve, pair, memory, turns, spin)
    for turn in range(turns):
        struct.pack_into("Q", memory.buf, 0, 3 * turn)
        pair.set_low_wait_high(timeout=LONG)
        assert struct.unpack_from("Q", memory.buf) == (3 * turn + 1,)
    assert server.join() == 0


def test_a_successor_takes_the_place_of_a_killed_server(pair: EventPair, memory: SharedMemory, spawn: Spawn) -> None:
    first = spawn(serve, pair, memory, 2, 0)
    pair.set_low_wait_high(timeout=LONG)
    first.wait_blocked("futex")
    first.kill()
    first.join()
    with pytest.raises(TimeoutExpired):
        pair.set_low_wait_high(timeout=0.001)
    pair.clear()
    second = spawn(serve, pair, memory, 1, 0)
    pair.set_low_wait_high(timeout=LONG)
    assert second.join() == 0


def test_one_of_several_waiters_gets_it(pair: EventPair) -> None:
    counts = [0] * 4

    def work(index: int) -> None:
        while True:
            pair.wait_low()
            if stop.is_set():
                pair.set_low()
                return
            counts[index] += 1
            pair.set_high()

    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(500):
        pair.set_low_wait_high(timeout=LONG)
    stop.set()
    pair.set_low()
    for thread in threads:
        thread.join()
    assert sum(counts) == 500


def test_a_signal_handler_may_set_what_the_interrupted_wait_is_after(pair: EventPair) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        wait_blocked(os.getpid(), "futex")
        signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: pair.set_high())
    try:
        for _ in range(3):
            sender = threading.Thread(target=interrupt)
            sender.start()
            pair.set_low_wait_high(timeout=LONG)
            sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


class Raised(Exception):
    def __init__(self, within_the_wait: bool) -> None:
        self.within_the_wait = within_the_wait


def test_a_wait_that_ends_with_an_exception_has_consumed_nothing(pair: EventPair) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def handler(_: int, frame: FrameType | None) -> None:
        while frame is not None and frame.f_code is not EventPair.set_low_wait_high.__code__:
            frame = frame.f_back
        raise Raised(frame is not None)

    def set_and_interrupt() -> None:
        wait_blocked(os.getpid(), "futex")
        pair.set_high()
        signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for _ in range(10):
            sender = threading.Thread(target=set_and_interrupt)
            try:
                sender.start()
                pair.set_low_wait_high(timeout=LONG)
                sender.join()
            except Raised as raised:
                sender.join()
                if raised.within_the_wait:  # and not in join(): then the wait has ended well
                    pair.wait_high(timeout=0)
            pair.clear()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_closing_ends_the_wait(pair: EventPair) -> None:
    def close() -> None:
        wait_blocked(os.getpid(), "futex")
        pair.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(ClosedError):
        pair.set_low_wait_high()
    closer.join()


def test_another_kind_is_refused(memory: SharedMemory) -> None:
    with contextlib.closing(Event.create(within=memory)), pytest.raises(LayoutError, match="no EventPair"):
        EventPair.open(within=memory)
    with pytest.raises(ValueError, match="offset"):
        EventPair.create(within=memory, offset=4096 - 128)


def test_any_words_are_survived(pair: EventPair, memory: SharedMemory) -> None:
    low, high = 1024 + 64, 1024 + 128
    for word in (2, 1 << 31, (1 << 32) - 2, (1 << 32) - 1, 0x12345679):
        struct.pack_into("II", memory.buf, low, word, word)
        struct.pack_into("II", memory.buf, high, word, word)
        if word & 1:
            pair.wait_low(timeout=0.001)
        else:
            with pytest.raises(TimeoutExpired):
                pair.wait_low(timeout=0.001)
        pair.clear()
        with pytest.raises(TimeoutExpired):
            pair.wait_high(timeout=0.001)
        pair.set_high()
        pair.set_low_wait_high()
        pair.wait_low(timeout=0)
