"""Eventfds as they are found."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from ipckit import EventFd
from ipckit._fdinfo import fdinfo
from ipckit.errors import NotFoundError
from ipckit.inspect import find
from ipckit.inspect._processes.scan import Scan
from ipckit.inspect.eventfds import EventFd as Record
from ipckit.inspect.eventfds import collect
from ipckit.testing import pause

if TYPE_CHECKING:
    from ipckit.testing import Spawn


@pytest.fixture(autouse=True)
def needs_identifiers() -> None:
    with EventFd.create() as event:
        if "eventfd-id" not in fdinfo(event.fileno()):
            pytest.skip("kernels before Linux 5.2 do not tell eventfds apart")


def address_of(event: EventFd) -> str:
    return f"eventfd:[{fdinfo(event.fileno())['eventfd-id']}]"


def found(address: str) -> Record:
    record = find(address)
    assert isinstance(record, Record)
    return record


def hold(event: EventFd) -> None:
    with event:
        pause("holding")


def test_its_counter_is_told_and_not_taken() -> None:
    with EventFd.create(5) as event, EventFd.create(1 << 31, semaphore=True) as other:
        event.write((1 << 40) - 5)
        record, one = found(address_of(event)), found(address_of(other))
        assert (record.count, record.use, record.pids) == (1 << 40, f"count {1 << 40}", (os.getpid(),))
        assert record.address == f"eventfd:[{record.id}]"
        assert record.verdict.state == "in use"
        assert one.count == 1 << 31
        told = "eventfd-semaphore" in fdinfo(event.fileno())
        assert (record.semaphore, one.semaphore) == ((False, True) if told else (None, None))
        assert event.read() == 1 << 40


def test_it_is_one_in_all_processes_that_have_it(spawn: Spawn) -> None:
    with EventFd.create() as event:
        address = address_of(event)
        child = spawn(hold, event)
        child.wait_reached("holding")
        assert set(found(address).pids) == {os.getpid(), child.pid}
        event.write(3)
    record = found(address)
    assert (record.pids, record.count) == ((child.pid,), 3)
    child.kill()
    child.join()
    with contextlib.suppress(NotFoundError):  # the next one of any process may have its number
        assert set(found(address).pids).isdisjoint({os.getpid(), child.pid})


def test_what_closes_after_the_look_is_left_out() -> None:
    with EventFd.create() as event, EventFd.create() as other:
        address = address_of(event)
        scan = Scan.take({"eventfd"})
        assert address in {record.address for record in collect(scan, "eventfd")}
        os.dup2(other.fileno(), event.fileno(), inheritable=False)  # another one has the number now
        ours = [record.address for record in collect(scan, "eventfd") if os.getpid() in record.pids]
        assert address not in ours
        assert ours.count(address_of(other)) == 1
