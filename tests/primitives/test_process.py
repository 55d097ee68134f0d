"""PidFd: opening, the end and its status, signals, descriptors of others, readiness."""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from ipckit import EventFd, PidFd
from ipckit.errors import NoProcessError, TimeoutExpired
from ipckit.signals import blocked, sigtimedwait
from ipckit.sockets import unix
from tests.contract.tools import Background, in_fork
from tests.primitives.tracing import PERMIT, tracer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

KILLED = -signal.SIGKILL


@pytest.fixture
def sleeper() -> Iterator[PidFd]:
    with PidFd.spawn(["sleep", "1000"]) as made:
        yield made
        if made.running:
            made.send_signal(signal.SIGKILL)
        made.wait(10)


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


@pytest.mark.parametrize(
    ("program", "status"),
    [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", -9), ("kill -TERM $$", -15), ("kill -35 $$", -35)],
)
def test_a_child_tells_its_status_and_leaves_no_zombie(program: str, status: int) -> None:
    with PidFd.spawn(["sh", "-c", program]) as child:
        for _ in range(2):
            assert child.wait(10) == status
        assert child.returncode == status
        assert not child.running
        with pytest.raises(ChildProcessError):
            os.waitpid(child.pid, os.WNOHANG)
        with pytest.raises(NoProcessError):
            child.send_signal(0)


def test_a_child_may_be_left_to_be_reaped_by_its_owner() -> None:
    process = subprocess.Popen(["sh", "-c", "exit 7"])
    with PidFd.open(process.pid) as child:
        assert child.wait(10, reap=False) == 7
        assert child.returncode == 7
        assert state(process.pid) == "Z"
        child.send_signal(signal.SIGTERM)  # a zombie takes it
        child.sigqueue(signal.SIGRTMIN, 1)
        assert process.wait() == 7
        assert child.wait(10) == 7


def test_a_process_of_multiprocessing() -> None:
    from multiprocessing import get_context

    process = get_context("spawn").Process(target=os._exit, args=(5,))
    process.start()
    with PidFd.open(process.pid or 0) as child:
        assert child.wait(20, reap=False) == 5
    process.join()
    assert process.exitcode == 5


def test_while_it_runs(sleeper: PidFd) -> None:
    assert sleeper.running
    assert sleeper.returncode is None
    assert repr(sleeper) == f"<PidFd pid={sleeper.pid} fd={sleeper.fileno()}>"
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutExpired, match="waitid"):
            sleeper.wait(timeout)
    sleeper.send_signal(0)
    sleeper.send_signal(signal.SIGSTOP)
    assert os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED)
    assert sleeper.running, "a stopped process has not ended"
    sleeper.send_signal(signal.SIGKILL)
    assert sleeper.wait(10) == KILLED


def test_a_descriptor_means_its_process_when_the_number_is_gone() -> None:
    with PidFd.spawn(["true"]) as child, PidFd.open(child.pid) as other:
        number = child.pid
        assert other.wait(10, reap=False) == 0
        assert child.wait(10) == 0
        for handle in (child, other):
            for call in (
                lambda h=handle: h.send_signal(signal.SIGKILL),
                lambda h=handle: h.sigqueue(signal.SIGRTMIN, 1),
                lambda h=handle: h.getfd(0),
            ):
                with pytest.raises(NoProcessError) as caught:
                    call()
                assert isinstance(caught.value, ProcessLookupError)
        with pytest.raises(NoProcessError, match=f"pidfd_open.*process {number}"):
            PidFd.open(number)


@pytest.mark.parametrize("bad", [0, -1, 2**31])
def test_numbers_that_are_no_pids(bad: int) -> None:
    with pytest.raises(ValueError, match="pid must be 1 to"):
        PidFd.open(bad)
    for wrong in ("1", 1.0, True, None):
        with pytest.raises(TypeError, match="pid"):
            PidFd.open(wrong)  # type: ignore[arg-type]


def test_a_thread_is_no_process() -> None:
    stop = threading.Event()
    thread = Background(stop.wait)
    with pytest.raises(ValueError, match="that of a thread"):
        PidFd.open(thread.tid)
    stop.set()
    thread.join()


def watch(process: PidFd) -> tuple[int | None, bool]:
    with process:
        return process.wait(20), process.running


def test_one_who_is_not_the_parent_learns_that_it_ended(sleeper: PidFd, spawn: Spawn) -> None:
    watcher = spawn(watch, sleeper)
    watcher.wait_blocked("poll")
    sleeper.send_signal(signal.SIGKILL)
    status, running = watcher.result()
    assert status is None, "nobody has waited for it yet, and so nobody is told"
    assert not running
    assert state(sleeper.pid) == "Z", "it is not theirs to reap"
    assert sleeper.wait(0) == KILLED
    assert in_fork(lambda: sleeper.wait(0)) == KILLED, "a copy of the handle knows what the handle knew"


