"""The processors, the container, and the installation of ipckit itself."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ipckit.inspect._checks.finding import Finding, quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGES = (("posix_ipc", "1.1"), ("sysv_ipc", "1.1"), ("psutil", "5.9"), ("cffi", "1.17"))
"""What ipckit needs, and since which version."""

_LANES = ("ipckit._native", "ipckit._native_quick")


def processors(usable: int | None = None, groups: Iterable[tuple[str, int]] | None = None) -> Finding:
    """Whether two processes can run at the same time, so that it pays to spin before sleeping.

    Args:
        usable: how many CPUs this process may use; None: as it is.
        groups: folders of control groups, each with its version, 1 or 2; None: those that this process is in.
    """
    usable = len(os.sched_getaffinity(0)) if usable is None else usable
    if usable == 1:
        what = "this process may use one: nobody spins, and each message of a ring costs a switch of processes"
        advice = "allow a second one, if there is one"
        commands = ("nproc --all", "taskset -cp 0-1 PID")
        return Finding(name="processors", level="warning", found=what, advice=advice, commands=commands)
    allowed = [found for folder, version in _cpu_groups(groups) if (found := _quota(folder, version)) is not None]
    if allowed and min(allowed) < usable:
        what = f"{usable} may be used, but for {min(allowed):g} of their time altogether: who spins uses that up"
        advice = "allow as much as there are processors, or pin the program to fewer of them"
        commands = (f"docker run --cpus={usable}", f"docker run --cpuset-cpus=0-{max(0, int(min(allowed)) - 1)}")
        return Finding(name="processors", level="warning", found=what, advice=advice, commands=commands)
    return Finding(name="processors", level="ok", found=f"{usable} may be used")


def _cpu_groups(groups: Iterable[tuple[str, int]] | None) -> Iterable[tuple[str, int]]:
    from ipckit.inspect._limits.cgroups import own_groups

    return own_groups("cpu") if groups is None else groups


def _quota(folder: str, version: int) -> float | None:
    """How many CPUs' time the group may use: cgroups(7); None: any."""
    names = ("cpu.max",) if version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    words: list[str] = []
    try:
        for name in names:
            with open(os.path.join(folder, name), encoding="ascii") as file:
                words += file.read().split()
        return int(words[0]) / int(words[1]) if words[0] not in ("max", "-1") else None
    except (OSError, ValueError, IndexError, ZeroDivisionError):  # the root has no such file
        return None


def memory(allowed: int | None, room: int | None) -> Finding:
    """Whether the control group allows as much memory as /dev/shm seems to have.

    Args:
        allowed: bytes of memory; None is any number.
        room: bytes that /dev/shm has; None: nobody tells.
    """
    name = "memory of the group"
    if allowed is None or room is None:
        return Finding(name=name, level="ok", found="not limited, or not told")
    if allowed < room:
        what = f"{quantity(allowed)}, less than the {quantity(room)} of /dev/shm, which count as memory too"
        advice = "the kernel ends processes that exceed it, where a full /dev/shm would only refuse: make that smaller"
        commands = (f"mount -o remount,size={max(1, allowed // 2 >> 20)}M /dev/shm",)
        return Finding(name=name, level="warning", found=what, advice=advice, commands=commands)
    return Finding(name=name, level="ok", found=f"{quantity(allowed)} are allowed")


def core(lanes: tuple[str, ...] = _LANES, lane: str = "ipckit._lane") -> Iterator[Finding]:
    """Whether the compiled parts are there, and which.

    Args:
        lanes: the modules that nothing goes without.
        lane: the one that makes the commonest calls quicker.
    """
    from importlib import import_module

    again = ("pip install --force-reinstall ipckit",)
    try:
        paths = [getattr(import_module(name), "__file__", None) or "" for name in lanes]
    except ImportError as error:
        what = f"can't be loaded: {error}"
        advice = "install it again; from source it takes a C compiler"
        yield Finding(name="C core", level="problem", found=what, advice=advice, commands=again)
        return
    stable = all(".abi3." in os.path.basename(path) for path in paths)
    kind = "for every Python from 3.11 on (abi3)" if stable else "for this Python only"
    yield Finding(name="C core", level="ok", found=f"compiled {kind}, in {os.path.dirname(paths[0])}")
    try:
        import_module(lane)
    except ImportError:
        what = "not here: all works, but the commonest calls take about twice as long"
        yield Finding(name="fast lane", level="warning", found=what, advice="install it again", commands=again)
    else:
        yield Finding(name="fast lane", level="ok", found="the commonest calls are compiled")


def interpreter() -> Finding:
    """Which Python this is, and whether its threads run at the same time."""
    version = f"{sys.implementation.name} {sys.version.split()[0]}"
    if (enabled := getattr(sys, "_is_gil_enabled", None)) is None or "free-threading" not in sys.version:
        return Finding(name="Python", level="ok", found=f"{version}, with a GIL")
    if enabled():
        what = f"{version}, free-threaded, but a package that was loaded has turned the GIL on"
        advice = "posix_ipc and sysv_ipc do; the rings need neither"
        return Finding(name="Python", level="warning", found=what, advice=advice, commands=("PYTHON_GIL=0 python ...",))
    return Finding(name="Python", level="ok", found=f"{version}, free-threaded, without a GIL")


def packages(wanted: tuple[tuple[str, str], ...] = PACKAGES) -> Iterator[Finding]:
    """Whether the packages that ipckit needs are there, and young enough."""
    from importlib import metadata

    for name, least in wanted:
        install = (f"pip install '{name}>={least}'",)
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            advice = "install it"
            yield Finding(name=name, level="problem", found="not installed", advice=advice, commands=install)
            continue
        if _numbers(found) < _numbers(least):
            what = f"{found}, older than {least}"
            yield Finding(name=name, level="problem", found=what, advice="install a later one", commands=install)
        else:
            yield Finding(name=name, level="ok", found=found)


def _numbers(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        parts.append(int(part))
    return tuple(parts)
