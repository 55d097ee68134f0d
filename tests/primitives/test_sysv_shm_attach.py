"""sysv.Attachment: the bytes, their views, and that nothing done with them can crash: shmat(2), shmdt(2)."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import pickle
import subprocess
import sys
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._native import ffi, lib
from ipckit._region import Region
from ipckit.errors import ClosedError
from ipckit.mapping import PAGE_SIZE, Advice
from ipckit.posix import UnnamedSemaphore
from ipckit.sysv import Attachment, SharedMemory
from ipckit.testing import pause, reached
from tests.contract.tools import in_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Spawn

SIZE = PAGE_SIZE + 904


@pytest.fixture
def segment() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=SIZE, remove_on_close=True) as made:
        yield made


@pytest.fixture
def memory(segment: SharedMemory) -> Iterator[Attachment]:
    with segment.attach() as made:
        yield made


# --- the bytes --------------------------------------------------------------------------------------------------------


def test_each_attachment_is_one_of_its_own_and_shows_the_same_bytes(segment: SharedMemory) -> None:
    attached = [segment.attach() for _ in range(50)]
    attached[7].buf[100:103] = b"abc"
    assert all(bytes(one.buf[100:103]) == b"abc" for one in attached)
    assert segment.stat().attached == 50
    for left, one in enumerate(attached, start=-49):
        one.close()
        assert segment.stat().attached == -left
    assert repr(attached[0]) == "<Attachment closed>"


def test_it_tells_what_it_is(segment: SharedMemory) -> None:
    with segment.attach() as memory, segment.attach(True) as other:
        assert (memory.size, memory.read_only, memory.page_size) == (SIZE, False, PAGE_SIZE)
        assert repr(memory) == f"<Attachment id={segment.id} size={SIZE}>"
        assert repr(other) == f"<Attachment id={segment.id} size={SIZE} read-only>"
        assert (other.read_only, other.buf.readonly) == (True, True)
    name = f"/ipckit-test-told-{os.getpid()}"
    with SharedMemory.create(name, size=1, remove_on_close=True) as named, named.attach() as memory:
        assert repr(memory) == f"<Attachment '{name}' id={named.id} size=1>"


def test_it_outlives_the_handle_and_needs_none(segment: SharedMemory) -> None:
    with SharedMemory.open_id(segment.id) as other:
        memory = other.attach()
    memory.buf[0] = 1
    memory.close()


def test_beyond_the_end_is_an_exception(memory: Attachment) -> None:
    memory.buf[SIZE - 1] = 1
    for use in (
        lambda: memory.buf[SIZE],
        lambda: memory.buf.__setitem__(SIZE, 1),
        lambda: memory.buf[-SIZE - 1],
    ):
        with pytest.raises(IndexError):
            use()
    with pytest.raises(ValueError, match="memoryview assignment"):
        memory.buf[SIZE - 1 :] = b"ab"
    assert len(memory.buf[SIZE - 2 :]) == 2
    for use in (lambda: memory.view("q", count=SIZE // 8 + 1), lambda: memory.structure(ctypes.c_byte * (SIZE + 1))):
        with pytest.raises(ValueError, match=r"count must be|cls must fit"):
            use()


def writes(memory: Attachment) -> Iterator[Callable[[], object]]:
    """Every way to write that Python has."""
    yield lambda: memory.buf.__setitem__(0, 1)
    yield lambda: memory.buf.__setitem__(slice(0, 2), b"ab")
    yield lambda: memory.view("q").__setitem__(0, 1)
    yield lambda: memoryview(memory.buf.obj).__setitem__(0, 1)
    yield lambda: ctypes.c_int.from_buffer(memory.buf)
    yield lambda: memory.structure(ctypes.c_int)
    yield lambda: os.readv(0, [memory.buf])
    yield lambda: memory.buf.obj.write(b"x")
    yield lambda: memory.buf.obj.__setitem__(0, 1)
    yield lambda: ffi.from_buffer("char[]", memory.buf, require_writable=True)


def test_read_only_memory_refuses_every_write(segment: SharedMemory) -> None:
    with segment.attach(read_only=True) as memory:
        for write in writes(memory):
            with pytest.raises((TypeError, BufferError)):
                write()
        assert bytes(memory.buf[:2]) == bytes(2)
    with SharedMemory.open_id(segment.id) as writable, writable.attach() as memory:
        memory.buf[0] = 1


def test_a_handle_that_was_opened_read_only_attaches_nothing_else(segment: SharedMemory) -> None:
    name = f"/ipckit-test-read-only-{os.getpid()}"
    with SharedMemory.create(name, size=SIZE, remove_on_close=True):
        reader = SharedMemory.open(name, read_only=True)
        travelled = pickle.loads(pickle.dumps(reader))
        for handle in (reader, travelled):
            assert handle.read_only
            with handle.attach() as memory, pickle.loads(pickle.dumps(memory)) as other:
                assert memory.read_only
                assert other.buf.readonly
            handle.close()


def test_an_address_that_is_no_page_is_refused(segment: SharedMemory) -> None:
    region = Region(-1, SIZE, subject="test", shared=False)
    with ffi.from_buffer(region.buf) as start:
        assert lib.ipk_sysv_shm_attach(segment.id, start + 8, SIZE, 0) == -errno.EINVAL
    assert bytes(region.buf) == bytes(SIZE)
    assert segment.stat().attached == 0
    region.end("close")


def test_a_unnamed_semaphore_lives_in_it(memory: Attachment) -> None:
    semaphore = UnnamedSemaphore.create(memory, 64, value=1)
    assert semaphore.acquire(timeout=1)
    with pytest.raises(BufferError):
        memory.close()
    semaphore.close()


def test_pages_can_be_advised_and_locked(memory: Attachment) -> None:
    memory.advise(Advice.WILLNEED)
    memory.lock()
    memory.unlock()
    memory.flush()


# --- views and the end ------------------------------------------------------------------------------------------------


HOLDERS: dict[str, Callable[[Attachment], Any]] = {
    "slice": lambda memory: memory.buf[1:],
    "view": lambda memory: memory.view("i"),
    "copy of buf": lambda memory: memoryview(memory.buf),
    "structure": lambda memory: memory.structure(ctypes.c_int * 2),
    "iterator": lambda memory: iter(memory.buf[:]),
}


@pytest.mark.parametrize("read_only", [False, True])
def test_it_stays_attached_while_a_view_is_alive(segment: SharedMemory, read_only: bool) -> None:
    memory = segment.attach(read_only)
    for what, hold in HOLDERS.items():
        if read_only and what == "structure":
            continue
        held = hold(memory)
        for end in (memory.close, memory.detach):
            with pytest.raises(BufferError, match=f"cannot detach 'id {segment.id}' while views of its buf are alive"):
                end()
        assert not memory.closed
        assert segment.stat().attached == 1
        assert bytes(memory.buf[:2]) == bytes(2), what
        del held
    memory.close()
    assert segment.stat().attached == 0


def test_detached_memory_is_an_exception_and_no_crash(segment: SharedMemory) -> None:
    memory = segment.attach()
    buf = memory.buf
    memory.close()
    memory.close()
    with pytest.raises(ValueError, match="released memoryview"):
        buf[0]
    for use in (lambda: memory.buf, lambda: memory.size, memory.view, memory.detach, lambda: pickle.dumps(memory)):
        with pytest.raises(ClosedError):
            use()


def test_the_memory_outlives_an_attachment_that_is_collected(segment: SharedMemory) -> None:
    view = segment.attach().view("B", offset=10)  # nobody has the attachment
    gc.collect()
    view[0] = 5
    assert view[0] == 5
    assert segment.stat().attached == 1
    view.release()
    del view
    gc.collect()
    assert segment.stat().attached == 0


pytestmark = pytest.mark.filterwarnings("ignore:unclosed <Attachment:ResourceWarning")


def test_threads_that_detach_and_attach_and_write_never_crash(segment: SharedMemory) -> None:
    errors: list[BaseException] = []
    shared = [segment.attach()]

    def work() -> None:
        for _ in range(200):
            try:
                shared[0].buf[0] = 1
                shared[0].close()
                shared[0] = segment.attach()
            except (ClosedError, BufferError):
                pass
            except ValueError as error:
                if "released" not in str(error):
                    errors.append(error)
            except BaseException as error:
                errors.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    shared.clear()
    gc.collect()
    assert errors == []
    assert segment.stat().attached == 0


def numpy_arrays(number: int) -> list[str]:
    import numpy as np

    said = []
    makers: tuple[Callable[[Attachment], Any], ...] = (
        lambda memory: np.frombuffer(memory.buf, "u1"),
        lambda memory: np.ndarray((4,), "i4", buffer=memory.buf),
        lambda memory: np.ndarray((4,), "i4", buffer=memory.view("i")[1:]),
        lambda memory: memory.array("f8"),
    )
    for read_only in (False, True):
        with SharedMemory.open_id(number) as segment:
            for make in makers:
                memory = segment.attach(read_only)
                array = make(memory)
                try:
                    memory.close()
                    said.append("closed")
                except BufferError:
                    pass
                try:
                    array.setflags(write=True)
                    array[0] = 1
                    said.append("written")
                except ValueError:
                    pass
                del array
                memory.close()
            said.append(f"{segment.stat().attached} left")
    with SharedMemory.open_id(number) as segment, segment.attach() as memory:
        array = memory.array("f8", (2, 3), offset=8)
        array[:] = 0.5
        said.append(str(memory.view("d", count=8).tolist()))
        del array
    return said


@pytest.mark.skipif(find_spec("numpy") is None, reason="numpy, of the extra of that name, is not installed")
def test_numpy_arrays_are_the_memory_and_none_can_crash(segment: SharedMemory, spawn: Spawn) -> None:
    # In a child, because its libraries start threads that stay.
    expected = [*["written"] * 4, "0 left", "0 left", str([1.0, *[0.5] * 6, 0.0])]
    assert spawn(numpy_arrays, segment.id).result() == expected


# --- other processes --------------------------------------------------------------------------------------------------


def attached_once(segment: SharedMemory) -> bool:
    """Wait for it: a program that looks at /proc/PID of one that ended, or called exec, keeps its memory a little."""
    while segment.stat().attached > 1:
        os.sched_yield()
    return segment.stat().attached == 1


def write_there(memory: Attachment) -> str:
    memory.buf[5:8] = b"new"
    return repr(memory)


def test_a_pickle_attaches_again_in_another_process(segment: SharedMemory, memory: Attachment, spawn: Spawn) -> None:
    assert spawn(write_there, memory).result() == repr(memory)
    assert bytes(memory.buf[5:8]) == b"new"
    assert attached_once(segment)


def test_a_forked_child_has_it_attached_and_detaches_for_itself(segment: SharedMemory, memory: Attachment) -> None:
    def child() -> tuple[int, int]:
        during = segment.stat().attached
        memory.buf[0] = 77
        memory.close()
        return during, segment.stat().attached

    assert in_fork(child) == (2, 1)
    assert memory.buf[0] == 77
    assert segment.stat().attached == 1


def test_exec_detaches(segment: SharedMemory, memory: Attachment) -> None:
    # The child of subprocess is a fork first, and something else when its output comes.
    program = subprocess.Popen(
        [sys.executable, "-Sc", "print('here', flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"here\n"
        assert attached_once(segment)
        program.communicate(b"\n")


def attach_until_told(segment: SharedMemory) -> int:
    with segment.attach() as memory:
        reached("attached")
        pause("look")
        return memory.buf[0]


def test_processes_see_each_other_at_once(segment: SharedMemory, memory: Attachment, spawn: Spawn) -> None:
    child = spawn(attach_until_told, segment)
    child.wait_reached("attached")
    memory.buf[0] = 42
    child.resume("look")
    assert child.result() == 42
