"""Leaks of every kind are seen, named, and gone once cleaned up."""

from __future__ import annotations

import ctypes  # noqa: F401 - before a child becomes a user who may not read the library
import mmap
import os
import random
import signal
import string
import subprocess
import sys
import threading
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING

import posix_ipc
import pytest
import sysv_ipc

from ipckit._names import unique_name
from ipckit.testing import LeakSnapshot, Spawn, _findings, _mappings, _procfs, pause, reached
from tests.inspect.elsewhere import CLONE_NEWIPC, CLONE_NEWNS, enter, mount, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


def some_letters() -> str:
    """For a name in which no digits may be taken for a pid, and that no other run gives at the same time."""
    return "".join(random.choices(string.ascii_lowercase, k=12))


@contextmanager
def descriptor() -> Iterator[str]:
    fd = os.memfd_create("forgotten")
    yield f"descriptor {fd} -> /memfd:forgotten (deleted)"
    os.close(fd)


@contextmanager
def anonymous_mapping() -> Iterator[str]:
    mapping = mmap.mmap(-1, 8192)
    yield "shared mapping of /dev/zero (deleted), 8192 bytes"
    mapping.close()


@contextmanager
def file_mapping() -> Iterator[str]:
    fd = os.memfd_create("forgotten")
    os.ftruncate(fd, 4096)
    mapping = mmap.mmap(fd, 4096)
    os.close(fd)
    yield "shared mapping of /memfd:forgotten (deleted), 4096 bytes"
    mapping.close()


@contextmanager
def thread() -> Iterator[str]:
    go_on = threading.Event()
    worker = threading.Thread(target=go_on.wait, name="forgotten")
    worker.start()
    yield f"thread {worker.native_id} (forgotten)"
    go_on.set()
    worker.join()


@contextmanager
def zombie() -> Iterator[str]:
    child = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    yield f"child process {child.pid}, state Z: true"
    child.wait()


@contextmanager
def running_child() -> Iterator[str]:
    child = subprocess.Popen(["/bin/sleep", "1000"])
    yield f"child process {child.pid}, state"
    child.kill()
    child.wait()


@contextmanager
def shared_memory() -> Iterator[str]:
    memory = posix_ipc.SharedMemory(unique_name(), posix_ipc.O_CREX, size=4096)
    memory.close_fd()
    yield f"file /dev/shm{memory.name}, 4096 bytes"
    memory.unlink()


@contextmanager
def named_semaphore() -> Iterator[str]:
    semaphore = posix_ipc.Semaphore(unique_name(), posix_ipc.O_CREX)
    semaphore.close()
    yield f"file /dev/shm/sem.{semaphore.name[1:]}, "
    posix_ipc.unlink_semaphore(semaphore.name)


@contextmanager
def message_queue() -> Iterator[str]:
    queue = posix_ipc.MessageQueue(unique_name(), posix_ipc.O_CREX)
    queue.close()
    yield f"POSIX message queue {queue.name}, "
    queue.unlink()


@contextmanager
def system_v_memory() -> Iterator[str]:
    memory = sysv_ipc.SharedMemory(None, sysv_ipc.IPC_CREX, size=4096)
    memory.detach()
    yield f"System V shm {memory.id} with key {memory.key:#010x}"
    memory.remove()


@contextmanager
def system_v_semaphores() -> Iterator[str]:
    semaphores = sysv_ipc.Semaphore(None, sysv_ipc.IPC_CREX, initial_value=1)
    semaphores.acquire()  # notes our pid: nothing else tells whose it is
    yield f"System V sem {semaphores.id} with key {semaphores.key:#010x}"
    semaphores.remove()


@contextmanager
def system_v_queue() -> Iterator[str]:
    queue = sysv_ipc.MessageQueue(None, sysv_ipc.IPC_CREX)
    queue.send(b"from us")
    yield f"System V msg {queue.id} with key {queue.key:#010x}"
    queue.remove()


