"""What a type checker knows of the ring from many to many."""

from __future__ import annotations

from typing_extensions import assert_type

from ipckit import MpmcRing, errors
from ipckit.ring import Loan, MpmcStat, Reservation

with MpmcRing.create("/name", capacity=4096, max_messages=3, on_consumer_death="lose", participants=8) as ring:
    assert_type(ring, MpmcRing)
    assert_type(ring.join(), None)
    assert_type(ring.receive(timeout=1), bytes)
    assert_type(ring.try_receive(), "bytes | None")
    assert_type(ring.receive_many(3), list[bytes])
    assert_type(ring.receive_into(bytearray(64)), int)
    assert_type(ring.try_send(memoryview(b"")), bool)
    assert_type(ring.depth, int)
    assert_type(ring.stat(), MpmcStat)
    with ring.reserve(8) as room:
        assert_type(room, Reservation)
    with ring.peek() as loan:
        assert_type(loan, Loan)
    try:
        for message in ring:
            assert_type(message, bytes)
    except errors.StalledError as stalled:
        assert_type(stalled.pid, int)
    ring.send("text")  # type: ignore[arg-type]

MpmcRing.create(on_consumer_gone="wait")  # type: ignore[arg-type]
MpmcRing.create(oversize="fragments")  # type: ignore[arg-type]
