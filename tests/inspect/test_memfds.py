"""Memory files without a name as they are found."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

import pytest

from ipckit import Memfd
from ipckit.errors import NotFoundError
from ipckit.inspect import find
from ipckit.inspect._processes import inner
from ipckit.inspect._processes.glance import Glance
from ipckit.inspect._processes.mounts import Mounts
from ipckit.inspect._processes.scan import Scan
from ipckit.inspect.memfds import Memfd as Record
from ipckit.inspect.memfds import collect
from ipckit.inspect.records import Process
from ipckit.memfd import Seal
from ipckit.testing import pause
from tests.inspect.elsewhere import mapped, may_open_what_is_mapped
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from ipckit.testing import Spawn

PAGE = mmap.PAGESIZE
BOTH = mmap.PROT_READ | mmap.PROT_WRITE


def address_of(fd: int) -> str:
    return f"memfd:[{os.fstat(fd).st_ino}]"


def found(address: str) -> Record:
    record = find(address)
    assert isinstance(record, Record)
    return record


def hold(memfd: Memfd) -> None:
    with memfd, memfd.map():
        pause("holding")


def test_an_own_memfd_tells_its_seals_too() -> None:
    with Memfd.create("a label (deleted)", size=3 * PAGE, mode=0o640) as memfd:
        memfd.add_seals(Seal.SHRINK | Seal.GROW)
        record = found(address_of(memfd.fileno()))
        assert (record.label, record.size, record.allocated) == ("a label (deleted)", 3 * PAGE, 3 * PAGE)
        assert (record.uid, record.gid, record.mode) == (os.geteuid(), os.getegid(), 0o640)
        assert record.seals is not None
        assert Seal.SHRINK | Seal.GROW in record.seals
        assert (record.holders[0].descriptors, record.holders[0].access) == ((memfd.fileno(),), "rw")
        assert (record.mapped_by, record.use) == ((), "not mapped")
        assert record.verdict.state == "in use"
        address = record.address
    with pytest.raises(NotFoundError):
        find(address)


def test_a_descriptor_that_becomes_another_files_meanwhile_hides_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device of all memfds is asked for by the first of them that is met."""
    with Memfd.create() as first, Memfd.create() as second:
        assert first.fileno() < second.fileno()
        mounts, ask = Mounts(), inner.device_and_kind
        asked: list[int] = []

        def ask_late(path: str, number: int) -> tuple[int, bool]:
            asked.append(int(os.path.basename(path)))
            if asked == [first.fileno()]:
                os.dup2(null, first.fileno())
            return ask(path, number)

        monkeypatch.setattr(inner, "device_and_kind", ask_late)
        null, folder = os.open(os.devnull, os.O_RDONLY), os.open("/proc/self", os.O_RDONLY)
        glance = Glance(Process(os.getpid(), "", os.geteuid()), folder, frozenset({"memfd"}), mounts)
        try:
            assert glance.look()
        finally:
            os.close(null)
            os.close(folder)
        assert asked == [first.fileno(), second.fileno()]
        status = os.fstat(second.fileno())
        assert glance.parts["memfd", status.st_dev, status.st_ino].descriptors == [second.fileno()]


def test_another_process_has_it_mapped(spawn: Spawn) -> None:
    with Memfd.create(size=PAGE) as memfd:
        child = spawn(hold, memfd)
        child.wait_reached("holding")
        address = address_of(memfd.fileno())
        record = found(address)
        assert (record.mapped_by, record.use) == ((child.pid,), "mapped by 1")
        assert set(record.pids) == {os.getpid(), child.pid}
    record = found(address)
    assert record.pids == (child.pid,)
    assert (record.size, record.seals) == (PAGE, None)
    child.kill()
    child.join()
    with pytest.raises(NotFoundError):
        find(address)


def map_and_look() -> tuple[int | None, int | None, tuple[int, ...], tuple[int, ...]]:
    """What is told of a memfd that is mapped, and of which no descriptor is left, to one who has few rights."""
    with Memfd.create() as memfd:
        found(address_of(memfd.fileno()))  # loads all modules, while they may be read
    become_nobody()
    fd = os.memfd_create("mapped")
    os.truncate(fd, PAGE)
    address = address_of(fd)
    with mapped(fd, BOTH, mmap.MAP_SHARED):
        os.close(fd)
        record = found(address)
        return record.size, record.mode, record.mapped_by, record.pids


def test_one_that_is_only_mapped(spawn: Spawn) -> None:
    child = spawn(map_and_look)
    assert child.result() == (None, None, (child.pid,), (child.pid,))
    if not may_open_what_is_mapped():
        return
    fd = os.memfd_create("mapped")
    os.truncate(fd, PAGE)
    address = address_of(fd)
    with mapped(fd, BOTH, mmap.MAP_SHARED):
        os.close(fd)
        record = found(address)
        assert (record.size, record.label, record.pids) == (PAGE, "mapped", (os.getpid(),))


def test_what_vanishes_after_the_look_is_left_out() -> None:
    kept, dropped = os.memfd_create("kept"), os.memfd_create("dropped")
    os.truncate(dropped, PAGE)
    addresses = {address_of(kept), address_of(dropped)}
    with mapped(dropped, BOTH, mmap.MAP_SHARED):
        kept_address = address_of(kept)
        os.close(dropped)
        scan = Scan.take({"memfd"})
        assert addresses <= {record.address for record in collect(scan, "memfd")}
    assert addresses & {record.address for record in collect(scan, "memfd")} == {kept_address}
    os.close(kept)
