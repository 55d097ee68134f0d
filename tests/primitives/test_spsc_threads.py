"""SpscRing between threads and under signal handlers: a handle misused loses nothing and repeats nothing."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ipckit._native_quick import lib as quick
from ipckit.errors import BusyError, ClosedError
from ipckit.ring import SpscRing
from ipckit.ring import _spsc_handle as spsc
from ipckit.ring._lane import CffiLane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 0.5


@pytest.fixture(params=["compiled", "cffi"], autouse=True)
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "cffi":
        monkeypatch.setattr(spsc, "lane_of", lambda ring: CffiLane(ring, quick.ipk_spsc_capacity(ring)))
        monkeypatch.setattr(spsc, "_CLOSED_LANE", CffiLane(spsc._CORE.closed, 0))
    return request.param


@pytest.fixture
def hectic() -> Iterator[None]:
    """Have the interpreter change threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(*actions: Callable[[], None]) -> None:
    """Run all of them at once, and raise what the first failed one raised."""
    errors: list[BaseException] = []
    begin = threading.Barrier(len(actions))

    def run(action: Callable[[], None]) -> None:
        begin.wait()
        try:
            action()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 5])
def test_four_threads_on_one_handle_lose_nothing_and_repeat_nothing(batch: int, hectic: None) -> None:
    sent: list[list[int]] = [[], []]
    received: list[list[bytes]] = [[], []]
    stop = time.monotonic() + SECONDS
    busy = [0]
    ended: list[int] = []

    def send(which: int) -> None:
        try:
            send_until_enough(which)
        finally:
            ended.append(which)

    def send_until_enough(which: int) -> None:
        number = which
        while time.monotonic() < stop or len(sent[which]) <= 100:
            messages = [b"%d:" % (number + 2 * i) + bytes(number % 50) for i in range(batch)]
            try:
                if batch == 1:
                    if not ring.try_send(messages[0]):
                        continue
                    done = 1
                else:
                    ring.send_many(messages, timeout=20)
                    done = batch
            except BusyError:
                busy[0] += 1
                continue
            for _ in range(done):
                sent[which].append(number)
                number += 2

    def receive(which: int) -> None:
        # As long as the senders, and then until there is nothing.
        while True:
            last = len(ended) == len(senders)
            try:
                if batch == 1:
                    message = ring.try_receive()
                    messages = [] if message is None else [message]
                else:
                    messages = ring.receive_many(batch, timeout=0)
            except BusyError:
                busy[0] += 1
                continue
            except TimeoutError:
                messages = []
            received[which] += messages
            if last and not messages:
                return

    # A send_many that meets BusyError in its midst cannot tell how much it sent; so one sender where batches are sent.
    senders = [lambda: send(0), lambda: send(1)] if batch == 1 else [lambda: send(0)]
    with SpscRing.create(capacity=1 << 16) as ring:
        in_threads(*senders, lambda: receive(0), lambda: receive(1))
        assert ring.stat().used == 0
    numbers = [int(message.split(b":")[0]) for part in received for message in part]
    assert len(numbers) > 100
    assert sorted(numbers) == sorted(sent[0] + sent[1])
    for part in received:  # what one thread got is in order
        for parity in (0, 1):
            mine = [n for n in (int(message.split(b":")[0]) for message in part) if n % 2 == parity]
            assert mine == sorted(mine)


@pytest.mark.slow
def test_a_sender_and_a_receiver_may_share_a_handle(hectic: None) -> None:
    count = 3000

    def send() -> None:
        for number in range(count):
            ring.send(number.to_bytes(8, "big") * (number % 40), timeout=20)

    def receive() -> None:
        for number in range(count):
            assert ring.receive(timeout=20) == number.to_bytes(8, "big") * (number % 40)

    with SpscRing.create(capacity=4096) as ring:
        in_threads(send, receive)


@pytest.mark.slow
def test_it_works_beside_a_busy_python_thread() -> None:
    done = threading.Event()

    def spin() -> None:
        while not done.is_set():
            sum(range(100))

    def talk() -> None:
        try:
            for number in range(100):
                ping.send(b"%d" % number, timeout=20)
                assert ping.receive(timeout=20) == b"%d" % number
        finally:
            done.set()

    with SpscRing.create() as ping:
        in_threads(spin, talk)


@pytest.mark.slow
def test_close_amid_the_calls_of_other_threads_is_safe(hectic: None) -> None:
    for _ in range(20):
        ring = SpscRing.create(capacity=4096)
        started = threading.Barrier(3)

        def send(ring: SpscRing = ring, started: threading.Barrier = started) -> None:
            started.wait()
            with pytest.raises(ClosedError):
                while True:
                    ring.send(bytes(100), timeout=20)

        def receive(ring: SpscRing = ring, started: threading.Barrier = started) -> None:
            started.wait()
            with pytest.raises(ClosedError):
                while True:
                    assert ring.receive(timeout=20) == bytes(100)

        def close(ring: SpscRing = ring, started: threading.Barrier = started) -> None:
            started.wait()
            time.sleep(0.001)
            ring.close()

        in_threads(send, receive, close)
        assert repr(ring) == "<SpscRing closed>"


class Interrupted(Exception):
    pass


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_handler_that_raises_in_the_midst_of_a_call_leaves_the_handle_usable() -> None:
    interrupted = 0
    armed = False

    def handler(*_: object) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise Interrupted

    with SpscRing.create(capacity=4096) as ring:

        def go() -> None:  # apart, for in a try CPython 3.13.0 lets through what a handler raises at a loop's end
            while armed:  # or it came while something was collected, where Python ignores exceptions
                ring.try_send(b"x" * 100)
                ring.try_receive()
                ring.send_many([b"y", b"z"], timeout=0)
                ring.receive_many(2, timeout=0)

        stop = time.monotonic() + SECONDS
        before = signal.signal(signal.SIGALRM, handler)
        try:
            while time.monotonic() < stop or interrupted <= 100:
                try:
                    armed = True
                    signal.setitimer(signal.ITIMER_REAL, 0.0005)
                    with suppress(TimeoutError):
                        go()
                    armed = False
                except Interrupted:
                    interrupted += 1
                while ring.try_receive() is not None:
                    pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert ring.stat().used == 0
