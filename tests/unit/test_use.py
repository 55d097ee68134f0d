"""Who is inside an operation keeps what the handle has, until it leaves; compiled and not."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import EventFd, _lane, _use
from ipckit._wait import PASSED
from ipckit.errors import ClosedError, TimeoutExpired
from ipckit.rpc._client.stream_link import StreamLink
from ipckit.sockets.unix import Stream
from ipckit.sync import Barrier
from tests.primitives.interrupting import interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = {"compiled": _lane.Use, "python": _use.Use}


@pytest.fixture(params=KINDS)
def use(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


@pytest.fixture
def handle() -> Iterator[EventFd]:
    with EventFd.create() as handle:
        yield handle


def test_handles_use_the_compiled_one(handle: EventFd) -> None:
    assert isinstance(handle._in_use(), _lane.Use)


def test_the_resource_stays_until_the_last_one_leaves(use: Any, handle: EventFd) -> None:
    with use(handle, handle._users, handle._here):
        with use(handle, handle._users, handle._here):
            handle.close()
        assert handle._unreleased
    assert not handle._unreleased


def test_of_a_closed_handle_there_is_no_use(use: Any, handle: EventFd) -> None:
    handle.close()
    with pytest.raises(ClosedError), use(handle, handle._users, handle._here):
        pytest.fail("it is closed")
    assert not handle._users


def test_what_happens_inside_is_raised_outside(use: Any, handle: EventFd) -> None:
    with pytest.raises(KeyError, match="inside"), use(handle, handle._users, handle._here):
        raise KeyError("inside")
    assert not handle._users


def test_threads_that_leave_at_the_same_time_all_leave(use: Any, handle: EventFd) -> None:
    begin = threading.Barrier(4)

    def come_and_go() -> None:
        begin.wait()
        for _ in range(2000):
            with use(handle, handle._users, handle._here):
                pass

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(come_and_go) for _ in range(4)]:
            done.result()
    assert not handle._users


def test_an_exception_of_a_signal_handler_leaves_nobody_inside(handle: EventFd) -> None:
    def read() -> None:
        handle.write(1)
        with handle._in_use():
            handle.read(timeout=1)

    for moment in count(1):
        there_was_one = interrupted(moment, read, "ipckit")
        assert not handle._users
        if not there_was_one:
            return


def test_nor_does_it_inside_a_barrier() -> None:
    for moment in count(1):
        with Barrier.create(parties=1, action=lambda: None) as barrier:
            there_was_one = interrupted(moment, barrier.wait, "ipckit")
            assert not barrier._users
        if not there_was_one:
            return


def test_nor_does_it_inside_a_call_to_a_server() -> None:
    for moment in count(1):
        ours, theirs = Stream.pair()
        link = StreamLink(ours, 1000)

        def call() -> None:
            with contextlib.suppress(TimeoutExpired):  # nobody answers
                link.call(1, b"", b"", PASSED)  # noqa: B023

        with ours, theirs:
            there_was_one = interrupted(moment, call, "ipckit")
            assert not ours._users
        if not there_was_one:
            return
