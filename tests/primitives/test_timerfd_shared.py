"""TimerFd among threads, processes, loops and namespaces."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ipckit import Pipe
from ipckit.errors import SyscallError
from ipckit.timerfd import TimerFd
from tests.contract.tools import Background, in_fork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

LONG = 1000.0


SOON = 1e-9


@pytest.fixture
def timer() -> Iterator[TimerFd]:
    with TimerFd.create() as made:
        yield made


def read_one(timer: TimerFd) -> int:
    with timer:
        return timer.read(10)


def test_processes_share_timer_and_count(timer: TimerFd, spawn: Spawn) -> None:
    child = spawn(read_one, timer)
    child.wait_blocked("poll")
    timer.set(SOON, 0.05)
    assert child.result() >= 1
    timer.set_ns(time.monotonic_ns() - 1, absolute=True)
    assert in_fork(timer.read) == 1
    assert timer.try_read() is None, "one of them has read it"
    in_fork(lambda: timer.set(LONG, 7))
    assert timer.get().interval == 7
    assert not os.get_inheritable(timer.fileno())


def test_a_reader_that_is_killed_takes_no_expiration_with_it(timer: TimerFd, spawn: Spawn) -> None:
    child = spawn(read_one, timer)
    child.wait_blocked("poll")
    child.kill()
    child.join()
    timer.set(SOON)
    assert timer.read(10) == 1


def arm_and_die(timer: TimerFd) -> None:
    timer.set(0.001, 0.001)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_timer_goes_on_when_who_has_set_it_is_killed(timer: TimerFd, spawn: Spawn) -> None:
    assert spawn(arm_and_die, timer).join() == -signal.SIGKILL
    assert timer.read(10) >= 1
    assert timer.read(10) >= 1


def test_each_expiration_goes_to_one_thread(timer: TimerFd) -> None:
    read: list[int] = []
    waiters = [Background(lambda: read.append(timer.read(20))) for _ in range(3)]
    for waiter in waiters:
        waiter.wait_blocked("poll")
    for count in range(1, 4):
        timer.set(SOON)  # which forgets what nobody has read
        while len(read) < count:
            os.sched_yield()
    for waiter in waiters:
        waiter.join()
    assert read == [1, 1, 1]


def test_taking_over_a_descriptor(timer: TimerFd) -> None:
    copy = os.dup(timer.fileno())
    os.set_blocking(copy, True)
    os.set_inheritable(copy, True)
    with TimerFd.from_fd(copy) as other:
        assert other.clock == time.CLOCK_MONOTONIC
        assert not os.get_blocking(timer.fileno())
        assert not os.get_inheritable(copy)
        other.set(SOON)
        assert timer.read(10) == 1
    reading, writing = os.pipe()
    with pytest.raises(ValueError, match="must be a timerfd"):
        TimerFd.from_fd(reading)
    os.close(reading)
    os.close(writing)
    with pytest.raises(SyscallError, match="fd 999999"):
        TimerFd.from_fd(999999)


def test_selectors_see_it_among_others(timer: TimerFd) -> None:
    reader, writer = Pipe.create()
    with reader, writer, selectors.DefaultSelector() as selector:
        selector.register(timer, selectors.EVENT_READ, "timer")
        selector.register(reader, selectors.EVENT_READ, "pipe")
        assert selector.select(0) == []
        timer.set(0.001)
        assert [key.data for key, _ in selector.select(10)] == ["timer"]
        writer.write(b"x")
        assert {key.data for key, _ in selector.select(10)} == {"timer", "pipe"}
        assert timer.read() == 1
        assert [key.data for key, _ in selector.select(10)] == ["pipe"]


def test_asyncio_reads_by_readiness(timer: TimerFd) -> None:
    import asyncio

    async def count(wanted: int) -> int:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        total = 0

        def ready() -> None:
            nonlocal total
            total += timer.try_read() or 0
            if total >= wanted and not done.done():
                done.set_result(total)

        loop.add_reader(timer, ready)
        timer.set(0.001, 0.001)
        try:
            return await asyncio.wait_for(done, 10)
        finally:
            loop.remove_reader(timer)

    assert asyncio.run(count(3)) >= 3


IN_NAMESPACE = """
import time
from ipckit import TimerFd
for clock in (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME):
    now = time.clock_gettime_ns(clock)
    assert now > 10**9 * 10**9, now
    with TimerFd.create(clock) as timer:
        timer.set_ns(now + 1_000_000, absolute=True)
        assert timer.read(10) == 1
        timer.set_ns(10**9 * 10**9 // 2, absolute=True)
        assert timer.read(10) == 1
print("good")
"""


def test_a_time_namespace_has_clocks_of_its_own() -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not installed (Debian, Ubuntu: apt-get install util-linux)")
    offset = str(10**9)
    command = [unshare, "-r", "-T", "--monotonic", offset, "--boottime", offset, "--fork"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no time namespace may be made here")
    run = subprocess.run(
        [*command, sys.executable, "-c", IN_NAMESPACE],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert (run.stdout, run.stderr) == ("good\n", "")
