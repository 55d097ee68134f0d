"""EventFd among threads, processes and loops."""

from __future__ import annotations

import os
import select
import selectors
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from ipckit.eventfd import MAXIMUM, EventFd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn


@pytest.fixture
def event() -> Iterator[EventFd]:
    with EventFd.create() as made:
        yield made


def add(event: EventFd, n: int) -> None:
    with event:
        event.write(n)


def take(event: EventFd) -> tuple[int, bool]:
    with event:
        return event.read(), event.semaphore


def add_one_often(event: EventFd, count: int) -> None:
    with event:
        for _ in range(count):
            event.write()


def test_a_child_is_woken_and_its_updates_are_seen(event: EventFd, spawn: Spawn) -> None:
    child = spawn(take, event)
    child.wait_blocked("poll")
    event.write(7)
    assert child.result() == (7, False)
    spawn(add, event, 9).result()
    assert event.read() == 9


def test_a_semaphore_stays_one_on_its_way(spawn: Spawn) -> None:
    with EventFd.create(2, semaphore=True) as event:
        assert spawn(take, event).result() == (1, True)
        assert event.value == 1


def test_no_addition_of_several_processes_is_lost(event: EventFd, spawn: Spawn) -> None:
    children = [spawn(add_one_often, event, 500) for _ in range(3)]
    assert [child.join() for child in children] == [0, 0, 0]
    assert event.read() == 1500


def test_each_unit_of_a_semaphore_goes_to_one_thread() -> None:
    with EventFd.create(semaphore=True) as event:
        got: list[int] = []
        threads = [threading.Thread(target=lambda: got.extend(event.read() for _ in range(50))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            event.write()
        for thread in threads:
            thread.join()
        assert got == [1] * 200
        assert event.value == 0


def test_an_edge_triggered_epoll_rings_for_each_write(event: EventFd) -> None:
    with select.epoll() as poll:
        poll.register(event, select.EPOLLIN | select.EPOLLET)
        for _ in range(3):
            event.write()
            assert poll.poll(0) == [(event.fileno(), select.EPOLLIN)]
            assert poll.poll(0) == []


def add_and_die(event: EventFd) -> None:
    event.write(3)
    os.kill(os.getpid(), signal.SIGKILL)


def take_one_and_die(event: EventFd) -> None:
    event.read()
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_the_killed_added_stays_and_what_they_took_is_gone(spawn: Spawn) -> None:
    with EventFd.create(semaphore=True) as event:
        assert spawn(add_and_die, event).join() == -signal.SIGKILL
        assert event.value == 3
        assert spawn(take_one_and_die, event).join() == -signal.SIGKILL
        assert event.value == 2


def add_two(event: EventFd) -> None:
    event.write(2)


def test_a_writer_that_is_killed_while_it_waits_for_room_adds_nothing(event: EventFd, spawn: Spawn) -> None:
    event.write(MAXIMUM)
    child = spawn(add_two, event)
    child.wait_blocked("poll")
    child.kill()
    child.join()
    assert event.read(0) == MAXIMUM
    assert event.value == 0


def test_a_reader_that_is_stopped_reads_when_it_goes_on(event: EventFd, spawn: Spawn) -> None:
    child = spawn(take, event)
    child.wait_blocked("poll")
    child.send_signal(signal.SIGSTOP)
    assert os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    event.write(3)
    assert event.value == 3
    child.send_signal(signal.SIGCONT)
    assert child.result() == (3, False)


def test_a_waiter_that_is_killed_takes_nothing_with_it(event: EventFd, spawn: Spawn) -> None:
    child = spawn(take, event)
    child.wait_blocked("poll")
    child.kill()
    child.join()
    event.write(2)
    assert event.read(0) == 2


def test_selectors_see_both_directions(event: EventFd) -> None:
    with EventFd.create() as other, selectors.DefaultSelector() as selector:
        selector.register(event, selectors.EVENT_READ | selectors.EVENT_WRITE, "event")
        selector.register(other, selectors.EVENT_READ, "other")
        assert [(key.data, ready) for key, ready in selector.select(10)] == [("event", selectors.EVENT_WRITE)]
        event.write(MAXIMUM)
        assert [(key.data, ready) for key, ready in selector.select(10)] == [("event", selectors.EVENT_READ)]
        other.write()
        assert {key.data for key, _ in selector.select(10)} == {"event", "other"}


def test_asyncio_reads_and_writes_by_readiness(event: EventFd) -> None:
    import asyncio

    async def turns() -> list[int]:
        loop = asyncio.get_running_loop()
        got: list[int] = []
        done = loop.create_future()

        def readable() -> None:
            got.append(event.try_read() or 0)
            loop.add_writer(event, writable)
            if len(got) == 3:
                loop.remove_writer(event)
                done.set_result(got)

        def writable() -> None:
            assert event.try_write(len(got) + 1)
            loop.remove_writer(event)

        loop.add_reader(event, readable)
        loop.add_writer(event, writable)
        try:
            return await asyncio.wait_for(done, 10)
        finally:
            loop.remove_reader(event)

    assert asyncio.run(turns()) == [1, 2, 3]
