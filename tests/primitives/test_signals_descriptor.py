"""SignalFd: reading, masks, sharing among processes and threads, readiness."""

from __future__ import annotations

import errno
import os
import resource
import select
import selectors
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import LimitError, SyscallError, TimeoutExpired
from ipckit.signals import SignalFd, blocked, sigqueue, sigtimedwait
from ipckit.testing import wait_blocked
from tests.contract.tools import Background

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

RT = signal.SIGRTMIN + 1


@pytest.fixture
def descriptor() -> Iterator[SignalFd]:
    with blocked({RT, RT + 1, signal.SIGUSR1}), SignalFd.create({RT, signal.SIGUSR1}) as made:
        yield made
        while sigtimedwait({RT, RT + 1, signal.SIGUSR1}, 0):
            pass


def read_in_order() -> list[list[tuple[int, int | None]]]:
    batches = []
    with blocked({RT, RT + 1, signal.SIGUSR1}), SignalFd.create({RT, RT + 1, signal.SIGUSR1}) as made:
        for value in range(70):
            sigqueue(os.getpid(), RT + 1, value)
        for value in range(5):
            sigqueue(os.getpid(), RT, -value)
            os.kill(os.getpid(), signal.SIGUSR1)
        for count in (1, 3, 64, 64):
            batches.append([(info.signum, info.value) for info in made.read_many(count)])  # noqa: PERF401
        assert made.try_read() is None
    return batches


def test_signals_are_read_in_the_order_of_sigwait_as_many_as_there_are(spawn: Spawn) -> None:
    low = [(signal.SIGUSR1, None), *((RT, -value) for value in range(5))]
    expected = low + [(RT + 1, value) for value in range(70)]
    assert spawn(read_in_order).result() == [expected[:1], expected[1:4], expected[4:68], expected[68:]]


def test_what_was_read_is_no_longer_pending_and_the_rest_is_left(descriptor: SignalFd) -> None:
    for signum in (RT, RT + 1, signal.SIGUSR1):
        signal.raise_signal(signum)
    with SignalFd.create({RT}) as other:
        assert other.read().signum == RT  # once, from any one of them
    assert [info.signum for info in descriptor.read_many()] == [signal.SIGUSR1]
    assert signal.sigpending() == {RT + 1}
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutExpired):
            descriptor.read(timeout)
        with pytest.raises(TimeoutExpired):
            descriptor.read_many(5, timeout)
    assert descriptor.try_read() is None


def test_the_mask_is_read_from_the_kernel_and_can_be_replaced(descriptor: SignalFd) -> None:
    assert descriptor.mask == {RT, signal.SIGUSR1}
    assert repr(descriptor) == f"<SignalFd fd={descriptor.fileno()} SIGUSR1, SIGRTMIN+1>"
    signal.raise_signal(RT + 1)
    assert descriptor.try_read() is None
    descriptor.set_mask({RT + 1})
    assert descriptor.mask == {RT + 1}
    assert descriptor.read().signum == RT + 1


def test_signals_that_are_not_blocked_or_can_not_be_are_refused(descriptor: SignalFd) -> None:
    for call in (SignalFd.create, descriptor.set_mask):
        with pytest.raises(ValueError, match=r"mask: this thread does not block SIGUSR2.*signals\.blocked"):
            call({RT, signal.SIGUSR2})
        with pytest.raises(ValueError, match="mask: SIGKILL can be neither"):
            call({RT, signal.SIGKILL})
        with pytest.raises(ValueError, match="at least one"):
            call([])
        with pytest.raises(TypeError, match="mask must be a set"):
            call(RT)  # type: ignore[arg-type]
    assert descriptor.mask == {RT, signal.SIGUSR1}


@pytest.mark.parametrize("n", [0, -1, 65, 1.0, "1", True])
def test_counts_are_bounded(n: object, descriptor: SignalFd) -> None:
    signal.raise_signal(RT)
    with pytest.raises((ValueError, TypeError), match="n must be"):
        descriptor.read_many(n)  # type: ignore[arg-type]
    assert len(descriptor.read_many(64)) == 1


def test_taking_over_a_descriptor(descriptor: SignalFd) -> None:
    copy = os.dup(descriptor.fileno())
    os.set_blocking(copy, True)
    os.set_inheritable(copy, True)
    with SignalFd.from_fd(copy) as other:
        assert not os.get_blocking(descriptor.fileno()), "they share the open file description"
        assert not os.get_inheritable(copy)
        assert other.mask == descriptor.mask
        signal.raise_signal(RT)
        assert other.read().signum == RT
    reading, writing = os.pipe()
    with pytest.raises(ValueError, match="must be a signalfd"):
        SignalFd.from_fd(reading)
    os.close(reading)
    os.close(writing)
    with pytest.raises(SyscallError, match="fd 999999"):
        SignalFd.from_fd(999999)