def end_and_be_reaped(status: int) -> tuple[int | None, int | None, int | None]:
    with PidFd.spawn(["sh", "-c", f"exit {status}"]) as child, PidFd.open(child.pid) as other:
        ours = child.wait(10)
        return ours, other.wait(10), in_fork(lambda: PidFd.from_fd(os.dup(other.fileno())).wait(0))


def test_a_status_that_the_parent_has_taken_is_told_by_newer_kernels(spawn: Spawn) -> None:
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    ours, later, elsewhere = spawn(end_and_be_reaped, 9).result()
    assert ours == 9
    assert (later, elsewhere) == ((9, 9) if release >= (6, 15) else (None, None))


def ignore_children() -> tuple[bool, int | None]:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with PidFd.spawn(["sleep", "1000"], setsigdef=()) as child:
        child.send_signal(signal.SIGKILL)
        status = child.wait(10)
        return child.running, status


def test_a_child_whose_end_is_ignored_still_ends_the_wait(spawn: Spawn) -> None:
    running, status = spawn(ignore_children).result()
    assert not running
    assert status in {None, KILLED}, "before Linux 6.15 the status is gone with the child"


def test_a_traced_child_tells_its_status_when_its_tracer_knows_it(spawn: Spawn) -> None:
    told, telling = os.pipe()
    program = f"{PERMIT}; import os; os.write({telling}, b'x'); import signal; signal.pause()"
    os.set_inheritable(telling, True)
    with PidFd.spawn([sys.executable, "-S", "-c", program]) as child, open(told, "rb", 0) as started:
        os.close(telling)
        started.read(1)
        try:
            tracer = tracer_of(spawn, child.pid)
        except BaseException:
            child.send_signal(signal.SIGKILL)
            child.wait(20)
            raise
        child.send_signal(signal.SIGKILL)
        end = select.poll()
        end.register(child, select.POLLIN)
        assert end.poll(20_000)
        with pytest.raises(TimeoutExpired):
            child.wait(0.1)
        assert child.returncode is None
        waiter = Background(lambda: child.wait(20))
        tracer.resume("attached")
        assert waiter.join() == KILLED
        assert tracer.result()
        with pytest.raises(NoProcessError):
            child.send_signal(0)


def test_several_threads_may_wait_and_all_are_told(sleeper: PidFd) -> None:
    waiters = [Background(lambda: sleeper.wait(20)) for _ in range(6)]
    for waiter in waiters:
        waiter.wait_blocked("poll")
    sleeper.send_signal(signal.SIGKILL)
    assert [waiter.join() for waiter in waiters] == [KILLED] * 6


def end_three_children() -> tuple[int, list[int | None]]:
    """How many SIGCHLD come of three children that end while it is blocked, and what their descriptors tell."""
    with blocked({signal.SIGCHLD}):
        children = [PidFd.spawn(["sh", "-c", f"exit {status}"]) for status in (1, 2, 3)]
        for child in children:
            child.wait(10, reap=False)
        told = 0
        while sigtimedwait({signal.SIGCHLD}, 0):
            told += 1
        statuses = [child.wait(10) for child in children]
        for child in children:
            child.close()
        return told, statuses


def test_one_sigchld_may_stand_for_several_children_and_a_descriptor_never_does(spawn: Spawn) -> None:
    assert spawn(end_three_children).result() == (1, [1, 2, 3])


@pytest.mark.skipif(not hasattr(unix.Stream, "peer_pidfd"), reason="sockets tell no pidfd here")
def test_the_peer_of_a_socket() -> None:
    one, other = unix.Stream.pair()
    with one, other, PidFd.from_fd(one.peer_pidfd()) as peer:
        assert peer.pid == os.getpid()
        assert peer.running


def test_selectors_see_the_end_among_others(sleeper: PidFd) -> None:
    with EventFd.create() as event, selectors.DefaultSelector() as selector:
        selector.register(sleeper, selectors.EVENT_READ, "process")
        selector.register(event, selectors.EVENT_READ, "event")
        assert selector.select(0) == []
        event.write()
        assert [key.data for key, _ in selector.select(10)] == ["event"]
        sleeper.send_signal(signal.SIGKILL)
        event.read()
        assert [key.data for key, _ in selector.select(10)] == ["process"]
        assert sleeper.wait(0) == KILLED


def test_asyncio_awaits_the_end(sleeper: PidFd) -> None:
    import asyncio

    async def end() -> int | None:
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        loop.add_reader(sleeper, ended.set_result, None)
        loop.call_soon(sleeper.send_signal, signal.SIGTERM)
        await asyncio.wait_for(ended, 10)
        loop.remove_reader(sleeper)
        return sleeper.wait(0)

    assert asyncio.run(end()) == -signal.SIGTERM


def wait_for(process: PidFd) -> None:
    with process:
        process.wait()
