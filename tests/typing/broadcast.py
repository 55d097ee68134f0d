"""What a type checker knows of the ring that all readers see."""

from __future__ import annotations

from typing import Literal

from typing_extensions import assert_type

from ipckit import BroadcastRing, errors
from ipckit.ring import BroadcastStat, Loan, Reservation

with BroadcastRing.create("/name", capacity=4096, slow_reader="overwrite", oversize="file", participants=8) as ring:
    assert_type(ring, BroadcastRing)
    assert_type(ring.subscribe(3, timeout=1), int)
    assert_type(ring.unsubscribe(), bool)
    assert_type(ring.receive(timeout=1), bytes)
    assert_type(ring.try_receive(), "bytes | None")
    assert_type(ring.receive_many(3), list[bytes])
    assert_type(ring.receive_into(bytearray(64)), int)
    assert_type(ring.try_send(memoryview(b"")), bool)
    assert_type(ring.slow_reader, Literal["block", "overwrite", "disconnect"])
    assert_type(ring.stat(), BroadcastStat)
    assert_type(ring.stat().lost, int)
    with ring.reserve(8) as room:
        assert_type(room, Reservation)
    with ring.peek() as loan:
        assert_type(loan, Loan)
    try:
        for message in ring:
            assert_type(message, bytes)
    except errors.MessagesLostError as gap:
        assert_type(gap.lost, int)
    except errors.StalledError as stalled:
        assert_type(stalled.pid, int)
    ring.send("text")  # type: ignore[arg-type]

BroadcastRing.create(slow_reader="drop")  # type: ignore[arg-type]
BroadcastRing.create(oversize="fragments")
BroadcastRing.create(oversize="parts")  # type: ignore[arg-type]