def test_a_read_of_less_than_one_record_is_refused_by_the_kernel(descriptor: SignalFd) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        os.read(descriptor.fileno(), 127)


def test_a_signal_to_one_thread_is_read_by_that_thread(descriptor: SignalFd) -> None:
    signal.raise_signal(RT)
    assert Background(descriptor.try_read).join() is None
    assert descriptor.read().signum == RT


def share_with_a_fork() -> tuple[list[int], list[int], list[int], list[int], list[int]]:
    """Parent and child read one descriptor, each with a value of its own pending, and look at one epoll."""
    with blocked({RT}), SignalFd.create({RT}) as made, select.epoll() as epoll:
        epoll.register(made, select.EPOLLIN)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            sigqueue(os.getpid(), RT, 22)
            seen = len(epoll.poll(0))  # it looks at the parent, for whom nothing is pending yet
            epoll.unregister(made)
            epoll.register(made, select.EPOLLIN)
            seen_anew = len(epoll.poll(0))
            values = [info.value for info in made.read_many()]
            os.write(writing, bytes([seen, seen_anew, *values]))
            os._exit(0)
        seen, seen_anew, *there = os.read(reading, 100)
        os.waitpid(pid, 0)
        os.close(reading)
        os.close(writing)
        sigqueue(os.getpid(), RT, 11)
        here = [info.value for info in made.read_many()]
        return [seen], [seen_anew], there, here, [info.value for info in [made.try_read()] if info]


def test_each_process_reads_its_own_signals_and_epoll_looks_at_who_registered(spawn: Spawn) -> None:
    assert spawn(share_with_a_fork).result() == ([0], [1], [22], [11], [])


def read_what_was_sent_here(channel: int) -> int:
    with socket.socket(fileno=channel) as connection:
        _, (fd,), _, _ = socket.recv_fds(connection, 1, 1)
    with SignalFd.from_fd(fd) as received, blocked({RT}):
        sigqueue(os.getpid(), RT, 33)
        return received.read(10).value


def send_to_another() -> tuple[int, bool]:
    """Pass a descriptor over a Unix socket to a forked process."""
    ours, theirs = socket.socketpair()
    with blocked({RT}), SignalFd.create({RT}) as made:
        pid = os.fork()
        if pid == 0:
            ours.close()
            os._exit(read_what_was_sent_here(theirs.detach()))
        socket.send_fds(ours, [b"x"], [made.fileno()])
        _, status = os.waitpid(pid, 0)
        ours.close()
        theirs.close()
        return os.waitstatus_to_exitcode(status), made.try_read() is None


def test_who_was_sent_the_descriptor_reads_the_signals_of_its_own(spawn: Spawn) -> None:
    assert spawn(send_to_another).result() == (33, True)


def be_killed_in_a_read() -> int | None:
    with blocked({RT}), SignalFd.create({RT}) as made:
        pid = os.fork()
        if pid == 0:
            made.read()
            os._exit(1)
        wait_blocked(pid, "poll")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        sigqueue(os.getpid(), RT, 5)
        return made.read(10).value


def test_a_sharer_that_is_killed_in_a_read_takes_nothing_with_it(spawn: Spawn) -> None:
    assert spawn(be_killed_in_a_read).result() == 5


def test_selectors_see_it_among_others(descriptor: SignalFd) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ, "signal")
        selector.register(ours, selectors.EVENT_READ, "socket")
        assert selector.select(0) == []
        signal.raise_signal(RT)
        assert [key.data for key, _ in selector.select(10)] == ["signal"]
        theirs.send(b"x")
        assert {key.data for key, _ in selector.select(10)} == {"signal", "socket"}
        assert descriptor.read().signum == RT
        assert [key.data for key, _ in selector.select(10)] == ["socket"]


def test_asyncio_reads_by_readiness(descriptor: SignalFd) -> None:
    import asyncio

    async def two() -> list[int]:
        loop = asyncio.get_running_loop()
        got: list[int] = []
        done = loop.create_future()

        def ready() -> None:
            got.extend(info.signum for info in descriptor.read_many())
            if len(got) == 1:
                signal.raise_signal(signal.SIGUSR1)
            else:
                done.set_result(got)

        loop.add_reader(descriptor, ready)
        loop.call_soon(signal.raise_signal, RT)
        try:
            return await asyncio.wait_for(done, 10)
        finally:
            loop.remove_reader(descriptor)

    assert asyncio.run(two()) == [RT, signal.SIGUSR1]


def test_too_many_descriptors(descriptor: SignalFd) -> None:
    mask = descriptor.mask
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(LimitError, match=r"signalfd.*RLIMIT_NOFILE") as caught:
            SignalFd.create(mask)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
