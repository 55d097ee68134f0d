"""A look at objects of several kinds, and finding some of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from ipckit import EventFd, Fifo, Memfd, Pipe, PseudoTerminal, inspect, posix
from ipckit.errors import NotFoundError
from ipckit.filelock import OfdLock
from ipckit.inspect import _looking
from ipckit.inspect.addresses import parse
from ipckit.ring import SpscRing
from ipckit.sync import Event

NAME = f"/test-look-{os.getpid()}"
MADE = ("ring", "sync", "shm", "fifo", "pipe", "memfd", "eventfd", "pty", "lock", "unix")


@pytest.fixture
def memory():
    with posix.SharedMemory.create(NAME, size=100, unlink_on_close=True) as memory:
        yield memory


def test_kinds_come_in_the_order_asked_for(memory):
    reader, writer = Pipe.create()
    with reader, writer:
        found = [record.kind for record in inspect.objects(["pipe", "shm", "pipe"])]
    assert list(dict.fromkeys(found)) == ["pipe", "shm"]


def test_records_of_each_kind_have_addresses_that_find_them(memory, tmp_path):
    with ExitStack() as open_now:
        for handle in (*PseudoTerminal.create(), *Pipe.create()):
            open_now.enter_context(handle)
        open_now.enter_context(EventFd.create())
        open_now.enter_context(Memfd.create(size=10))
        open_now.enter_context(Fifo.create(str(tmp_path / "fifo")))
        open_now.enter_context(SpscRing.create(NAME, unlink_on_close=True))
        open_now.enter_context(Event.create(NAME + "-event", unlink_on_close=True))
        lock = OfdLock(str(tmp_path / "locked"))
        open_now.callback(lock.close)
        lock.acquire()
        for end in socket.socketpair():
            open_now.enter_context(end)
        ours = {record.address: record for record in inspect.objects() if os.getpid() in record.pids}
        assert {record.kind for record in ours.values()} >= set(MADE)
        for address, record in ours.items():
            assert address == f"{record.kind}:{record.name}"
            assert str(parse(address)) == address
            assert record.verdict.state == "in use"
            assert record.verdict.reason


def test_several_are_found_with_one_look(memory, monkeypatch):
    looks = []
    take = _looking.Scan.take
    monkeypatch.setattr(_looking.Scan, "take", lambda *arguments: looks.append(arguments) or take(*arguments))
    asked = [f"shm:{NAME}", "mq:/no-such-queue", f"shm:{NAME[1:]}"]
    found = inspect.find_all(asked)
    assert list(found) == asked
    assert found[asked[1]] is None
    assert found[asked[0]] == found[asked[2]]
    assert found[asked[0]].address == f"shm:{NAME}"
    assert len(looks) == 1
    assert inspect.find_all([]) == {}


def test_one_that_is_not_there_is_not_found():
    with pytest.raises(NotFoundError, match="'shm:/no-such-memory'"):
        inspect.find("shm:no-such-memory")
    with pytest.raises(ValueError, match="an address is KIND:NAME"):
        inspect.find("no-such-memory")
    with pytest.raises(ValueError, match="kind must be one of ring"):
        inspect.objects(["mqs"])


def test_progress_is_told(memory):
    told = []
    inspect.Look(["shm"], progress=lambda done, of: told.append((done, of)))
    assert told
    assert all(0 <= done <= of for done, of in told)


def test_a_second_iteration_looks_at_the_objects_again(memory):
    look = inspect.Look(["shm"])
    assert f"shm:{NAME}" in {record.address for record in look}
    with posix.SharedMemory.create(f"{NAME}-2", size=1, unlink_on_close=True):
        assert f"shm:{NAME}-2" in {record.address for record in look}
    assert f"shm:{NAME}-2" not in {record.address for record in look}
    assert look.unseen >= 0
    assert all(isinstance(note, str) for note in look.notes)


def test_the_package_is_light_until_it_is_used():
    code = (
        "import sys, ipckit.inspect; "
        "print([name for name in sys.modules if name in ('psutil', 'posix_ipc', 'sysv_ipc', 'argparse', 'socket')]); "
        "ipckit.inspect.Look; print('psutil' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "[]\nFalse\n"
