"""The file systems of IPC: /dev/shm, that of message queues, /proc, /dev/pts. shm_overview(7), mq_overview(7)."""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING

from ipckit._shmfile import DIRECTORY
from ipckit.inspect._checks.finding import Finding, quantity
from ipckit.inspect._checks.kernel import can_trace
from ipckit.inspect._processes.mounts import parsed

if TYPE_CHECKING:
    from ipckit.inspect._processes.mounts import Mount

MOUNTS = "/proc/self/mountinfo"

_SMALL = 64 << 20  # bytes: what container engines give unless they are asked for more
_TIOCGPTN = 0x80045430  # asm-generic/ioctls.h
_INT = struct.Struct("i")


def mounts(path: str = MOUNTS) -> list[Mount]:
    """What is mounted, as *path* tells; nothing where it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return [mount for _, mount in parsed(file.readall())]
    except OSError:
        return []


def shared_memory(directory: str = DIRECTORY, mountinfo: str = MOUNTS) -> Finding:
    """Whether *directory* is where shared memory belongs: a tmpfs that may be written."""
    make = (f"mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs {directory}",)
    try:
        found = os.stat(directory)
    except OSError as error:
        what = f"{directory} can't be used: {error.strerror}"
        advice = "named rings, locks, POSIX semaphores and shared memory live there: mount a tmpfs"
        return Finding(name=directory, level="problem", found=what, advice=advice, commands=make)
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        what, advice = f"{directory} is mounted read-only", "mount it for writing"
        return Finding(
            name=directory, level="problem", found=what, advice=advice, commands=(f"mount -o remount,rw {directory}",)
        )
    there = [mount.type for mount in mounts(mountinfo) if mount.device == found.st_dev]
    if not there:
        return Finding(name=directory, level="unknown", found=f"{mountinfo} does not tell what is mounted there")
    if there[-1] != "tmpfs":
        what = f"{directory} is {there[-1]}, not tmpfs: its memory may be written to a disk, or end as SIGBUS"
        return Finding(name=directory, level="warning", found=what, advice="mount a tmpfs over it", commands=make)
    return Finding(name=directory, level="ok", found=f"{directory} is a tmpfs")


def shared_memory_mode(directory: str = DIRECTORY) -> Finding:
    """Whether everybody may make objects in *directory*, and nobody may remove those of others: mode 1777."""
    name = f"mode of {directory}"
    try:
        mode = stat.S_IMODE(os.stat(directory).st_mode)
    except OSError as error:
        return Finding(name=name, level="unknown", found=f"can't be told: {error.strerror}")
    if mode == 0o1777:
        return Finding(name=name, level="ok", found="1777: everybody may make objects, and remove their own")
    command = (f"chmod 1777 {directory}",)
    if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
        what = f"{mode:04o}: this user may make no named objects"
        return Finding(name=name, level="problem", found=what, advice="let everybody write there", commands=command)
    if mode & 0o002 and not mode & stat.S_ISVTX:
        what = f"{mode:04o}: everybody may remove everybody's objects"
        return Finding(name=name, level="warning", found=what, advice="set the sticky bit", commands=command)
    what = f"{mode:04o}: some users may make no named objects"
    return Finding(name=name, level="warning", found=what, advice="let everybody write there", commands=command)


def shared_memory_files(directory: str = DIRECTORY) -> Finding:
    """Whether a file can be made in *directory* without a name, and be named when it is whole: open(2), O_TMPFILE."""
    name = "O_TMPFILE"
    try:
        fd = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            return Finding(name=name, level="unknown", found=f"{directory} can't be tried: {error.strerror}")
        what = f"files without a name can't be made in {directory}: named rings are refused, anonymous ones work"
        advice = "mount a tmpfs there"
        make = (f"mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs {directory}",)
        return Finding(name=name, level="problem", found=what, advice=advice, commands=make)
    os.close(fd)
    return Finding(name=name, level="ok", found=f"files in {directory} can be whole before they have a name")


def shared_memory_size(directory: str = DIRECTORY) -> Finding:
    """Whether *directory* is larger than what container engines give; how full it is, the limits tell."""
    name = f"size of {directory}"
    try:
        now = os.statvfs(directory)
    except OSError as error:
        return Finding(name=name, level="unknown", found=f"can't be told: {error.strerror}")
    size = now.f_frsize * now.f_blocks
    if not size:
        return Finding(name=name, level="ok", found="as much as there is memory")
    if size <= _SMALL:
        what = f"{quantity(size)}, which a few large rings fill"
        commands = (f"mount -o remount,size={max(4 * size >> 20, 1)}M {directory}", "docker run --shm-size=1g")
        return Finding(
            name=name, level="warning", found=what, advice="enlarge it before it is needed", commands=commands
        )
    return Finding(name=name, level="ok", found=f"{quantity(size)}, {quantity(now.f_frsize * now.f_bavail)} of it free")


def message_queues(mountinfo: str = MOUNTS) -> Finding:
    """Whether the file system of POSIX message queues is mounted, so that they can be listed."""
    there = [mount.point for mount in mounts(mountinfo) if mount.type == "mqueue"]
    if there:
        return Finding(name="mqueue", level="ok", found=f"POSIX message queues can be listed in {there[-1]}")
    what = "the mqueue file system is not mounted: POSIX message queues work, but only root can list them"
    make = ("mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue",)
    return Finding(name="mqueue", level="warning", found=what, advice="mount it", commands=make)


def processes(directory: str = "/proc", mountinfo: str = MOUNTS, *, privileged: bool | None = None) -> Finding:
    """Whether *directory* tells of processes, of those of other users too.

    Args:
        privileged: whether this process has CAP_SYS_PTRACE; None: as it is.
    """
    if not os.path.exists(f"{directory}/self/fd"):
        what = f"{directory} is not mounted: named rings, FIFOs and all of ipckit.inspect need it"
        mount = (f"mount -t proc proc {directory}",)
        return Finding(name=directory, level="problem", found=what, advice="mount it", commands=mount)
    there = [mount.options for mount in mounts(mountinfo) if mount.point == directory]
    options = dict(option.partition("=")[::2] for option in (there[-1] if there else "").split(","))
    hidden = options.get("hidepid", "0")
    exempted = can_trace() if privileged is None else privileged
    if hidden not in ("4", "ptraceable"):  # which hides from the group, too
        exempted = exempted or int(options.get("gid", -1)) in os.getgroups()
    if hidden not in ("0", "off") and not exempted:
        what = f"mounted with hidepid={hidden}: processes of other users can't be seen, and so not who holds an object"
        advice = "ask as root, or have your group exempted"
        commands = ("sudo ipckit doctor", f"mount -o remount,gid=GROUP {directory}")
        return Finding(name=directory, level="warning", found=what, advice=advice, commands=commands)
    return Finding(name=directory, level="ok", found="processes of all users can be listed")


def terminals(ptmx: str = "/dev/ptmx", directory: str = "/dev/pts") -> Finding:
    """Whether pseudo-terminals can be made: ptmx(4)."""
    name = "pseudo-terminals"
    make = (f"mkdir -p {directory} && mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts {directory}",)
    try:
        fd = os.open(ptmx, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        what = f"{ptmx} can't be opened: {error.strerror}"
        advice, commands = "mount devpts, and let everybody open ptmx", make
        if error.errno == errno.ENOSPC:
            advice, commands = "all of them are in use; allow more", ("sysctl -w kernel.pty.max=16384",)
        return Finding(name=name, level="problem", found=what, advice=advice, commands=commands)
    try:
        return _terminal_of(fd, name, ptmx, directory, make)
    finally:
        os.close(fd)


def _terminal_of(fd: int, name: str, ptmx: str, directory: str, make: tuple[str, ...]) -> Finding:
    import fcntl

    try:
        number = _INT.unpack(fcntl.ioctl(fd, _TIOCGPTN, bytes(_INT.size)))[0]
    except OSError:
        return Finding(name=name, level="problem", found=f"{ptmx} is none", advice="mount devpts", commands=make)
    if not os.path.exists(f"{directory}/{number}"):
        what = f"{ptmx} makes them elsewhere than in {directory}, where programs look for them"
        advice = "let both belong to the same devpts"
        return Finding(name=name, level="problem", found=what, advice=advice, commands=(f"ln -sf pts/ptmx {ptmx}",))
    return Finding(name=name, level="ok", found=f"can be made, in {directory}")
