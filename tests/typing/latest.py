"""What a type checker knows of the newest value."""

from __future__ import annotations

from typing import NoReturn

from typing_extensions import assert_type

from ipckit.ring import Latest, LatestStat, Reservation

with Latest.create("/name", max_size=64, buffers=2) as latest:
    assert_type(latest, Latest)
    assert_type(latest.read(), "bytes | None")
    assert_type(latest.receive(timeout=1), bytes)
    assert_type(latest.try_receive(), "bytes | None")
    assert_type(latest.receive_into(bytearray(64)), int)
    assert_type(latest.stat(), LatestStat)
    assert_type(latest.stat().age, "float | None")
    assert_type(latest.seen, int)
    with latest.reserve(8) as room:
        assert_type(room, Reservation)
    for value in latest:
        assert_type(value, bytes)
    latest.send(memoryview(b""))
    latest.send("text")  # type: ignore[arg-type]


def peek(handle: Latest) -> NoReturn:
    handle.peek()
