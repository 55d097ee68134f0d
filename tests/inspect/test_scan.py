"""The look at all processes: who has what."""

from __future__ import annotations

import fcntl
import mmap
import os
import pty
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.inspect._kinds import KINDS
from ipckit.inspect._looking import Look
from ipckit.inspect._processes import glance
from ipckit.inspect._processes.glance import Glance
from ipckit.inspect._processes.mounts import Mounts
from ipckit.inspect._processes.procfs import FOLDER, living
from ipckit.inspect._processes.scan import Scan
from ipckit.inspect.file_locks import FileLock
from ipckit.inspect.records import Process
from ipckit.posix import MessageQueue, SharedMemory
from ipckit.sysv import SharedMemory as SysvMemory
from ipckit.testing import pause
from tests.inspect.elsewhere import by, mapped
from tests.nobody import NOBODY, become_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipckit.inspect.records import Holder
    from ipckit.testing import Spawn


@pytest.fixture
def fds() -> Iterator[list[int]]:
    opened: list[int] = []
    yield opened
    for fd in opened:
        os.close(fd)


def held(scan: Scan, fd: int, family: str, *, pid: int | None = None) -> Holder:
    """How a process, by default this one, has the file of that descriptor of ours."""
    status = os.fstat(fd)
    device = 0 if family in ("pipe", "socket") else status.st_dev
    return by(scan.holders(device, status.st_ino, family), pid or os.getpid())


def test_each_family_is_recognised(fds: list[int], tmp_path: Path) -> None:
    path = str(tmp_path / "a fifo")
    os.mkfifo(path)
    reader, writer = os.pipe()
    one, other = socket.socketpair()
    master, slave = pty.openpty()
    memfd = os.memfd_create("a memfd")
    fifo = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fds += [reader, writer, master, slave, memfd, fifo, one.detach(), other.detach()]
    scan = Scan.take(set(KINDS))
    assert held(scan, reader, "pipe")[1:] == ((reader, writer), False, "rw")
    assert held(scan, fds[-1], "socket")[1:] == ((fds[-1],), False, "")
    assert held(scan, memfd, "memfd")[1:] == ((memfd,), False, "rw")
    assert held(scan, fifo, "fifo")[1:] == ((fifo,), False, "r")
    assert held(scan, slave, "pts").descriptors == (slave,)
    index = int(os.ttyname(slave).rpartition("/")[2])
    assert by(scan.holders(os.fstat(slave).st_dev, index, "ptmx"), os.getpid()).descriptors == (master,)
    paths = {thing.inode: told for thing, told, _ in scan.things("fifo")}
    assert paths[os.fstat(fifo).st_ino] == path


@pytest.mark.parametrize(
    ("protection", "flags", "access"),
    [
        (mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, "rw"),
        (mmap.PROT_READ, mmap.MAP_SHARED, "r"),
        (mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE, "r"),  # what is written there never gets to the file
    ],
)
def test_what_is_mapped_is_held_without_a_descriptor(protection: int, flags: int, access: str) -> None:
    memfd, path = os.memfd_create("ipckit-test"), f"/dev/shm/ipckit-test-{os.getpid()}\n"
    memory = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with mapped(memfd, protection, flags), mapped(memory, protection, flags):
        os.unlink(path)
        both = [(os.fstat(memfd), "memfd"), (os.fstat(memory), "file")]
        assert held(Scan.take({"memfd"}), memfd, "memfd")[1:] == ((memfd,), True, "rw")
        os.close(memfd)
        os.close(memory)
        scan = Scan.take({"memfd", "shm"})
        for status, family in both:
            holders = scan.holders(status.st_dev, status.st_ino, family)
            assert [holder[1:] for holder in holders] == [((), True, access)]
        paths = {thing.inode: told for thing, told, _ in scan.things("file")}
        assert paths[both[1][0].st_ino] == f"{path} (deleted)"
    scan = Scan.take({"memfd", "shm"})
    assert not any(scan.holders(status.st_dev, status.st_ino, family) for status, family in both)


def test_a_system_v_segment_is_found_by_its_number() -> None:
    with SysvMemory.create(size=4096, remove_on_close=True) as segment, segment.attach(read_only=True):
        scan = Scan.take({"sysv-shm"})
        assert by(scan.holders(0, segment.id, "sysv"), os.getpid())[1:] == ((), True, "r")


