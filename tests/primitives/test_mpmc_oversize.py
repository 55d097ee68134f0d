"""Messages longer than an MpmcRing, each in a file: who makes it, who removes it, who is killed between the two."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipckit._names import unique_name
from ipckit._native import ffi
from ipckit._native_quick import lib as quick
from ipckit.errors import LayoutError, MessageTooLargeError, SyscallError, TimeoutExpired
from ipckit.ring import MpmcRing
from ipckit.testing import pause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

SMALL = 4096
LONG = bytes(range(250)) * 400


@pytest.fixture
def ring() -> Iterator[MpmcRing]:
    with MpmcRing.create(unique_name(), capacity=SMALL, oversize="file", unlink_on_close=True) as made:
        yield made
        name = made.name
    assert not files(name)


def files(name: str) -> list[Path]:
    return sorted(Path("/dev/shm").glob(f"ipckit.{name[1:]}.*"))


def test_long_and_short_messages_keep_their_order(ring: MpmcRing) -> None:
    ring.send(b"first")
    ring.send(LONG)
    ring.send_many([b"third", LONG[:50_000], memoryview(b"fifth")])
    assert ring.try_send(bytearray(LONG))
    assert len(files(ring.name)) == 3
    assert ring.receive(0) == b"first"
    assert ring.receive(0) == LONG
    assert ring.receive_many(10, 0) == [b"third"]
    assert ring.receive_many(10, 0) == [LONG[:50_000]]
    assert ring.try_receive() == b"fifth"
    assert ring.try_receive() == LONG
    assert ring.try_receive() is None
    assert not files(ring.name)


def test_try_receive_passes_a_message_whose_receiver_was_killed(ring: MpmcRing) -> None:
    ring.send(LONG)
    (received,) = files(ring.name)
    ring.send(LONG[::-1])
    received.unlink()  # what is left when its receiver is killed before it gives the loan back
    assert ring.try_receive() == LONG[::-1]
    assert ring.try_receive() is None


def test_into_a_buffer_and_on_loan(ring: MpmcRing) -> None:
    for _ in range(3):
        ring.send(LONG)
    buffer = bytearray(len(LONG))
    with pytest.raises(MessageTooLargeError, match="100000"):
        ring.receive_into(bytearray(10), 0)
    assert ring.receive_into(buffer, 0) == len(LONG)
    assert buffer == LONG
    with pytest.raises(RuntimeError), ring.peek(0) as loan:
        assert loan.buf == LONG
        raise RuntimeError
    with ring.peek(0) as loan:
        assert loan.buf == LONG
        assert loan.buf.readonly
        assert ring.receive(0) == LONG  # the one behind it
    assert not files(ring.name)


def test_send_many_tells_how_many_were_sent_before_a_file_found_no_room(ring: MpmcRing) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(LONG) - 1, before[1]))  # Python ignores SIGXFSZ
    try:
        with pytest.raises(SyscallError) as refused:
            ring.send_many([b"one", b"two", LONG, b"four"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (refused.value.errno, refused.value.completed) == (errno.EFBIG, 2)
    assert ring.receive_many(10, 0) == [b"one", b"two"]


def test_there_is_room_for_few_records(ring: MpmcRing) -> None:
    sent = 0
    while ring.try_send(LONG):
        sent += 1
    assert sent == SMALL // 32
    assert len(files(ring.name)) == sent
    with pytest.raises(TimeoutExpired):
        ring.send(LONG, 0.01)
    assert len(files(ring.name)) == sent
    for _ in range(sent):
        assert ring.receive(0) == LONG


def test_only_where_the_creator_chose_so() -> None:
    with MpmcRing.create(capacity=SMALL) as ring, pytest.raises(MessageTooLargeError, match="100000 bytes"):
        ring.send(LONG)
    with pytest.raises(ValueError, match="needs a ring with a name"):
        MpmcRing.create(oversize="file")
    with pytest.raises(ValueError, match="oversize must be one of"):
        MpmcRing.create(oversize="fragments")  # type: ignore[arg-type]


def reserve_and_write(ring: MpmcRing) -> None:
    """What `send` of a long message does, up to the commit."""
    assert ring._long is not None
    claim = ffi.new("struct ipk_mpmc_claim *")
    assert quick.ipk_mpmc_try_reserve(ring._ring, 24, claim) == 0
    ring._long._files.write(memoryview(LONG), claim.place & 0xFFFFFFFF)
    pause("written")


def test_a_producer_that_is_killed_leaves_a_file_for_the_next_opener(ring: MpmcRing, spawn: Spawn) -> None:
    child = spawn(reserve_and_write, ring)
    child.wait_reached("written")
    ring.send(b"behind it")
    assert len(files(ring.name)) == 1
    child.kill()
    child.join()
    assert ring.receive(20.0) == b"behind it"
    with MpmcRing.open(ring.name):
        assert not files(ring.name)


def hold(ring: MpmcRing) -> None:
    with ring.peek() as loan:
        assert loan.buf == LONG
        pause("held")


def test_what_a_killed_consumer_had_on_loan_goes_to_another_one(ring: MpmcRing, spawn: Spawn) -> None:
    ring.send(LONG)
    child = spawn(hold, ring)
    child.wait_reached("held")
    child.kill()
    child.join()
    assert ring.receive(20.0) == LONG


def test_a_message_whose_file_is_gone_was_received(ring: MpmcRing) -> None:
    """By one that was killed before it released the record."""
    ring.send(LONG)
    ring.send(b"the next")
    files(ring.name)[0].unlink()
    assert ring.receive(0) == b"the next"


def test_a_file_that_is_not_what_was_announced_is_refused(ring: MpmcRing) -> None:
    ring.send(LONG)
    ring.send(b"the next")
    os.truncate(files(ring.name)[0], 10)
    with pytest.raises(LayoutError, match="is not the message of 100000 bytes"):
        ring.receive(0)
    assert ring.receive(0) == b"the next"


def test_what_nobody_has_received_goes_with_the_ring() -> None:
    with MpmcRing.create(unique_name(), capacity=SMALL, oversize="file") as ring:
        ring.send(LONG)
        with MpmcRing.open(ring.name) as other:
            other.send(LONG)
            ring.unlink()
            ring.close()
            assert len(files(ring.name)) == 2
            assert other.receive(0) == LONG
        assert not files(ring.name)


def exchange(ring: MpmcRing, number: int) -> None:
    for n in range(number):
        ring.send(bytes([n % 256]) * (10 + 3000 * (n % 7)))


def test_between_processes(ring: MpmcRing, spawn: Spawn) -> None:
    ring.join()  # or it were the end of the stream when one of them has sent all before the other has begun
    children = [spawn(exchange, ring, 100) for _ in range(2)]
    seen: dict[int, int] = {}
    for _ in range(200):
        message = ring.receive(20.0)
        assert message == message[:1] * len(message)
        seen[message[0]] = seen.get(message[0], 0) + 1
    for child in children:
        child.join()
    assert seen == dict.fromkeys(range(100), 2)