KINDS = [
    descriptor,
    anonymous_mapping,
    file_mapping,
    thread,
    zombie,
    running_child,
    shared_memory,
    named_semaphore,
    message_queue,
    system_v_memory,
    system_v_semaphores,
    system_v_queue,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_leak_is_named_and_gone_once_cleaned_up(kind: Callable[[], AbstractContextManager[str]]) -> None:
    if kind is message_queue and LeakSnapshot.invisible():
        pytest.skip(*LeakSnapshot.invisible())
    before = LeakSnapshot.take(strict=False)
    with kind() as expected:
        lines = before.leaked(timeout=0)
        assert [line for line in lines if line.startswith(expected)], lines
        later = LeakSnapshot.take(strict=False)
        assert not later.leaked(timeout=0)
    assert not before.leaked()


def test_more_of_the_same_mapping_is_a_leak() -> None:
    fd = os.memfd_create("grows")
    os.ftruncate(fd, 8192)
    first = mmap.mmap(fd, 8192)
    before = LeakSnapshot.take()
    second = mmap.mmap(fd, 4096)
    assert [line for line in before.leaked(timeout=0) if "/memfd:grows (deleted), 12288 bytes" in line]
    second.close()
    assert not before.leaked()
    first.close()
    os.close(fd)


def test_a_kernel_that_has_no_shortcuts_shows_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def own(before: LeakSnapshot, after: LeakSnapshot) -> list[str]:
        return [line for line in before.difference(after) if line.startswith(("child process", "shared mapping"))]

    nothing = LeakSnapshot([], 0, strict=True)
    with anonymous_mapping(), file_mapping(), running_child(), zombie():
        short = LeakSnapshot.take(strict=True)
        monkeypatch.setattr(_mappings, "_asked_for", lambda: None)
        monkeypatch.setattr(_procfs, "_listed_children", lambda: os.listdir("/proc/self/no-such-folder"))
        long = LeakSnapshot.take(strict=True)
        assert own(short, long) == own(long, short) == []
        assert len(own(nothing, long)) >= 4


def test_garbage_is_no_leak() -> None:
    before = LeakSnapshot.take()
    cycle: list[object] = [mmap.mmap(-1, 4096)]
    cycle.append(cycle)
    assert before.difference(LeakSnapshot.take())
    del cycle
    assert not before.leaked()


def test_thread_about_to_end_is_given_its_time() -> None:
    before = LeakSnapshot.take()
    go_on = threading.Event()
    worker = threading.Thread(target=go_on.wait)
    worker.start()
    assert before.leaked(timeout=0)
    go_on.set()
    assert not before.leaked(timeout=20)
    worker.join()


def test_what_multiprocessing_keeps_for_good_is_no_leak(spawn: Spawn) -> None:
    assert spawn(start_tracker).result() == []


def start_tracker() -> list[str]:
    before = LeakSnapshot.take()
    resource_tracker.ensure_running()
    return before.leaked(timeout=0)


def use_as_a_stranger(path: str) -> None:
    """The child of a child whose parent is gone, so that nothing ties it to the test."""
    code = f"import mmap; f = open({path!r}, 'r+b'); m = mmap.mmap(f.fileno(), 0); f.close(); print(1, flush=True)"
    process = subprocess.Popen([sys.executable, "-c", f"{code}\nwhile True: pass"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    reached("in use")
    pause("hold")
    os._exit(0)


def test_file_that_a_stranger_uses_is_not_ours_unless_strict(spawn: Spawn) -> None:
    lenient, strict = LeakSnapshot.take(strict=False), LeakSnapshot.take(strict=True)
    path = Path(f"/dev/shm/a-strangers-file-{some_letters()}")
    path.write_bytes(bytes(4096))
    try:
        child = spawn(use_as_a_stranger, str(path))
        child.wait_reached("in use")
        line = f"file {path}, 4096 bytes"
        assert line in lenient.leaked(timeout=0)  # a child of a child is still one of us
        child.resume("hold")
        child.join()
        assert line not in lenient.leaked(timeout=0)
        assert line in strict.leaked(timeout=0)
    finally:
        path.unlink()


def test_environment_asks_for_strictness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert LeakSnapshot.take().strict
    monkeypatch.setenv("CI", "false")
    assert not LeakSnapshot.take().strict


def be_blind() -> list[str]:
    os.setuid(65534)
    return [*LeakSnapshot.invisible(), *(finding.kind for finding in _findings.message_queues())]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(b"mqueue" in Path("/proc/self/mounts").read_bytes(), reason="queues are visible to everybody here")
def test_what_can_not_be_seen_is_said(spawn: Spawn) -> None:
    (sentence,) = spawn(be_blind).result()
    assert sentence.startswith("POSIX message queues are not visible")


def look_beside_an_odd_mount(folder: str) -> str:
    odd = f"{folder}/caf\udce9"  # bytes that are no UTF-8
    if refused := enter(CLONE_NEWNS) or mount("none", folder, "tmpfs"):
        return refused
    os.mkdir(odd)
    if refused := mount("none", odd, "tmpfs"):
        return refused
    LeakSnapshot.take()
    return ""


def test_mounts_may_have_any_name(spawn: Spawn, tmp_path: Path) -> None:
    if refused := spawn(look_beside_an_odd_mount, str(tmp_path)).result():
        pytest.skip(refused)


def test_signal_number_in_a_name_is_not_taken_for_a_pid() -> None:
    before = LeakSnapshot.take(strict=True)
    path = Path(f"/dev/shm/{some_letters()}-with-{signal.SIGKILL}")
    path.touch()
    assert f"file {path}, 0 bytes" in before.leaked(timeout=0)
    path.unlink()
    assert not [line for line in before.leaked() if str(path) in line]


def test_what_ended_children_might_have_made_is_told_by_the_pid_in_its_name_and_their_time() -> None:
    earlier = LeakSnapshot.take(strict=False)
    with Spawn() as start:
        child = start(int)
        assert child.result() == 0
    later = LeakSnapshot.take(strict=False)
    path = Path(f"/dev/shm/ipckit-{child.pid}-abcdefabcdefabcd")
    other = Path(f"/dev/shm/ipckit-1-abcdef{os.getpid() % 10**8:08}ab")  # our own pid is not there by intention
    try:
        path.touch()
        other.touch()
        assert [line.split(",")[0] for line in earlier.leaked(timeout=0)] == [f"file {path}"]
        assert later.leaked(timeout=0) == []  # the pid has been free since
    finally:
        path.unlink()
        other.unlink()


def see_a_strangers_segment_with_our_pid_for_its_number() -> str:
    """Returns what is told of it as a leak; in "skip: ..." why there is none."""
    if why := enter(CLONE_NEWIPC) or written("/proc/sys/kernel/shm_next_id", str(os.getpid())):
        return f"skip: {why}"
    before = LeakSnapshot.take(strict=False)
    reader, writer = os.pipe()
    middle = os.fork()
    if not middle:
        if not os.fork():
            memory = sysv_ipc.SharedMemory(None, sysv_ipc.IPC_CREX, size=1)
            os.write(writer, str(memory.id).encode())
            signal.pause()
        os._exit(0)
    os.waitpid(middle, 0)
    assert int(os.read(reader, 20)) == os.getpid()
    return "".join(line for line in before.leaked(timeout=0) if line.startswith("System V"))


def test_the_number_of_a_system_v_object_is_not_taken_for_a_pid(spawn: Spawn) -> None:
    told = spawn(see_a_strangers_segment_with_our_pid_for_its_number).result()
    if told.startswith("skip"):
        pytest.skip(told)
    assert not told