def test_queues_are_told_from_other_files_by_their_file_system(fds: list[int]) -> None:
    fds.append(os.open("/proc", os.O_RDONLY))  # a link of one name, as those of queues are
    name = f"/memfd:{os.getpid()}"
    with MessageQueue.create(name, unlink_on_close=True) as queue:
        scan = Scan.take({"mq", "memfd"})
        assert held(scan, queue.fileno(), "file").access == "rw"
        status = os.fstat(queue.fileno())
        assert scan.holders(status.st_dev, status.st_ino, "memfd") == ()
        assert (status.st_dev, name) in [(thing.device, path) for thing, path, _ in scan.things("file")]
        queue.unlink()
        assert held(Scan.take({"mq"}), queue.fileno(), "file").descriptors == (queue.fileno(),)
    status = os.fstat(fds[0])
    assert scan.holders(status.st_dev, status.st_ino) == ()


def test_only_what_was_asked_for_is_kept(fds: list[int]) -> None:
    fds += [*os.pipe(), os.memfd_create("unasked"), os.eventfd(0)]
    scan = Scan.take({"eventfd"})
    assert not list(scan.things("pipe"))
    assert not list(scan.things("memfd"))
    assert any(holder.descriptors == (fds[3],) for *_, holders in scan.things("eventfd") for holder in holders)
    assert os.getpid() in {process.pid for process in Scan.take({"sysv-mq"}).processes}


def test_progress_is_told_up_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    Scan.take({"pipe"}, lambda done, total: told.append((done, total)))
    done, total = told[-1]
    assert done == total >= 1


def test_a_process_is_told_with_its_name_and_its_effective_user() -> None:
    with open("/proc/self/comm") as file:
        comm = file.read().rstrip("\n")
    (own,) = (process for process in Scan.take(set()).processes if process.pid == os.getpid())
    assert own == (os.getpid(), comm, os.geteuid())


def test_what_has_ended_is_no_process() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    try:
        scan = Scan.take(set(KINDS))
        assert child.pid not in {process.pid for process in scan.processes}
        folder = os.open(f"/proc/{child.pid}", FOLDER)
    finally:
        child.wait()
    with pytest.raises(OSError, match="No such"):
        living(folder)
    os.close(folder)
    scan = Scan()
    scan._look(child.pid, frozenset({"pipe"}), Mounts())
    assert (scan.processes, scan.unseen) == ([], 0)


