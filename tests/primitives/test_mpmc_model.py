"""MpmcRing against a model: whatever is claimed and ended, by whichever handle, messages come in order, each once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ipckit.errors import MessageTooLargeError, TimeoutExpired
from ipckit.ring import MpmcRing
from ipckit.ring import _mpmc_handle as mpmc
from ipckit.ring._mpmc_lane import CffiMpmcLane
from tests.examples import examples

if TYPE_CHECKING:
    from ipckit.ring import Loan, Reservation

CAPACITY = 4096
LARGEST = CAPACITY - 8
HANDLES = 3

lengths = st.one_of(st.integers(0, 40), st.integers(0, LARGEST + 16), st.sampled_from([1023, 1024, 1025, LARGEST]))
handles = st.integers(0, HANDLES - 1)


class Record:
    """A claim: waiting (a message), written (a reservation), lent (a loan), or over."""

    def __init__(self, length: int, message: bytes | None) -> None:
        self.room = (8 + length + 7) & ~7
        self.message = message
        self.state = "written" if message is None else "waiting"


class Model(RuleBasedStateMachine):
    """Handles of one ring, and a list of records."""

    cffi = False

    def __init__(self) -> None:
        super().__init__()
        self.lane_of = mpmc.lane_of
        if self.cffi:
            mpmc.lane_of = CffiMpmcLane
        self.rings = [MpmcRing.create(capacity=CAPACITY)]
        while len(self.rings) < HANDLES:
            self.rings.append(self.rings[0].from_fd(os.dup(self.rings[0].fileno())))
        for ring in self.rings:
            ring.join()
        self.records: list[Record] = []
        self.reservations: list[tuple[Record, Reservation]] = []
        self.loans: list[tuple[Record, Loan]] = []
        self.sent = self.received = 0

    def teardown(self) -> None:
        mpmc.lane_of = self.lane_of
        for ring in self.rings:
            ring.close()

    def message(self, length: int) -> bytes:
        self.sent += 1
        return (self.sent.to_bytes(4, "big") * (length // 4 + 1))[:length]

    def forget_the_free(self) -> None:
        while self.records and self.records[0].state == "over":
            del self.records[0]

    def fits(self, length: int) -> bool:
        self.forget_the_free()
        return sum(record.room for record in self.records) + ((8 + length + 7) & ~7) <= CAPACITY

    def next(self) -> Record | None:
        for record in self.records:
            if record.state in {"waiting", "written"}:
                return record if record.state == "waiting" else None
        return None

    @rule(handle=handles, length=lengths, kind=st.sampled_from([bytes, bytearray]))
    def try_send(self, handle: int, length: int, kind: type) -> None:
        message = self.message(length)
        if length > LARGEST:
            with pytest.raises(MessageTooLargeError):
                self.rings[handle].try_send(kind(message))
            return
        fits = self.fits(length)
        assert self.rings[handle].try_send(kind(message)) == fits
        if fits:
            self.records.append(Record(length, message))

    @rule(handle=handles, length=st.integers(0, LARGEST))
    def reserve(self, handle: int, length: int) -> None:
        if self.fits(length):
            record = Record(length, None)
            self.reservations.append((record, self.rings[handle].reserve(length, timeout=0)))
            self.records.append(record)
        else:
            with pytest.raises(TimeoutExpired):
                self.rings[handle].reserve(length, timeout=0)

    @precondition(lambda self: self.reservations)
    @rule(data=st.data())
    def end_reservation(self, data: st.DataObject) -> None:
        record, room = self.reservations.pop(data.draw(st.integers(0, len(self.reservations) - 1)))
        if data.draw(st.booleans()):
            room.abort()
            record.state = "over"
            return
        length = data.draw(st.integers(0, len(room.buf)))
        record.message = self.message(length)
        room.buf[:length] = record.message
        room.commit(length)
        record.state = "waiting"
        # what is not used is free when the message is, or before, if nothing else is in front of it

    @rule(handle=handles)
    def try_receive(self, handle: int) -> None:
        record = self.next()
        got = self.rings[handle].try_receive()
        assert got == (record.message if record else None)
        if record:
            record.state = "over"
            self.received += 1

    @rule(handle=handles, count=st.integers(1, 5))
    def receive_many(self, handle: int, count: int) -> None:
        expected = []
        while len(expected) < count and (record := self.next()):
            expected.append(record.message)
            record.state = "over"
        self.received += len(expected)
        if expected:
            assert self.rings[handle].receive_many(count, timeout=0) == expected
        else:
            with pytest.raises(TimeoutExpired):
                self.rings[handle].receive_many(count, timeout=0)

    @rule(handle=handles, size=st.integers(0, LARGEST))
    def receive_into(self, handle: int, size: int) -> None:
        record = self.next()
        buffer = bytearray(size)
        if record is None:
            with pytest.raises(TimeoutExpired):
                self.rings[handle].receive_into(buffer, timeout=0)
            return
        assert record.message is not None
        if len(record.message) > size:
            with pytest.raises(MessageTooLargeError):
                self.rings[handle].receive_into(buffer, timeout=0)
            return
        length = self.rings[handle].receive_into(buffer, timeout=0)
        assert buffer[:length] == record.message
        record.state = "over"
        self.received += 1

    @rule(handle=handles)
    def peek(self, handle: int) -> None:
        record = self.next()
        if record is None:
            with pytest.raises(TimeoutExpired):
                self.rings[handle].peek(timeout=0)
            return
        loan = self.rings[handle].peek(timeout=0)
        assert loan.buf == record.message
        record.state = "lent"
        self.loans.append((record, loan))

    @precondition(lambda self: self.loans)
    @rule(data=st.data())
    def end_loan(self, data: st.DataObject) -> None:
        record, loan = self.loans.pop(data.draw(st.integers(0, len(self.loans) - 1)))
        assert loan.buf == record.message
        if data.draw(st.booleans()):
            loan.release()
            record.state = "over"
            self.received += 1
        else:
            with pytest.raises(RuntimeError), loan:
                raise RuntimeError
            record.state = "waiting"

    @invariant()
    def counts(self) -> None:
        stat = self.rings[0].stat()
        assert stat.received == self.received
        assert stat.used <= CAPACITY
        assert (stat.lost, stat.recoveries) == (0, 0)


class CffiModel(Model):
    """The same on the lane for installations without the extension."""

    cffi = True


Model.TestCase.settings = settings(max_examples=examples(30), stateful_step_count=40, deadline=None)
CffiModel.TestCase.settings = settings(max_examples=examples(10), stateful_step_count=40, deadline=None)
TestMpmcModel = Model.TestCase
TestMpmcModelOnCffi = CffiModel.TestCase
