"""The look at all processes: what it can't see, and whom it does not ask."""

from __future__ import annotations

import errno
import os
import resource
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import SyscallError, UnsupportedError
from ipckit.inspect._checks.kernel import can_trace
from ipckit.inspect._kinds import KINDS
from ipckit.inspect._processes.mounts import Mounts, hides_processes
from ipckit.inspect._processes.scan import Scan
from ipckit.posix import MessageQueue, SharedMemory
from ipckit.sysv import SharedMemory as SysvMemory
from tests.contract.tools import in_fork
from tests.inspect.elsewhere import (
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWPID,
    by,
    enter,
    mount,
    tell,
    told_by,
)
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from pathlib import Path

    from ipckit.testing import Spawn


def look_as_nobody(parent: int) -> tuple[int, int, bool, bool]:
    before = Scan.take({"pipe"}).unseen
    become_nobody()
    scan = Scan.take({"pipe"})
    seen = {process.pid for process in scan.processes}
    return before, scan.unseen, parent in seen, os.getpid() in seen


def test_who_may_not_be_looked_into_is_counted(spawn: Spawn) -> None:
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    before, unseen, parent, itself = spawn(look_as_nobody, os.getpid()).result()
    assert unseen > before
    assert not parent
    assert itself


def test_out_of_descriptors_is_an_error_and_not_an_empty_list(spawn: Spawn) -> None:
    assert spawn(without_descriptors).result() == errno.EMFILE


def without_descriptors() -> int | None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    opened = []
    try:
        while True:
            opened.append(os.open("/", os.O_PATH))
    except OSError:
        os.close(opened.pop())
    try:
        Scan.take({"pipe"})
    except SyscallError as error:
        number = error.errno
    else:
        number = 0
    for fd in opened:
        os.close(fd)
    return number


def with_objects_of_its_own(path: str, name: str) -> None:
    if refusal := enter(CLONE_NEWNS | CLONE_NEWIPC) or mount("none", "/dev/shm", "tmpfs"):
        tell(path, refusal)
        return
    with (
        open(f"/dev/shm{name}", "wb") as file,
        MessageQueue.create(name) as queue,
        SysvMemory.create(size=4096) as segment,
        segment.attach(),
    ):
        files = [os.fstat(file.fileno()), os.fstat(queue.fileno())]
        ipc = os.stat("/proc/self/ns/ipc").st_ino
        tell(path, [[ipc, segment.id], *([status.st_dev, status.st_ino] for status in files)])


def test_what_is_in_other_namespaces_is_not_taken_for_ours(spawn: Spawn, tmp_path: Path) -> None:
    with (
        SharedMemory.create(size=4096, unlink_on_close=True) as memory,
        told_by(spawn, with_objects_of_its_own, tmp_path, memory.name) as (child, (segment, file, queue)),
    ):
        scan = Scan.take({"shm", "mq", "sysv-shm"})
        if child.pid not in {process.pid for process in scan.processes}:
            pytest.skip("a process in a user namespace of its own may not be looked into here")
        ours = os.fstat(memory.fileno())
        assert [holder.process.pid for holder in scan.holders(ours.st_dev, ours.st_ino)] == [os.getpid()]
        assert by(scan.holders(*segment, "sysv"), child.pid).mapped
        assert by(scan.holders(*file), child.pid).access == "w"
        assert by(scan.holders(*queue), child.pid).access == "rw"
        assert child.pid not in {holder.process.pid for holder in scan.holders(0, segment[1], "sysv")}


def with_a_file_system_that_never_answers(path: str, folder: str) -> None:
    if refusal := enter(CLONE_NEWNS):
        tell(path, refusal)
        return
    try:
        connection = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        tell(path, f"/dev/fuse: {error.strerror}")
        return
    options = f"fd={connection},rootmode=40000,user_id=0,group_id=0"
    if refusal := mount("ipckit-test", folder, "fuse", 0, options):
        tell(path, refusal)
        return
    fd = os.open(folder, os.O_PATH)
    attached = os.open("/", os.O_PATH)
    tell(path, fd)
    os.close(fd)
    os.close(attached)
    os.close(connection)  # ends what waits for an answer