def comm_of(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def test_a_thread_of_the_kernel_is_no_process() -> None:
    if b"kthreadd" not in comm_of(2):
        pytest.skip("no thread of the kernel is seen in this pid namespace")
    folder = os.open("/proc/2", FOLDER)
    assert living(folder) is None
    os.close(folder)
    scan = Scan()
    scan._look(2, frozenset({"pipe"}), Mounts())
    assert (scan.processes, scan.unseen) == ([], 0)


FIRST_THREAD_ENDS = """
import ctypes, os, sys, threading
from tests.nobody import NOBODY, become_nobody
PR_SET_DUMPABLE = 4
def go_on():
    while open(f"/proc/self/task/{os.getpid()}/stat").read().rpartition(")")[2].split()[0] != "Z":
        pass
    os.write(1, b"x")
    os.read(0, 1)
    os.execlp("cat", "cat")
uid = int(sys.argv[1])
if os.getuid() != uid:
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
threading.Thread(target=go_on).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@contextmanager
def without_its_first_thread(uid: int, *fds: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", FIRST_THREAD_ENDS, str(uid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=fds) as child:
        assert child.stdout is not None
        assert child.stdout.read(1) == b"x"
        yield child


def test_a_process_lives_on_when_its_first_thread_has_ended(fds: list[int]) -> None:
    memfd = os.memfd_create("a memfd", 0)
    fds.append(memfd)
    with without_its_first_thread(os.getuid(), memfd) as child:
        assert child.stdin is not None
        scan = Scan.take({"pipe", "memfd"})
        assert held(scan, child.stdin.fileno(), "pipe", pid=child.pid)[1:] == ((0,), False, "r")
        assert held(scan, memfd, "memfd", pid=child.pid)[1:] == ((memfd,), False, "rw")
        assert (child.pid, os.getuid()) in {(process.pid, process.uid) for process in scan.processes}


@pytest.mark.parametrize("when", ["before it is opened", "before it is looked into"])
def test_a_process_lives_on_when_its_last_thread_becomes_its_first(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """As any does that calls execve(2)."""
    look_for, descriptors = glance.living, Glance._descriptors
    turns: list[str] = []
    with without_its_first_thread(os.getuid()) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        pipe, echo = child.stdin.fileno(), child.stdout.fileno()

        def become_cat(now: str) -> None:
            turns.append(now)
            if turns == [when]:
                os.write(pipe, b"xy")
                assert os.read(echo, 1) == b"y"

        def look_for_one(folder: int) -> str | None:
            found = look_for(folder)
            if when == "before it is opened":
                become_cat(when)
            return found

        def look_into(self: Glance) -> int:
            if self._folder != folder and when == "before it is looked into":
                become_cat(when)
            return descriptors(self)

        monkeypatch.setattr(glance, "living", look_for_one)
        monkeypatch.setattr(Glance, "_descriptors", look_into)
        folder = os.open(f"/proc/{child.pid}", FOLDER)
        found = Glance(Process(child.pid, "", os.getuid()), folder, frozenset({"pipe"}), Mounts())
        assert found.look()
        os.close(folder)
        assert turns == [when]
        assert found.parts["pipe", 0, os.fstat(pipe).st_ino].descriptors == [0]


def descriptors_seen_by_nobody(pid: int) -> list[tuple[tuple[int, ...], int]]:
    Scan.take({"pipe"})  # loads all modules, while they may be read
    become_nobody()
    holders = [holder for _, _, holders in Scan.take({"pipe"}).things("pipe") for holder in holders]
    return [(holder.descriptors, holder.process.uid) for holder in holders if holder.process.pid == pid]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_its_user_may_look_into_it_too(spawn: Spawn) -> None:
    with without_its_first_thread(NOBODY) as child:
        assert sorted(spawn(descriptors_seen_by_nobody, child.pid).result()) == [((0,), NOBODY), ((1,), NOBODY)]


def leave_it_to_a_child(memory: SharedMemory) -> None:
    pause("there")
    if os.fork():
        os._exit(0)
    signal.pause()


def test_what_a_process_leaves_to_a_child_before_its_turn_is_held(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SharedMemory.create(size=1, unlink_on_close=True) as memory:
        child = spawn(leave_it_to_a_child, memory)
        child.wait_reached("there")
        look = Scan._look

        def look_late(scan: Scan, pid: int, *more: Any) -> int:
            if pid == child.pid:
                child.resume("there")
                child.join()
            return look(scan, pid, *more)

        monkeypatch.setattr(Scan, "_look", look_late)
        status = os.fstat(memory.fileno())
        holders = Scan.take({"shm"}).holders(status.st_dev, status.st_ino)
        (heir,) = {holder.process.pid for holder in holders} - {os.getpid()}
        assert heir != child.pid


def lock_and_wait(path: str) -> None:
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        pause("locked")


def test_locks_of_open_files_are_told(spawn: Spawn, tmp_path: Path) -> None:
    path = str(tmp_path / "locked")
    child = spawn(lock_and_wait, path)
    child.wait_reached("locked")
    (found,) = (lock for lock in Scan.take({"lock"}).locks if lock.path == path)
    assert found.process.pid == child.pid
    assert found.line.split()[1:4] == ["FLOCK", "ADVISORY", "WRITE"]
    child.resume("locked")


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[int]:
    """A folder whose path is longer than PATH_MAX."""
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("x" * 250, dir_fd=folder)
        below = os.open("x" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    yield folder
    os.close(folder)


def test_a_file_whose_path_is_too_long_to_be_told_hides_no_others(deep: int, fds: list[int]) -> None:
    locked = os.open("locked", os.O_RDWR | os.O_CREAT, 0o600, dir_fd=deep)
    fds += [locked, *os.pipe()]
    with pytest.raises(OSError, match="File name too long"):
        os.readlink(f"/proc/self/fd/{locked}")
    fcntl.flock(locked, fcntl.LOCK_EX)
    look = Look(["pipe", "fifo", "lock"])
    assert os.getpid() in {process.pid for process in look.processes}
    found = list(look)
    (lock,) = (one for one in found if isinstance(one, FileLock) and one.inode == os.fstat(locked).st_ino)
    assert (lock.file, lock.pids, lock.holders[0].descriptors) == (None, (os.getpid(),), (locked,))
    assert f"pipe:[{os.fstat(fds[1]).st_ino}]" in {record.address for record in found}
    assert any("longer than the kernel tells" in note for note in look.notes)
