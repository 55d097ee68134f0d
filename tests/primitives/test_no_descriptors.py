"""A process that has no descriptors left: what fails says so, leaves nothing behind, and what is open can be closed."""

from __future__ import annotations

import gc
import os
import resource
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from ipckit import Fifo, MpmcRing, Queue
from ipckit.errors import LimitError
from ipckit.server import Server
from ipckit.sockets.unix import Stream
from ipckit.sync import Mutex
from ipckit.testing import pause

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipckit.testing import Spawn


@contextmanager
def left(n: int) -> Iterator[None]:
    """Have this process open *n* descriptors at most."""
    free = []
    while len(free) <= n:
        free.append(os.dup(0))
    for fd in free:
        os.close(fd)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[n], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_fifo_that_cannot_be_opened_is_not_left_behind(tmp_path: Path) -> None:
    with left(0), pytest.raises(LimitError, match="RLIMIT_NOFILE"):
        Fifo.create(tmp_path / "fifo")
    assert list(tmp_path.iterdir()) == []


def test_queues_and_rings_with_files_are_closed() -> None:
    queue: Queue[int] = Queue()
    ring = MpmcRing.create(f"/no-descriptors-{os.getpid()}", capacity=4096, oversize="file")
    other = MpmcRing.open(ring.name)
    with left(0):
        queue.close()
        other.close()
    assert other.closed
    ring.unlink()
    ring.close()


@pytest.mark.parametrize("n", range(5))
def test_a_socket_file_stays_until_it_can_be_looked_at(tmp_path: Path, n: int) -> None:
    path = str(tmp_path / "socket")
    listener = Stream.listen(path, unlink_on_close=False)
    listener.close()
    try:
        with left(n):
            Stream.listen(path).close()
    except LimitError:
        assert n < 4
        assert os.listdir(tmp_path) == ["socket"]
    else:
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mode", ["processes", "threads", "selector"])  # asyncio makes its loop by itself
def test_a_server_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path, mode: str) -> None:
    gc.collect()
    before, refused = len(os.listdir("/proc/self/fd")), 0
    while True:
        listener = Stream.listen(tmp_path / "socket")
        server = Server(listener, lambda message, _: message, mode=mode)
        try:
            with left(refused), server:
                pass
        except LimitError:
            refused += 1
        else:
            break
        finally:
            listener.close()
            assert len(os.listdir("/proc/self/fd")) == before
    assert refused


def hold_without_descriptors(mutex: Mutex) -> None:
    mutex.acquire()
    own = mutex.fileno()
    os.closerange(own, own + 3)
    pause("holding")
    mutex.release()


def test_an_owner_that_cannot_be_asked_for_is_not_taken_for_dead(spawn: Spawn) -> None:
    with closing(Mutex.create(f"/no-descriptors-{os.getpid()}", unlink_on_close=True)) as mutex:
        child = spawn(hold_without_descriptors, mutex)  # so that only /proc tells that it lives
        child.wait_reached("holding")
        with left(0):
            assert mutex.acquire(timeout=0.2) is False
        child.resume("holding")
        got = mutex.acquire(timeout=20)
        assert got
        assert not got.owner_died
        mutex.release()
