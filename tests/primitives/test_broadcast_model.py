"""BroadcastRing against a model of it: one list of all messages, and for each reader where it stands."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ipckit._names import unique_name
from ipckit.errors import (
    DisconnectedError,
    EndOfStreamError,
    MessagesLostError,
    MessageTooLargeError,
    TimeoutExpired,
)
from ipckit.ring import BroadcastRing
from ipckit.ring import _broadcast_handle as handles
from ipckit.ring._broadcast_lane import CffiLane
from tests.examples import examples

CAPACITY = 4096
LARGEST = CAPACITY // 2 - 16
READERS = 3

lengths = st.one_of(st.integers(0, 40), st.integers(0, LARGEST + 16), st.sampled_from([LARGEST, LARGEST + 1, 1000]))
readers = st.integers(0, READERS - 1)


class Kept(Exception):
    """What leaves a message in the ring."""


def room_of(length: int) -> int:
    return (16 + length + 7) & ~7


class Model(RuleBasedStateMachine):
    """Two writers and three readers of one ring, which come and go."""

    cffi = False
    policy = "block"

    def __init__(self) -> None:
        super().__init__()
        self.lane_of = handles.lane_of
        if self.cffi:
            handles.lane_of = CffiLane
        self.name = unique_name()
        self.keeper = BroadcastRing.create(self.name, capacity=CAPACITY, slow_reader=self.policy)  # type: ignore[arg-type]
        self.writers = [BroadcastRing.open(self.name) for _ in range(2)]
        self.readers = [BroadcastRing.open(self.name) for _ in range(READERS)]
        self.sent: list[bytes] = []
        self.at: list[int | None] = [None] * READERS  # the next message of each reader; None: it is none
        self.cut_off = [False] * READERS
        self.writing: set[int] = set()
        self.ended = False  # there were writers, and all of them have closed
        self.oldest = 0  # no more than this many messages can have been dropped

    def teardown(self) -> None:
        handles.lane_of = self.lane_of
        for ring in (*self.writers, *self.readers, self.keeper):
            ring.close()
        self.keeper.unlink()

    def message(self, length: int) -> bytes:
        return (len(self.sent).to_bytes(4, "big") * (length // 4 + 1))[:length]

    def unread(self, extra: int) -> int:
        """Bytes from the slowest reader to the end, if it waits for that one."""
        slowest = min((at for at in self.at if at is not None), default=len(self.sent))
        return sum(room_of(len(message)) for message in self.sent[slowest:]) + extra

    def fits(self, length: int) -> bool:
        return self.policy != "block" or self.unread(room_of(length)) <= CAPACITY

    def wrote(self, which: int, messages: list[bytes]) -> None:
        self.sent.extend(messages)
        self.writing.add(which)
        self.ended = False

    @rule(which=st.integers(0, 1), length=lengths, kind=st.sampled_from([bytes, bytearray]))
    def send(self, which: int, length: int, kind: type) -> None:
        message = self.message(length)
        if length > LARGEST:
            with pytest.raises(MessageTooLargeError):
                self.writers[which].send(kind(message), timeout=0)
            self.wrote(which, [])
        elif not self.fits(length):
            assert not self.writers[which].try_send(kind(message))
            with pytest.raises(TimeoutExpired):
                self.writers[which].send(kind(message), timeout=0)
            self.wrote(which, [])
        else:
            self.writers[which].send(kind(message), timeout=0)
            self.wrote(which, [message])

    @rule(which=st.integers(0, 1), parts=st.lists(st.integers(0, 300), min_size=1, max_size=90))
    def send_many(self, which: int, parts: list[int]) -> None:
        messages = [bytes([index]) * length for index, length in enumerate(parts)]
        expected = len(messages)
        if self.policy == "block" and any(at is not None for at in self.at):
            used = self.unread(0)
            for index, message in enumerate(messages):
                used += room_of(len(message))
                if used > CAPACITY:
                    expected = index
                    break
        if expected == len(messages):
            self.writers[which].send_many(messages, timeout=0)
        else:
            with pytest.raises(TimeoutExpired) as caught:
                self.writers[which].send_many(messages, timeout=0)
            assert caught.value.completed == expected
        self.wrote(which, messages[:expected])

    @rule(which=st.integers(0, 1), length=st.integers(0, LARGEST), share=st.integers(0, 4), commit=st.booleans())
    def reserve(self, which: int, length: int, share: int, *, commit: bool) -> None:
        if not self.fits(length):
            with pytest.raises(TimeoutExpired):
                self.writers[which].reserve(length, timeout=0)
            self.wrote(which, [])
            return
        room = self.writers[which].reserve(length, timeout=0)
        message = self.message(length)
        room.buf[:] = message
        if commit:
            room.commit(length * share // 4)
            self.wrote(which, [message[: length * share // 4]])
        else:
            room.abort()
            self.wrote(which, [])

    @rule(which=readers, history=st.sampled_from([0, 0, 1, 5, 1000]))
    def subscribe(self, which: int, history: int) -> None:
        found = self.readers[which].subscribe(history)
        assert found <= min(history, len(self.sent))
        if history and self.sent:
            assert found >= 1  # the newest is always there
        if found < history:  # all that was retained: no less than 15/16 of the ring, but for a message
            kept = sum(room_of(len(message)) for message in self.sent[len(self.sent) - found :])
            assert found == len(self.sent) or kept > CAPACITY - CAPACITY // 16 - 2 * (LARGEST + 24)
        self.at[which] = len(self.sent) - found
        self.cut_off[which] = False

    @rule(which=readers)
    def unsubscribe(self, which: int) -> None:
        # one that was passed finds out with its next receive
        assert self.readers[which].unsubscribe() is (self.at[which] is not None)
        self.at[which] = None
        self.cut_off[which] = False

    def receive_from(self, which: int, n: int) -> list[bytes] | None:
        """What a reader gets; None if it was told of something else."""
        reader = self.readers[which]
        if self.cut_off[which]:
            with pytest.raises(DisconnectedError):
                reader.receive(timeout=0)
            return None
        if self.at[which] is None:
            self.at[which] = len(self.sent)
        before = self.at[which]
        assert before is not None
        lost = 0
        try:
            return reader.receive_many(n, timeout=0) if n else [reader.receive(timeout=0)]
        except MessagesLostError as gap:
            lost = gap.lost
        except DisconnectedError:
            assert self.policy == "disconnect"
            self.at[which], self.cut_off[which] = None, True
        except TimeoutExpired:
            assert before == len(self.sent)
            assert not self.ended
        except EndOfStreamError:
            assert before == len(self.sent)
            assert self.ended
        if lost:
            assert self.policy == "overwrite"
            assert lost < len(self.sent) - before
            self.at[which] = before + lost
        return None

    @rule(which=readers, n=st.integers(0, 70))
    def receive(self, which: int, n: int) -> None:
        got = self.receive_from(which, n)
        at = self.at[which]
        if got is not None:
            assert at is not None
            assert got == self.sent[at : at + len(got)]
            # nothing that lies further back than the ring is long
            assert sum(room_of(len(message)) for message in self.sent[at:]) <= CAPACITY
            assert len(got) == min(max(n, 1), len(self.sent) - at)
            self.at[which] = at + len(got)

    @precondition(lambda self: self.policy == "block")
    @rule(which=readers, keep=st.booleans())
    def peek(self, which: int, *, keep: bool) -> None:
        at = self.at[which]
        if at is None or at == len(self.sent):
            return
        with suppress(Kept), self.readers[which].peek(timeout=0) as loan:
            assert bytes(loan.buf) == self.sent[at]
            if keep:
                raise Kept
        self.at[which] = at if keep else at + 1

    @rule(which=st.integers(0, 1))
    def end_writer(self, which: int) -> None:
        self.writers[which].close()
        self.writers[which] = BroadcastRing.open(self.name)
        if which in self.writing:
            self.writing.discard(which)
            self.ended = not self.writing

    @rule(which=readers)
    def end_reader(self, which: int) -> None:
        self.readers[which].close()
        self.readers[which] = BroadcastRing.open(self.name)
        self.at[which] = None
        self.cut_off[which] = False

    @invariant()
    def numbers(self) -> None:
        stat = self.keeper.stat()
        assert stat.sent == len(self.sent)
        assert stat.used <= CAPACITY
        assert self.keeper.producers == len(self.writing)
        reading = sum(at is not None for at in self.at)
        assert self.keeper.consumers <= reading if self.policy == "disconnect" else self.keeper.consumers == reading
        for reader, at in zip(self.readers, self.at, strict=True):
            assert reader.depth == (0 if at is None else len(self.sent) - at)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["block", "overwrite", "disconnect"])
@pytest.mark.parametrize("cffi", [False, True], ids=["compiled", "cffi"])
def test_any_sequence_of_calls_does_what_the_model_does(policy: str, cffi: bool) -> None:
    case = type("Case", (Model,), {"cffi": cffi, "policy": policy}).TestCase  # type: ignore[attr-defined]
    case.settings = settings(max_examples=examples(12), stateful_step_count=40, deadline=None)
    case().runTest()
