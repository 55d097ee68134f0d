"""SpscRing against a model of it: whatever is done in whatever order, it is a bounded queue of whole messages."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ipckit._names import unique_name
from ipckit._native_quick import lib as quick
from ipckit.errors import BrokenPeerError, EndOfStreamError, MessageTooLargeError, TimeoutExpired
from ipckit.ring import SpscRing
from ipckit.ring import _spsc_handle as spsc
from ipckit.ring._lane import CffiLane
from tests.examples import examples

CAPACITY = 4096
LARGEST = CAPACITY - 8

lengths = st.one_of(st.integers(0, 40), st.integers(0, LARGEST + 16), st.sampled_from([LARGEST, LARGEST + 1, 2032]))


def room_of(length: int) -> int:
    return (8 + length + 7) & ~7


class Model(RuleBasedStateMachine):
    """Three handles of one ring, and a deque. Both ends may close, and a successor takes over."""

    cffi = False

    def __init__(self) -> None:
        super().__init__()
        self.lane_of = spsc.lane_of
        if self.cffi:
            spsc.lane_of = lambda ring: CffiLane(ring, quick.ipk_spsc_capacity(ring))
        self.name = unique_name()
        self.keeper = SpscRing.create(self.name, capacity=CAPACITY)
        self.producer = SpscRing.open(self.name)
        self.consumer = SpscRing.open(self.name)
        self.queue: deque[bytes] = deque()
        self.sent = self.received = 0
        # What the other side sees, and whether the handle has had its role.
        self.producer_closed = self.consumer_closed = False
        self.producer_held = self.consumer_held = False

    def teardown(self) -> None:
        spsc.lane_of = self.lane_of
        for ring in (self.producer, self.consumer, self.keeper):
            ring.close()
        self.keeper.unlink()

    @property
    def used(self) -> int:
        return sum(room_of(len(message)) for message in self.queue)

    def fits(self, length: int) -> bool:
        return self.used + room_of(length) <= CAPACITY

    def message(self, length: int) -> bytes:
        return (self.sent.to_bytes(4, "big") * (length // 4 + 1))[:length]

    def produced(self, messages: list[bytes]) -> None:
        self.queue.extend(messages)
        self.sent += len(messages)
        self.producer_held, self.producer_closed = True, False

    def consumed(self, count: int) -> None:
        for _ in range(count):
            self.queue.popleft()
        self.received += count
        self.consumer_held, self.consumer_closed = True, False

    @rule(length=lengths, kind=st.sampled_from([bytes, bytearray, memoryview]))
    def try_send(self, length: int, kind: type) -> None:
        message = self.message(length)
        if length > LARGEST:
            with pytest.raises(MessageTooLargeError):
                self.producer.try_send(kind(message))
            self.produced([])
        else:
            fits = self.fits(length)
            assert self.producer.try_send(kind(message)) is fits
            self.produced([message] * fits)

    @rule(length=lengths)
    def send(self, length: int) -> None:
        message = self.message(length)
        if length <= LARGEST and self.fits(length):
            self.producer.send(message, timeout=0)
            self.produced([message])
            return
        nowhere = BrokenPeerError if self.consumer_closed else TimeoutExpired
        with pytest.raises(MessageTooLargeError if length > LARGEST else nowhere):
            self.producer.send(message, timeout=0)
        self.produced([])

    @rule(parts=st.lists(lengths, min_size=1, max_size=90))
    def send_many(self, parts: list[int]) -> None:
        messages = [bytes([index]) * length for index, length in enumerate(parts)]
        expected, used = 0, self.used
        for message in messages:
            used += room_of(len(message))
            if len(message) > LARGEST or used > CAPACITY:
                break
            expected += 1
        if expected == len(messages):
            self.producer.send_many(messages, timeout=0)
        else:
            nowhere = BrokenPeerError if self.consumer_closed else TimeoutExpired
            with pytest.raises(MessageTooLargeError if parts[expected] > LARGEST else nowhere) as caught:
                self.producer.send_many(messages, timeout=0)
            assert caught.value.completed == expected
        self.produced(messages[:expected])

    @rule(length=lengths, kept=st.integers(0, LARGEST), end=st.sampled_from(["commit", "shorten", "abort", "close"]))
    def reserve(self, length: int, kept: int, end: str) -> None:
        if length > LARGEST or not self.fits(length):
            nowhere = BrokenPeerError if self.consumer_closed else TimeoutExpired
            with pytest.raises(MessageTooLargeError if length > LARGEST else nowhere):
                self.producer.reserve(length, timeout=0)
            self.produced([])
            return
        message = self.message(length)
        reservation = self.producer.reserve(length, timeout=0)
        reservation.buf[:] = message
        self.produced([])
        if end == "commit":
            reservation.commit()
        elif end == "shorten":
            message = message[:kept]
            reservation.commit(len(message))
        elif end == "abort":
            reservation.abort()
        else:
            self.producer_closes()
        if end in {"commit", "shorten"}:
            self.produced([message])

    @rule(end=st.sampled_from(["release", "keep", "close"]))
    def peek(self, end: str) -> None:
        if not self.queue:
            with pytest.raises(EndOfStreamError if self.producer_closed else TimeoutExpired):
                self.consumer.peek(timeout=0)
            self.consumed(0)
            return
        loan = self.consumer.peek(timeout=0)
        assert loan.buf == self.queue[0]
        self.consumed(0)
        if end == "release":
            loan.release()
            self.consumed(1)
        elif end == "keep":
            loan.__exit__(ValueError, None, None)
        else:
            self.consumer_closes()

    @rule(size=lengths)
    def receive_into(self, size: int) -> None:
        buffer = bytearray(size)
        if self.queue and len(self.queue[0]) <= size:
            assert self.consumer.receive_into(buffer, timeout=0) == len(self.queue[0])
            assert buffer[: len(self.queue[0])] == self.queue[0]
            self.consumed(1)
            return
        nothing = EndOfStreamError if self.producer_closed else TimeoutExpired
        with pytest.raises(MessageTooLargeError if self.queue else nothing):
            self.consumer.receive_into(buffer, timeout=0)
        self.consumed(0)

    @rule()
    def try_receive(self) -> None:
        if not self.queue and self.producer_closed:
            with pytest.raises(EndOfStreamError):
                self.consumer.try_receive()
        else:
            assert self.consumer.try_receive() == (self.queue[0] if self.queue else None)
        self.consumed(min(1, len(self.queue)))

    @rule()
    def receive(self) -> None:
        if self.queue:
            assert self.consumer.receive(timeout=0) == self.queue[0]
        else:
            with pytest.raises(EndOfStreamError if self.producer_closed else TimeoutExpired):
                self.consumer.receive(timeout=0)
        self.consumed(min(1, len(self.queue)))

    @rule(n=st.integers(1, 200))
    def receive_many(self, n: int) -> None:
        if self.queue:
            assert self.consumer.receive_many(n, timeout=0) == list(self.queue)[:n]
        else:
            with pytest.raises(EndOfStreamError if self.producer_closed else TimeoutExpired):
                self.consumer.receive_many(n, timeout=0)
        self.consumed(min(n, len(self.queue)))

    @rule()
    def producer_closes(self) -> None:
        self.producer.close()
        self.producer_closed = self.producer_closed or self.producer_held
        self.producer_held = False
        self.producer = SpscRing.open(self.name)

    @rule()
    def consumer_closes(self) -> None:
        self.consumer.close()
        self.consumer_closed = self.consumer_closed or self.consumer_held
        self.consumer_held = False
        self.consumer = SpscRing.open(self.name)

    @invariant()
    def counters_agree(self) -> None:
        stat = self.keeper.stat()
        assert (stat.sent, stat.received, stat.used) == (self.sent, self.received, self.used)
        assert self.keeper.depth == len(self.queue)
        assert (self.keeper.producers, self.keeper.consumers) == (self.producer_held, self.consumer_held)


class CffiModel(Model):
    """The same on the lane for installations without the extension."""

    cffi = True


TestModel = pytest.mark.slow(Model.TestCase)
TestCffiModel = pytest.mark.slow(CffiModel.TestCase)
TestModel.settings = TestCffiModel.settings = settings(
    max_examples=examples(25), stateful_step_count=40, deadline=None, database=None
)
