"""Private namespaces, as containers have them: who is in which, and what of them can be read from here. namespaces(7).

System V objects and POSIX message queues belong to an IPC namespace; what is in /dev/shm, to whatever is mounted
there in a mount namespace; the number of a process, to a pid namespace.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipckit.inspect._processes.mounts import SHM, Mounts, hides_processes
from ipckit.inspect._processes.procfs import FIRST_IPC, FIRST_PID, namespace_of, read_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect.records import Process

_QUEUES = "/dev/mqueue"
_IDENTIFIER = re.compile(r"(?:^|[-/:.])([0-9a-f]{64})(?:\.scope)?(?:/|$)", re.MULTILINE)
_NAMED = re.compile(r"/(?:lxc\.payload\.|lxc/|machine\.slice/machine-)([^/\n]+?)(?:\.scope)?(?:/|$)", re.MULTILINE)
_UNIT = re.compile(r"/([^/\n]+\.(?:service|scope))(?:/|$)", re.MULTILINE)
_ENGINES = {"docker": "docker", "libpod": "podman", "kubepods": "kubernetes", "containerd": "containerd"}
_SHOWN = 12  # digits of a container's identifier, as the engines' own listings show them


@dataclass(frozen=True, kw_only=True)
class IpcNamespace:
    """An IPC namespace in which there are processes.

    Attributes:
        inode: its number, as in "ipc:[4026531839]".
        ours: whether the calling process is in it.
        processes: those in it that can be seen.
        hint: whose it may be, by the control group of its first process: "docker 0123456789ab", "unit cron.service";
            "" where that tells nothing.
        shared_memory: the folder with the files of its /dev/shm, from here; None if it is our own, or not readable.
        queues: the folder with its POSIX message queues, from here; None likewise.
    """

    inode: int
    ours: bool
    processes: tuple[Process, ...]
    hint: str
    shared_memory: str | None
    queues: str | None


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where the calling process is.

    Attributes:
        contained: whether it is in a container, as far as that shows: it is in a private pid namespace, or the
            container's engine left its mark.
        pid_namespace: inode of its pid namespace.
        first_pid_namespace: whether that is the machine's own, from which all processes can be seen.
        ipc_namespace: inode of its IPC namespace.
        first_ipc_namespace: whether that is the machine's own.
        hint: as in `IpcNamespace`.
    """

    contained: bool
    pid_namespace: int
    first_pid_namespace: bool
    ipc_namespace: int
    first_ipc_namespace: bool
    hint: str


def surroundings() -> Surroundings:
    """Where the calling process is.

    >>> surroundings().ipc_namespace == namespace_of("self", "ipc")
    True

    Raises:
        OSError: /proc does not tell.
    """
    pid, ipc = (os.stat(f"/proc/self/ns/{type}").st_ino for type in ("pid", "ipc"))
    hint = _hint("self")
    marked = any(os.path.lexists(path) for path in ("/.dockerenv", "/run/.containerenv", "/run/systemd/container"))
    return Surroundings(
        contained=pid != FIRST_PID or marked or bool(hint and not hint.startswith("unit ")),
        pid_namespace=pid,
        first_pid_namespace=pid == FIRST_PID,
        ipc_namespace=ipc,
        first_ipc_namespace=ipc == FIRST_IPC,
        hint=hint,
    )


def same_ipc_namespace(pid: int) -> bool | None:
    """Whether a process has the same System V objects and message queues as this one.

    Returns:
        None if it may not be asked, or is gone.
    """
    theirs = namespace_of(pid, "ipc")
    return None if theirs is None else theirs == namespace_of("self", "ipc")


def pid_namespace_alive(inode: int) -> bool | None:
    """Whether a process is in the pid namespace of that number, or will be.

    Returns:
        None if that can't be told: some processes may not be asked, or we are in a private pid namespace ourselves,
        from which those outside are not seen. True may also mean that the number was given again.
    """
    unknown = False
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            namespaces = [os.readlink(f"/proc/{name}/ns/{type}") for type in ("pid", "pid_for_children")]
        except PermissionError:
            unknown = True
            continue
        except OSError:  # it has ended
            continue
        if f"pid:[{inode}]" in namespaces:
            return True
    everywhere = namespace_of("self", "pid") == FIRST_PID
    return False if everywhere and not unknown and not hides_processes(Mounts()) else None


def ipc_namespaces(scan: Scan | None = None) -> Iterator[IpcNamespace]:
    """The IPC namespaces of all processes that may be looked into: ours first, then by their numbers.

    Args:
        scan: the processes, where they were looked at already.

    Raises:
        UnsupportedError: /proc is not mounted (ENOSYS).
    """
    if scan is None:
        from ipckit.inspect._processes.scan import Scan

        scan = Scan.take(set())
    ours = namespace_of("self", "ipc")
    members: dict[int, list[Process]] = {}
    for process in scan.processes:
        namespace = namespace_of(process.pid, "ipc")
        if namespace is not None:
            members.setdefault(namespace, []).append(process)
    mounts = Mounts()
    for inode in sorted(members, key=lambda inode: (inode != ours, inode)):
        folders = {} if inode == ours else _folders(members[inode], mounts)
        yield IpcNamespace(
            inode=inode,
            ours=inode == ours,
            processes=tuple(members[inode]),
            hint=_hint(members[inode][0].pid),
            shared_memory=folders.get(SHM),
            queues=folders.get(_QUEUES),
        )


def _folders(processes: list[Process], mounts: Mounts) -> dict[str, str]:
    """Where the files of another mount namespace are from here, as far as no other machine is asked for them."""
    for process in processes:
        namespace = namespace_of(process.pid, "mnt")
        if namespace is None or namespace == mounts.own:
            continue
        if not mounts.knows(namespace):
            try:
                mounts.add(namespace, read_path(f"/proc/{process.pid}/mountinfo"))
            except OSError:  # it has ended
                continue
        found = {}
        for point, type in ((SHM, "tmpfs"), (_QUEUES, "mqueue")):
            way = [mounts.at(namespace, folder) for folder in ("/", "/dev", point)]
            mount = way[-1]
            here = mounts.at(mounts.own, point)
            if mount is None or mount.type != type or (here is not None and here.device == mount.device):
                continue
            folder = f"/proc/{process.pid}/root{point}"
            if all(step is None or step.local for step in way) and os.access(folder, os.R_OK | os.X_OK):
                found[point] = folder
        if found:
            return found
    return {}


def _hint(pid: int | str) -> str:
    try:
        return hint_of(os.fsdecode(read_path(f"/proc/{pid}/cgroup")))
    except OSError:
        return ""


def hint_of(groups: str) -> str:
    """Whose a process may be, by the names of its control groups: cgroups(7).

    Args:
        groups: what /proc/PID/cgroup tells.

    Returns:
        The engine and the beginning of the container's identifier, "container" and its name, or "unit" and the unit of
        systemd; "" where the names tell nothing.
    """
    if found := _IDENTIFIER.search(groups):
        engine = next((name for mark, name in _ENGINES.items() if mark in groups), "container")
        return f"{engine} {found[1][:_SHOWN]}"
    if found := _NAMED.search(groups):
        return f"container {found[1]}"
    units = _UNIT.findall(groups)
    return f"unit {units[-1]}" if units else ""
