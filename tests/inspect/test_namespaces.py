"""Private namespaces: who is in which, and what of them can be read."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from ipckit.inspect import namespaces
from ipckit.inspect._processes.procfs import FIRST_PID, namespace_of
from ipckit.inspect._processes.scan import Scan
from ipckit.posix import MessageQueue
from tests.inspect.elsewhere import (
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWPID,
    enter,
    mount,
    tell,
    told_by,
)
from tests.nobody import WAS_ROOT, become_nobody

if TYPE_CHECKING:
    from pathlib import Path

    from ipckit.testing import Child, Spawn


def test_we_are_in_our_own_namespaces() -> None:
    here = namespaces.surroundings()
    assert here.ipc_namespace == os.stat("/proc/self/ns/ipc").st_ino
    assert here.pid_namespace == os.stat("/proc/self/ns/pid").st_ino
    assert here.first_pid_namespace == (here.pid_namespace == FIRST_PID)
    assert here.contained or here.first_pid_namespace
    assert namespaces.same_ipc_namespace(os.getpid()) is True
    ours = next(namespaces.ipc_namespaces(Scan.take(set())))
    assert (ours.ours, ours.inode, ours.hint is not None) == (True, here.ipc_namespace, True)
    assert os.getpid() in {process.pid for process in ours.processes}
    assert (ours.shared_memory, ours.queues) == (None, None)


def in_a_container(path: str) -> None:
    if refusal := enter(CLONE_NEWNS | CLONE_NEWIPC) or mount("none", "/dev", "tmpfs") or fill_dev():
        tell(path, refusal)
        return
    with open("/dev/shm/theirs", "wb"), MessageQueue.create("/theirs"):
        tell(path, [namespace_of("self", "ipc")])
    os.unlink("/dev/shm/theirs")


def fill_dev() -> str:
    os.mkdir("/dev/shm")
    os.mkdir("/dev/mqueue")
    return mount("none", "/dev/shm", "tmpfs") or mount("none", "/dev/mqueue", "mqueue")


def needs_sight(child: Child) -> None:
    if namespace_of(child.pid, "ipc") is None:
        pytest.skip("a process in a user namespace of its own may not be looked into here")


def keep(pid: int, kind: str) -> int:
    """A descriptor that keeps the number of a namespace from being given again, and no process in it."""
    return os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def test_a_container_is_told_apart_and_read_from_outside(spawn: Spawn, tmp_path: Path) -> None:
    with told_by(spawn, in_a_container, tmp_path) as (child, (inode,)):
        needs_sight(child)
        assert namespaces.same_ipc_namespace(child.pid) is False
        listed = {found.inode: found for found in namespaces.ipc_namespaces(Scan.take(set()))}
        theirs = listed[inode]
        assert not theirs.ours
        assert [process.pid for process in theirs.processes] == [child.pid]
        assert theirs.shared_memory == f"/proc/{child.pid}/root/dev/shm"
        assert theirs.queues == f"/proc/{child.pid}/root/dev/mqueue"
        assert os.listdir(theirs.shared_memory) == ["theirs"]
        assert os.listdir(theirs.queues) == ["theirs"]
        kept = keep(child.pid, "ipc")
    assert inode not in {found.inode for found in namespaces.ipc_namespaces(Scan.take(set()))}
    assert namespaces.same_ipc_namespace(child.pid) is None
    os.close(kept)


def with_ipc_of_its_own(path: str) -> None:
    tell(path, enter(CLONE_NEWIPC) or namespace_of("self", "ipc"))


def test_what_is_in_our_own_dev_shm_is_not_shown_as_theirs(spawn: Spawn, tmp_path: Path) -> None:
    with told_by(spawn, with_ipc_of_its_own, tmp_path) as (child, inode):
        needs_sight(child)
        listed = {found.inode: found for found in namespaces.ipc_namespaces(Scan.take(set()))}
        assert (listed[inode].shared_memory, listed[inode].queues) == (None, None)


def with_pids_of_its_own(path: str) -> None:
    if refusal := enter(CLONE_NEWPID):
        tell(path, refusal)
        return
    reader, writer = os.pipe()
    first = os.fork()
    if first == 0:
        os.read(reader, 1)
        os._exit(0)
    tell(path, [namespace_of(first, "pid"), first])
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    os.close(reader)
    os.close(writer)


def test_a_pid_namespace_lives_as_long_as_a_process_is_in_it(spawn: Spawn, tmp_path: Path) -> None:
    with told_by(spawn, with_pids_of_its_own, tmp_path) as (child, (inode, first)):
        needs_sight(child)
        assert inode != namespace_of("self", "pid")
        assert namespaces.pid_namespace_alive(inode) is True
        kept = keep(first, "pid")
    own = namespace_of("self", "pid")
    assert own is not None
    assert namespaces.pid_namespace_alive(own) is True
    gone = namespaces.pid_namespace_alive(inode)
    os.close(kept)
    if own != FIRST_PID or not WAS_ROOT or Scan.take(set()).unseen:
        assert gone is None
    else:
        assert gone is False


def as_nobody() -> tuple[bool | None, bool | None, bool | None]:
    parent = os.getppid()
    become_nobody()
    return namespaces.same_ipc_namespace(parent), namespaces.pid_namespace_alive(1), namespaces.same_ipc_namespace(0)


def test_what_may_not_be_asked_is_not_known(spawn: Spawn) -> None:
    if not WAS_ROOT:
        pytest.skip("only root can become somebody else")
    assert spawn(as_nobody).result() == (None, None, None)


IDENTIFIER = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("groups", "hint"),
    [
        ("0::/\n", ""),
        ("0::/init.scope\n", "unit init.scope"),
        ("0::/system.slice/cron.service\n", "unit cron.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/editor.service\n", "unit editor.service"),
        (f"0::/system.slice/docker-{IDENTIFIER}.scope\n", "docker 0123456789ab"),
        (f"4:memory:/docker/{IDENTIFIER}\n0::/\n", "docker 0123456789ab"),
        (f"0::/machine.slice/libpod-{IDENTIFIER}.scope/container\n", "podman 0123456789ab"),
        (f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{IDENTIFIER}.scope\n", "kubernetes 0123456789ab"),
        (f"0::/system.slice/containerd.service/default:{IDENTIFIER}\n", "containerd 0123456789ab"),
        ("0::/lxc.payload.web/system.slice/nginx.service\n", "container web"),
        ("0::/machine.slice/machine-deb.scope/init.scope\n", "container deb"),
    ],
)
def test_control_groups_hint_at_whose_a_process_is(groups: str, hint: str) -> None:
    assert namespaces.hint_of(groups) == hint
