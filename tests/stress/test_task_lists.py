"""Threads of a process, listed again and again while others end."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from ipckit._tasks import tasks
from ipckit.sockets.unix import SeqPacket

if TYPE_CHECKING:
    from ipckit.testing import Spawn

SECONDS = 30
ENDING = 40  # threads that end meanwhile
LOOKS = 300  # while those threads end and after; listdir alone is wrong once in some 2,500


def end_many_before_one(orders: SeqPacket) -> None:
    """For each order, start threads and one more, whose number is told; all but that one end."""
    with orders:
        while orders.receive():
            end, stay = threading.Event(), threading.Event()
            ending = [threading.Thread(target=end.wait) for _ in range(ENDING)]
            last = threading.Thread(target=stay.wait)
            for thread in (*ending, last):
                thread.start()
            orders.send(str(last.native_id).encode())
            end.set()
            for thread in ending:
                thread.join()
            orders.receive()
            stay.set()
            last.join()


@pytest.mark.stress
def test_one_that_stays_is_never_left_out(spawn: Spawn) -> None:
    """A listing of the kernel's ends where the thread that it has reached ends."""
    ours, theirs = SeqPacket.pair()
    child = spawn(end_many_before_one, theirs)
    theirs.close()
    looks, end = 0, time.monotonic() + SECONDS
    with ours:
        while time.monotonic() < end:
            ours.send(b"x")
            last = int(ours.receive())
            for _ in range(LOOKS):
                looks += 1
                assert last in tasks(child.pid), f"look {looks}"
            ours.send(b"x")
        ours.send(b"")
    child.join()
