"""Latest against a model: whoever writes, however, each reader gets the newest value, and each value at most once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ipckit.errors import BusyError, EndOfStreamError, MessageTooLargeError, TimeoutExpired
from ipckit.ring import Latest
from ipckit.ring import latest as module
from ipckit.ring._latest_lane import CffiLane
from tests.examples import examples

if TYPE_CHECKING:
    from ipckit.ring import Reservation

MAX_SIZE = 200
HANDLES = 3

lengths = st.one_of(st.integers(0, MAX_SIZE + 8), st.sampled_from([0, 7, 8, 9, MAX_SIZE]))
handles = st.integers(0, HANDLES - 1)


class Model(RuleBasedStateMachine):
    """Handles of one object. Each reads; one at a time is the writer, from its first value to its close."""

    cffi = False

    def __init__(self) -> None:
        super().__init__()
        self.lane_of = module.lane_of
        if self.cffi:
            module.lane_of = CffiLane
        self.handles = [Latest.create(max_size=MAX_SIZE, buffers=2)]
        while len(self.handles) < HANDLES:
            self.handles.append(self.another())
        self.values: list[bytes] = []
        self.seen = [0] * HANDLES
        self.writer: int | None = None
        self.there_was_a_writer = False
        self.room: Reservation | None = None

    def another(self) -> Latest:
        return Latest.from_fd(os.dup(self.handles[0].fileno()))

    def teardown(self) -> None:
        module.lane_of = self.lane_of
        for handle in self.handles:
            handle.close()

    def value(self, length: int) -> bytes:
        return ((len(self.values) + 1).to_bytes(4, "big") * (length // 4 + 1))[:length]

    def may_write(self, handle: int) -> bool:
        return self.writer in (None, handle) and self.room is None

    def begin_to_write(self, handle: int) -> None:
        self.writer = handle
        self.there_was_a_writer = True

    def is_newer(self, handle: int) -> bool:
        return self.seen[handle] < len(self.values)

    def nothing_new(self) -> type[Exception]:
        """What a reader gets that has the newest value."""
        return EndOfStreamError if self.there_was_a_writer and self.writer is None else TimeoutExpired

    @rule(handle=handles, length=lengths, kind=st.sampled_from([bytes, bytearray]))
    def send(self, handle: int, length: int, kind: type) -> None:
        value = self.value(length)
        if length > MAX_SIZE:
            with pytest.raises(MessageTooLargeError):
                self.handles[handle].send(kind(value))
        elif not self.may_write(handle):
            with pytest.raises(BusyError):
                self.handles[handle].send(kind(value))
        else:
            self.handles[handle].send(kind(value))
            self.begin_to_write(handle)
            self.values.append(value)

    @rule(handle=handles, length=lengths)
    def reserve(self, handle: int, length: int) -> None:
        if length > MAX_SIZE:
            with pytest.raises(MessageTooLargeError):
                self.handles[handle].reserve(length)
        elif not self.may_write(handle):
            with pytest.raises(BusyError):
                self.handles[handle].reserve(length)
        else:
            self.room = self.handles[handle].reserve(length)
            self.begin_to_write(handle)
            self.room.buf[:] = b"\xff" * length  # nobody sees it

    @precondition(lambda self: self.room)
    @rule(data=st.data())
    def end_reservation(self, data: st.DataObject) -> None:
        room, self.room = self.room, None
        assert room is not None
        if data.draw(st.booleans()):
            room.abort()
            return
        length = data.draw(st.integers(0, len(room.buf)))
        value = self.value(length)
        room.buf[:length] = value
        room.commit(length)
        self.values.append(value)

    @rule(handle=handles)
    def read(self, handle: int) -> None:
        assert self.handles[handle].read(timeout=0) == (self.values[-1] if self.values else None)
        self.seen[handle] = len(self.values)

    @rule(handle=handles)
    def receive(self, handle: int) -> None:
        if self.is_newer(handle):
            assert self.handles[handle].receive(timeout=0) == self.values[-1]
            self.seen[handle] = len(self.values)
        else:
            with pytest.raises(self.nothing_new()):
                self.handles[handle].receive(timeout=0)

    @rule(handle=handles)
    def try_receive(self, handle: int) -> None:
        if self.is_newer(handle):
            assert self.handles[handle].try_receive() == self.values[-1]
            self.seen[handle] = len(self.values)
        elif self.nothing_new() is TimeoutExpired:
            assert self.handles[handle].try_receive() is None
        else:
            with pytest.raises(EndOfStreamError):
                self.handles[handle].try_receive()

    @rule(handle=handles, size=st.integers(0, MAX_SIZE))
    def receive_into(self, handle: int, size: int) -> None:
        buffer = bytearray(size)
        if not self.is_newer(handle):
            with pytest.raises(self.nothing_new()):
                self.handles[handle].receive_into(buffer, timeout=0)
        elif len(self.values[-1]) > size:
            with pytest.raises(MessageTooLargeError):
                self.handles[handle].receive_into(buffer, timeout=0)
        else:
            length = self.handles[handle].receive_into(buffer, timeout=0)
            assert buffer[:length] == self.values[-1]
            self.seen[handle] = len(self.values)

    @rule(handle=st.integers(1, HANDLES - 1))
    def close_and_open(self, handle: int) -> None:
        """A handle that is new has seen nothing; a reservation that is open is aborted."""
        self.handles[handle].close()
        if self.writer == handle:
            self.writer = self.room = None
        self.handles[handle] = self.another()
        self.seen[handle] = 0

    @invariant()
    def counts(self) -> None:
        stat = self.handles[0].stat()
        assert stat.sent == len(self.values)
        assert stat.bytes_sent == sum(map(len, self.values))
        assert stat.used == (len(self.values[-1]) if self.values else 0)
        assert (stat.age is None) == (not self.values)
        assert (stat.overtaken, stat.recoveries) == (0, 0)
        assert self.handles[0].producers == (self.writer is not None)
        assert [handle.seen for handle in self.handles] == self.seen


class CffiModel(Model):
    """The same on the lane for installations without the extension."""

    cffi = True


Model.TestCase.settings = settings(max_examples=examples(30), stateful_step_count=40, deadline=None)
CffiModel.TestCase.settings = settings(max_examples=examples(10), stateful_step_count=40, deadline=None)
TestLatestModel = pytest.mark.slow(Model.TestCase)
TestLatestModelOnCffi = pytest.mark.slow(CffiModel.TestCase)
