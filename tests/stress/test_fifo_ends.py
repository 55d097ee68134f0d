"""The end of a FIFO's stream, again and again, looked for while a writer comes, writes and goes."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from ipckit import Fifo
from ipckit.sockets.unix import Stream

if TYPE_CHECKING:
    from pathlib import Path

    from ipckit.testing import Spawn

SECONDS = 30


def write_and_close(path: str, orders: Stream, cpus: set[int]) -> None:
    os.sched_setaffinity(0, cpus)
    with orders:
        while orders.read(1):
            time.sleep(random.random() / 10_000)  # a timer's interrupt ends it, amid whatever the reader is doing
            fd = os.open(path, os.O_WRONLY)
            os.write(fd, b"x")
            os.close(fd)
            orders.write(b"c")


@pytest.mark.stress
def test_what_a_writer_left_is_read_before_the_end(tmp_path: Path, spawn: Spawn) -> None:
    """poll(2) takes no lock: it may tell that writers have gone while one is just coming, or has left something."""
    cpus = os.sched_getaffinity(0)
    one = {min(cpus)}  # so that the two take turns at any instruction
    ours, theirs = Stream.pair()
    rounds, end = 0, time.monotonic() + SECONDS
    with ours, Fifo.create(tmp_path / "fifo") as fifo:
        child = spawn(write_and_close, fifo.name, theirs, one)
        theirs.close()
        os.sched_setaffinity(0, one)
        try:
            while time.monotonic() < end:
                with fifo.open_reader() as reader:
                    ours.write(b"x")
                    while (found := reader.try_read()) is None:
                        pass
                    assert found == b"x", f"round {rounds}"
                ours.read(1)  # the next reader must not meet this writer
                rounds += 1
        finally:
            os.sched_setaffinity(0, cpus)
    child.join()
    print(f"{rounds} writers")