def test_who_never_answers_is_not_asked(spawn: Spawn, tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    with told_by(spawn, with_a_file_system_that_never_answers, tmp_path, str(folder)) as (child, fd):
        look = Scan.take(set(KINDS))
        if child.pid not in {process.pid for process in look.processes}:
            pytest.skip("a process in a user namespace of its own may not be looked into here")
        assert os.readlink(f"/proc/{child.pid}/fd/{fd}") == str(folder)
        assert any("may be FIFOs were not asked" in note for note in look.notes)
        assert not any("may be FIFOs" in note for note in Scan.take(set(KINDS) - {"fifo"}).notes)


def test_mounts_are_read_as_the_kernel_writes_them() -> None:
    mounts = Mounts()
    mounts.add(
        1,
        b"""\
900001 1 0:99 / /a\\040folder rw,relatime shared:7 master:2 - nfs4 host:/export rw,vers=4.2
900002 1 0:98 / /b rw - fuse.sshfs host: rw
900003 1 254:1 / /c rw - ext4 /dev/vda1 rw
900004 1 0:97 / /c rw - tmpfs none rw,size=64k
""",
    )
    nfs, fuse, disk, memory = (mounts.get(number) for number in range(900001, 900005))
    assert nfs is not None
    assert (nfs.point, nfs.device, nfs.type, nfs.options) == ("/a folder", os.makedev(0, 99), "nfs4", "rw,vers=4.2")
    assert [mount is not None and mount.local for mount in (nfs, fuse, disk, memory)] == [False, False, True, True]
    assert mounts.at(1, "/c") == memory
    assert mounts.at(2, "/c") is None
    assert mounts.get(0xFFFFFFFF) is None


OPTIONS = {
    "rw": False,
    "rw,hidepid=1": False,
    "rw,hidepid=2": True,
    "rw,hidepid=invisible": True,
    "rw,hidepid=invisible,gid={gid}": False,
    "rw,hidepid=ptraceable,gid={gid}": True,
}


def test_hidden_processes_are_known_by_the_mount(spawn: Spawn) -> None:
    assert spawn(hides_from_a_user).result() == OPTIONS
    assert hides_processes(proc_mounted("rw,hidepid=2")) == (not can_trace())


def hides_from_a_user() -> dict[str, bool]:
    become_nobody()
    return {options: hides_processes(proc_mounted(options)) for options in OPTIONS}


def proc_mounted(options: str) -> Mounts:
    mounts = Mounts()
    mounts.add(mounts.own, f"900001 1 0:99 / /proc rw - proc proc {options.format(gid=os.getegid())}\n".encode())
    return mounts


def behind_hidepid() -> str | tuple[bool, int, list[str], set[int]]:
    if refusal := enter(CLONE_NEWNS) or mount("none", "/proc", "proc", 0, "hidepid=invisible"):
        return refusal
    become_nobody()
    scan = Scan.take({"pipe"})
    return scan.hidden, scan.unseen, scan.notes, {process.pid for process in scan.processes}


def test_processes_that_are_not_shown_at_all_are_said(spawn: Spawn) -> None:
    if tuple(map(int, os.uname().release.split(".")[:2])) < (5, 8):
        pytest.skip("before Linux 5.8, hidepid holds for every /proc of the pid namespace")
    result = spawn(behind_hidepid).result()
    if isinstance(result, str):
        pytest.skip(result)
    hidden, unseen, notes, seen = result
    assert hidden
    assert unseen == 1
    assert any("hidepid" in note for note in notes)
    assert os.getpid() not in seen
    assert not Scan.take({"pipe"}).hidden


def in_a_pid_namespace_of_its_own() -> str | tuple[list[int], bool, list[str]]:
    if refusal := enter(CLONE_NEWNS | CLONE_NEWPID):
        return refusal
    return in_fork(as_its_first_process)


def as_its_first_process() -> str | tuple[list[int], bool, list[str]]:
    if refusal := mount("none", "/proc", "proc"):
        return refusal
    scan = Scan.take({"pipe"})
    return [process.pid for process in scan.processes], scan.hidden, scan.notes


def test_in_a_private_pid_namespace_the_others_are_said_to_be_missing(spawn: Spawn) -> None:
    result = spawn(in_a_pid_namespace_of_its_own).result()
    if isinstance(result, str):
        pytest.skip(result)
    pids, hidden, notes = result
    assert (pids, hidden) == ([1], False)
    assert any("private pid namespace" in note for note in notes)


def without_proc() -> str | int:
    if refusal := enter(CLONE_NEWNS) or mount("none", "/proc", "tmpfs"):
        return refusal
    try:
        Scan.take({"pipe"})
    except UnsupportedError as error:
        return error.errno or 0
    return 0


def test_without_proc_it_is_unsupported(spawn: Spawn) -> None:
    result = spawn(without_proc).result()
    if isinstance(result, str):
        pytest.skip(result)
    assert result == errno.ENOSYS
