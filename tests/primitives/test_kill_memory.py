"""What is left of memory when a process is killed in the middle: making it, resizing it, writing it."""

from __future__ import annotations

import os
import signal
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipckit import Mapping, Memfd, ProcessMemory, _shmfile, remote
from ipckit.compat import shared_memory as drop_in
from ipckit.errors import LayoutError
from ipckit.mapping import PAGE_SIZE
from ipckit.memfd import Seal
from ipckit.posix import SharedMemory
from ipckit.remote import address_of
from ipckit.testing import pause
from tests.primitives.standstill import HERE, around_call, before_event

if TYPE_CHECKING:
    from ipckit.testing import Child, Spawn

KILLED = -signal.SIGKILL


def killed_there(child: Child) -> None:
    child.wait_reached(HERE)
    child.kill()
    assert child.join() == KILLED


# --- without a name ---------------------------------------------------------------------------------------------------


def make_and_stop() -> None:
    before_event("fcntl.fcntl", nth=2)  # seals were asked for; it has its size, and not yet its seal
    Mapping.create(size=PAGE_SIZE)


def test_memory_of_no_file_goes_with_its_maker_that_is_killed(spawn: Spawn) -> None:
    child = spawn(make_and_stop)
    child.wait_reached(HERE)
    (path,) = (str(fd) for fd in Path(f"/proc/{child.pid}/fd").iterdir() if "ipckit-mapping" in os.readlink(fd))
    with Memfd.open(path) as half:
        assert half.size == PAGE_SIZE
        assert Seal.SHRINK not in half.seals
    child.kill()
    assert child.join() == KILLED
    assert not os.path.exists(path)


# --- growing ----------------------------------------------------------------------------------------------------------


def grow_and_stop(memory: Any) -> None:
    _shmfile._CHUNK = PAGE_SIZE
    around_call(os, "posix_fallocate", nth=3)
    memory.resize(5 * PAGE_SIZE)


def test_whoever_is_killed_while_it_grows_something_large_has_done_a_part(spawn: Spawn) -> None:
    makers = (
        lambda: SharedMemory.create(size=PAGE_SIZE, unlink_on_close=True),
        lambda: Memfd.create(size=PAGE_SIZE),
    )
    for make in makers:
        with make() as memory:
            killed_there(spawn(grow_and_stop, memory))
            assert os.fstat(memory.fileno()).st_size == 3 * PAGE_SIZE
            memory.resize(5 * PAGE_SIZE)
            assert os.fstat(memory.fileno()).st_blocks * 512 == 5 * PAGE_SIZE


# --- the drop-ins -----------------------------------------------------------------------------------------------------


def attach_and_stop(name: str) -> None:
    memory = drop_in.SharedMemory(name)
    memory.buf[:4] = b"half"
    pause(HERE)


def test_a_segment_of_the_drop_in_stays_when_who_attached_it_is_killed(spawn: Spawn) -> None:
    memory = drop_in.SharedMemory(create=True, size=8)
    killed_there(spawn(attach_and_stop, memory.name))
    with open(f"/dev/shm/{memory.name}", "rb") as file:
        assert file.read() == b"half\0\0\0\0"
    memory.close()
    memory.unlink()


def assign_and_stop(name: str, nth: int, after: bool) -> None:
    """Stand still when the item's format is written and its kind is not, or that is and its value is not."""
    items = drop_in.ShareableList[Any](name=name)
    around_call(struct, "pack_into", nth=nth, after=after)
    items[1] = "new"


def test_an_item_that_is_half_assigned_harms_no_other_and_is_mended_by_the_next_assignment(spawn: Spawn) -> None:
    items = drop_in.ShareableList[Any]([1, 2, -1, None])
    outcomes = []
    for before, nth, after in ((2, 1, True), (2, 2, False), (-1, 2, False)):
        items[1] = before
        killed_there(spawn(assign_and_stop, items.shm.name, nth, after))
        try:
            outcomes.append(items[1])
        except LayoutError as error:
            outcomes.append(str(error).partition("'")[0])
        assert (items[0], items[2], items[3]) == (1, -1, None)
        items[1] = "whole"
        assert items[1] == "whole"
    assert outcomes == [b"\2" + bytes(7), "\2", "item 1 of "]
    items.shm.close()
    items.shm.unlink()


# --- another process's ------------------------------------------------------------------------------------------------


def write_pieces_and_stop(pid: int, address: int) -> None:
    around_call(remote, "_drop")  # between two system calls of one `writev`
    with ProcessMemory.open(pid) as memory:
        memory.writev([(address + at, b"x") for at in range(1500)])


def test_of_a_long_write_a_writer_that_is_killed_has_done_a_part(spawn: Spawn) -> None:
    text = bytearray(1500)
    killed_there(spawn(write_pieces_and_stop, os.getpid(), address_of(text)))
    assert text == b"x" * 1024 + bytes(476)
